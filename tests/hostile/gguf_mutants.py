"""GGUF files changed in one or a few places, most of them in the header, so that most are still read for a while."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from random import Random

from sdcpp_py.ggml_types import GGML_TYPES

_WIDTHS = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
_STRING, _ARRAY = 8, 9
COUNTS = (0, 1, 2, 5, 31, 33, 127, 255, 2**16, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**62, 2**63 - 1, 2**63, 2**64 - 1)
"""Numbers at which readers overflow, divide by nothing, or allocate all there is."""
HOSTILE_TEXTS = (
    b"%n%n%s%s", b"\0", b"\xff\xfe", "\u202e\ud83d".encode("utf-8", "surrogatepass"), b"", b"A" * 5000, b"../../etc",
    b"\x1b[2J", b"layers.99999999.x", b"%" * 300,
)  # fmt: skip


@dataclass(frozen=True)
class TensorPlaces:
    """Where a tensor's description lies in a GGUF file.

    Attributes:
        name: where its name begins, in bytes from the file's begin.
        name_bytes: of the name.
        extents: where each extent lies (8 bytes).
        kind: where its type lies (4 bytes), behind which its offset lies (8 bytes).
    """

    name: int
    name_bytes: int
    extents: tuple[int, ...]
    kind: int


@dataclass
class GgufPlaces:
    """Where things lie in a sound GGUF file.

    Attributes:
        counts: (place, bytes) of all numbers that say how many of something there are.
        values: (place, bytes) of the metadata's values.
        tensors: of each tensor.
        end: of the header.
        begin: of the weights.
    """

    counts: list[tuple[int, int]] = field(default_factory=lambda: [(8, 8), (16, 8)])
    values: list[tuple[int, int]] = field(default_factory=list)
    tensors: list[TensorPlaces] = field(default_factory=list)
    end: int = 24
    begin: int = 0


def places_of(data: bytes) -> GgufPlaces:
    """Reads where things lie in a sound file."""
    found = GgufPlaces()
    tensors, pairs = struct.unpack_from("<QQ", data, 8)
    for _ in range(pairs):
        _read_text(data, found)
        found.counts.append((found.end, 4))
        (kind,) = struct.unpack_from("<I", data, found.end)
        found.end += 4
        _read_value(data, found, kind)
    for _ in range(tensors):
        name = _read_text(data, found)
        found.counts.append((found.end, 4))
        (axes,) = struct.unpack_from("<I", data, found.end)
        extents = tuple(found.end + 4 + 8 * axis for axis in range(axes))
        kind = found.end + 4 + 8 * axes
        found.tensors.append(TensorPlaces(*name, extents, kind))
        found.end = kind + 12
    found.begin = -(-found.end // 32) * 32
    return found


def _read_text(data: bytes, found: GgufPlaces) -> tuple[int, int]:
    found.counts.append((found.end, 8))
    (length,) = struct.unpack_from("<Q", data, found.end)
    begin = found.end + 8
    found.end = begin + length
    return begin, length


def _read_value(data: bytes, found: GgufPlaces, kind: int) -> None:
    if kind == _STRING:
        found.values.append(_read_text(data, found))
    elif kind == _ARRAY:
        element, count = struct.unpack_from("<IQ", data, found.end)
        found.counts += [(found.end, 4), (found.end + 4, 8)]
        found.end += 12
        if element == _STRING:
            for _ in range(count):
                (length,) = struct.unpack_from("<Q", data, found.end)
                found.end += 8 + length
        else:
            found.end += _WIDTHS[element] * count
    else:
        found.values.append((found.end, _WIDTHS[kind]))
        found.end += _WIDTHS[kind]


def put_behind(data: bytearray, places: GgufPlaces, tensor: TensorPlaces, nbytes: int) -> None:
    """Moves a tensor behind all others, where there are as many bytes as it will claim to have."""
    data += bytes(-(len(data) - places.begin) % 32)
    struct.pack_into("<Q", data, tensor.kind + 4, len(data) - places.begin)
    data += bytes(nbytes)


def set_type(data: bytearray, places: GgufPlaces, tensor: TensorPlaces, kind: int) -> None:
    """Gives a tensor another type, and the bytes that this takes."""
    struct.pack_into("<I", data, tensor.kind, kind)
    elements = 1
    for place in tensor.extents:
        elements *= struct.unpack_from("<Q", data, place)[0]
    _, block, block_bytes = GGML_TYPES.get(kind, ("", 1, 4))
    put_behind(data, places, tensor, min(-(-elements // block) * block_bytes, 1 << 26))


def mutate(original: bytes, places: GgufPlaces, random: Random) -> bytes:
    """A copy of a file with one to three changes; the same for the same numbers."""
    data = bytearray(original)
    for _ in range(random.choice((1, 1, 2, 3))):
        random.choice(_IN_PLACE)(data, places, random)
    if random.random() < 0.2:
        random.choice(_RESIZING)(data, places, random)
    return bytes(data)


def _flip_header(data: bytearray, places: GgufPlaces, random: Random) -> None:
    place = random.randrange(places.end)
    data[place] ^= 1 << random.randrange(8)


def _flip_weights(data: bytearray, places: GgufPlaces, random: Random) -> None:
    for _ in range(random.choice((1, 100))):
        data[random.randrange(places.begin, len(data))] ^= 1 << random.randrange(8)


def _grow_count(data: bytearray, places: GgufPlaces, random: Random) -> None:
    place, width = random.choice(places.counts)
    old = int.from_bytes(data[place : place + width], "little")
    new = random.choice((*COUNTS, old + 1, old * 2, max(0, old - 1)))
    data[place : place + width] = (new % (1 << 8 * width)).to_bytes(width, "little")


def _swap_type(data: bytearray, places: GgufPlaces, random: Random) -> None:
    set_type(data, places, random.choice(places.tensors), random.choice((*GGML_TYPES, random.randrange(64))))


def _swap_type_alone(data: bytearray, places: GgufPlaces, random: Random) -> None:
    struct.pack_into("<I", data, random.choice(places.tensors).kind, random.choice((*GGML_TYPES, 4, 31, 41, 2**31)))


def _change_extents(data: bytearray, places: GgufPlaces, random: Random) -> None:
    tensor = random.choice([one for one in places.tensors if one.extents])
    extents = [struct.unpack_from("<Q", data, place)[0] for place in tensor.extents]
    how = random.randrange(4)
    if how == 0:
        random.shuffle(extents)
    elif how == 1:
        factor, axis = random.choice((2, 4, 32)), random.randrange(len(extents))
        extents[axis] //= factor
        extents[axis - 1] *= factor
    elif how == 2:
        extents[random.randrange(len(extents))] = random.choice(COUNTS)
    else:
        extents[random.randrange(len(extents))] += random.choice((-1, 1, 32))
    for place, extent in zip(tensor.extents, extents, strict=True):
        struct.pack_into("<Q", data, place, extent % (1 << 64))
    if random.random() < 0.5:
        put_behind(data, places, tensor, 1 << 20)


def _move(data: bytearray, places: GgufPlaces, random: Random) -> None:
    first, second = random.choice(places.tensors).kind + 4, random.choice(places.tensors).kind + 4
    other = struct.unpack_from("<Q", data, second)[0]
    new = random.choice((other, other + 1, other + 32, len(data), len(data) - 1, *COUNTS))
    struct.pack_into("<Q", data, first, new % (1 << 64))


def _same_name(data: bytearray, places: GgufPlaces, random: Random) -> None:
    one = random.choice(places.tensors)
    others = [other for other in places.tensors if other.name_bytes == one.name_bytes]
    other = random.choice(others)
    data[one.name : one.name + one.name_bytes] = data[other.name : other.name + one.name_bytes]


def _rename(data: bytearray, places: GgufPlaces, random: Random) -> None:
    tensor = random.choice(places.tensors)
    name = bytes(data[tensor.name : tensor.name + tensor.name_bytes])
    digits = [place for place, letter in enumerate(name) if chr(letter).isdigit()] or [len(name) // 2]
    how = random.randrange(3)
    if how == 0:
        data[tensor.name + random.choice(digits)] = random.choice(b"0123456789")
    elif how == 1:
        data[tensor.name + random.randrange(len(name))] = random.choice(b".x0%\0\xff")
    else:
        text = random.choice(HOSTILE_TEXTS)[: len(name)]
        data[tensor.name : tensor.name + len(text)] = text


def _change_value(data: bytearray, places: GgufPlaces, random: Random) -> None:
    if places.values:
        place, width = random.choice(places.values)
        text = (random.choice(HOSTILE_TEXTS) + random.choice(COUNTS).to_bytes(8, "little"))[:width]
        data[place : place + len(text)] = text


def _no_numbers(data: bytearray, places: GgufPlaces, random: Random) -> None:
    """Infinities and NaN in all widths, where scales or values may lie."""
    place = random.randrange(places.begin, len(data) - 8) // 2 * 2
    data[place : place + 8] = random.choice((b"\0\x7e", b"\0\x7c", b"\0\xfc", b"\xc0\x7f", b"\xff\xff")) * 4


def _copy_bytes(data: bytearray, places: GgufPlaces, random: Random) -> None:
    size = random.choice((4, 8, 24, 100))
    source, target = random.randrange(places.end), random.randrange(places.end)
    data[target : target + size] = data[source : source + size]


def _cut(data: bytearray, places: GgufPlaces, random: Random) -> None:
    del data[random.choice((random.randrange(places.end), random.randrange(len(data)), len(data) - 1)) :]


def _add_pair(data: bytearray, places: GgufPlaces, random: Random) -> None:
    """Metadata of hostile texts; the weights stay aligned."""
    del places
    key = random.choice((b"general.alignment", b"sdcpp_py.default_width", b"k", *HOSTILE_TEXTS))
    value = random.choice(HOSTILE_TEXTS)
    kind = random.choice((4, 6, 8, 9, 12, 77))
    pair = struct.pack("<Q", len(key)) + key + struct.pack("<IQ", kind, len(value)) + value
    pair += bytes(-len(pair) % 32) if random.random() < 0.5 else b""
    data[24:24] = pair
    struct.pack_into("<Q", data, 16, struct.unpack_from("<Q", data, 16)[0] + 1)


_IN_PLACE = (
    _flip_header, _flip_header, _flip_weights, _grow_count, _swap_type, _swap_type, _swap_type_alone, _change_extents,
    _change_extents, _move, _same_name, _rename, _rename, _change_value, _no_numbers, _copy_bytes,
)  # fmt: skip
_RESIZING = (_cut, _add_pair)
