"""Safetensors files changed in one or a few places: in what the header says, how it is written, and the weights."""

from __future__ import annotations

import json
import struct
from math import prod
from random import Random
from typing import Any

Header = dict[str, Any]

WIDTHS = {
    "F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1, "U16": 2,
    "U32": 4, "U64": 8, "F8_E4M3": 1, "F8_E5M2": 1, "F8_E8M0": 1, "F4": 1, "C64": 8,
}  # fmt: skip
"""Bytes of a number by type, of all that the format names."""
_EXTENTS: tuple[Any, ...] = (
    0,
    1,
    2,
    3,
    31,
    33,
    255,
    2**31,
    2**32,
    2**62,
    2**63,
    2**64,
    2**70,
    -1,
    1.5,
    None,
    "8",
    [],
    True,
)
_TEXTS = ("%n%s", "\0", "\u202e", "", "A" * 5000, "../../x", "layers.99999999.x", "double_blocks.99999999.x")


def split(data: bytes) -> tuple[Header, bytes]:
    """The header and the weights of a sound file."""
    (length,) = struct.unpack_from("<Q", data)
    return json.loads(data[8 : 8 + length]), data[8 + length :]


def joined(header: str, weights: bytes | bytearray) -> bytes:
    """A file of them."""
    raw = header.encode("utf-8", "surrogatepass")
    return struct.pack("<Q", len(raw)) + raw + weights


def set_type(header: Header, weights: bytearray, name: str, dtype: str) -> None:
    """Gives a tensor another type, and the bytes that this takes, behind all others."""
    size = prod(header[name]["shape"]) * WIDTHS[dtype]
    header[name] = {**header[name], "dtype": dtype, "data_offsets": [len(weights), len(weights) + size]}
    weights += bytes(size)


def mutate(original: bytes, random: Random) -> bytes:
    """A copy of a file with one to three changes; the same for the same numbers."""
    header, weights = split(original)
    data = bytearray(weights)
    for _ in range(random.choice((1, 1, 2, 3))):
        random.choice(_IN_HEADER)(header, data, random)
    text = json.dumps(header)
    if random.random() < 0.2:
        text = random.choice(_IN_TEXT)(text, random)
    changed = bytearray(joined(text, data))
    if random.random() < 0.15:
        random.choice(_IN_BYTES)(changed, random, len(text) + 8)
    return bytes(changed)


def _one(header: Header, random: Random) -> str:
    names = [name for name, entry in header.items() if isinstance(entry, dict) and "shape" in entry]
    return random.choice(names)


def _swap_type(header: Header, weights: bytearray, random: Random) -> None:
    name = _one(header, random)
    if all(isinstance(extent, int) and 0 <= extent < 1 << 20 for extent in header[name]["shape"]):
        set_type(header, weights, name, random.choice(list(WIDTHS)))


def _swap_type_alone(header: Header, weights: bytearray, random: Random) -> None:
    del weights
    name = _one(header, random)
    header[name] = {**header[name], "dtype": random.choice((*WIDTHS, "", "Q8_0", None, 3, ["F32"]))}


def _change_extents(header: Header, weights: bytearray, random: Random) -> None:
    name = _one(header, random)
    shape = list(header[name]["shape"])
    how = random.randrange(5)
    if how == 0:
        random.shuffle(shape)
    elif how == 1 and shape:
        shape[random.randrange(len(shape))] = random.choice(_EXTENTS)
    elif how == 2:
        shape.insert(random.randrange(len(shape) + 1), random.choice((1, 1, 2, 0)))
    elif how == 3 and len(shape) > 1 and all(isinstance(extent, int) for extent in shape):
        shape = [shape[0] * shape[1], *shape[2:]]
    elif shape:
        shape.pop()
    header[name] = {**header[name], "shape": shape}
    sound = all(type(extent) is int and 0 <= extent < 1 << 12 for extent in shape) and prod(shape) < 1 << 22
    if sound and random.random() < 0.7 and header[name]["dtype"] in WIDTHS:
        set_type(header, weights, name, header[name]["dtype"])


def _move(header: Header, weights: bytearray, random: Random) -> None:
    one, other = _one(header, random), _one(header, random)
    begin, end = header[one]["data_offsets"]
    place = random.choice((header[other]["data_offsets"][0], len(weights), 2**31, 2**62, 2**63, 2**64, -8, begin + 1))
    new = random.choice(([place, place + end - begin], [end, begin], [place, end], [begin, place], [begin], "x", None))
    if isinstance(new, list) and len(new) == 2:
        header[one] = {**header[one], "data_offsets": new}
    else:
        header[f"{one}.other"] = {**header[one], "data_offsets": new}


def _rename(header: Header, weights: bytearray, random: Random) -> None:
    del weights
    name = _one(header, random)
    parts = name.split(".")
    place = random.randrange(len(parts))
    parts[place] = random.choice(("0", "7", "99", "99999999", "-1", parts[place] + "x", random.choice(_TEXTS)))
    header[random.choice((".".join(parts), random.choice(_TEXTS), name[1:], name + "\0"))] = header.pop(name)


def _leave_out(header: Header, weights: bytearray, random: Random) -> None:
    del weights
    for _ in range(random.choice((1, 5))):
        if len(header) > 2:
            header.pop(_one(header, random))


def _same_entry(header: Header, weights: bytearray, random: Random) -> None:
    del weights
    header[_one(header, random)] = header[_one(header, random)]


def _change_metadata(header: Header, weights: bytearray, random: Random) -> None:
    del weights
    value: object = random.choice((*_TEXTS, *_EXTENTS, {"a": {"b": 1}}))
    header["__metadata__"] = random.choice((value, {"format": value}, {random.choice(_TEXTS): value}))


def _strange_entry(header: Header, weights: bytearray, random: Random) -> None:
    del weights
    entry: object = random.choice((None, 1, [], {}, {"dtype": "F32"}, {"shape": 3}, "text"))
    header[random.choice(("odd", "odd.weight", "model.diffusion_model.x"))] = entry


def _change_weights(header: Header, weights: bytearray, random: Random) -> None:
    del header
    if len(weights) > 16:
        place = random.randrange(len(weights) - 8) // 2 * 2
        weights[place : place + 8] = random.choice((b"\0\x7e", b"\0\x7c", b"\xc0\x7f", b"\x80\xff")) * 4


def _twice(text: str, random: Random) -> str:
    """A name that stands in the header twice."""
    end = text.find("}", random.randrange(max(1, len(text) // 2)))
    return text[: end + 1] + "," + text[1 : end + 1] + text[end + 1 :]


def _deep(text: str, random: Random) -> str:
    depth = random.choice((10, 900, 100_000))
    return '{"__metadata__": {"x": ' + "[" * depth + "]" * depth + "}, " + text[1:]


def _unlike_json(text: str, random: Random) -> str:
    place = random.randrange(len(text))
    return (
        text[:place]
        + random.choice(("Infinity", "NaN", "1e999", "\\ud800", "\0", "/*", "'", "9" * 5000))
        + text[place:]
    )


def _blanks(text: str, random: Random) -> str:
    return " " * random.choice((1, 7, 4096)) + text + "\n" * random.choice((0, 9))


def _flip(data: bytearray, random: Random, header: int) -> None:
    data[random.randrange(min(header, len(data)))] ^= 1 << random.randrange(8)


def _cut(data: bytearray, random: Random, header: int) -> None:
    del data[random.choice((random.randrange(header), random.randrange(len(data)), len(data) - 1)) :]


def _length(data: bytearray, random: Random, header: int) -> None:
    length = random.choice((0, 1, 2, header - 9, header - 7, 2**31, 100 << 20, 2**63, 2**64 - 1))
    data[:8] = struct.pack("<Q", length)


_IN_HEADER = (
    _swap_type, _swap_type, _swap_type_alone, _change_extents, _change_extents, _move, _rename, _rename, _leave_out,
    _same_entry, _change_metadata, _strange_entry, _change_weights,
)  # fmt: skip
_IN_TEXT = (_twice, _deep, _unlike_json, _blanks)
_IN_BYTES = (_flip, _flip, _cut, _length)
