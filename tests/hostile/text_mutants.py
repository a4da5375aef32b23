"""Texts and other small files changed in one or a few places: JSON, TOML, archives of arrays, pictures."""

from __future__ import annotations

import io
import json
import struct
import zipfile
import zlib
from random import Random
from typing import Any

HOSTILE = (
    "\0", "%n%s", "9" * 5000, "1e999", "-1", "NaN", "Infinity", "null", "true", '"', "'''", "[" * 3000, "{" * 3000,
    "\\ud800", "\\u0000", "../../etc/passwd", "a." * 3000 + "b=1", "\u202e", "0x" + "f" * 400,
    "1979-05-27T07:32:00Z", "A" * 70_000,
)  # fmt: skip
"""What stands where a reader expects something else."""
_VALUES: tuple[Any, ...] = (
    None, True, -1, 0, 2**31, 2**63, 2**64, 10**400, 1e308, float("nan"), float("inf"), "", "\ud800", "\0",
    "x" * 70_000,
    [], {}, [[]], {"a": {}}, ["1", 0], "512x512", "0x0", "-1", "9" * 5000,
)  # fmt: skip


def mutate_bytes(original: bytes, random: Random) -> bytes:
    """Bits flipped, pieces cut out, repeated or moved, numbers grown: of a file of any kind."""
    data = bytearray(original)
    for _ in range(random.choice((1, 1, 2, 4))):
        if not data:
            break
        place, size = random.randrange(len(data)), random.choice((1, 2, 4, 8, 60, 400))
        how = random.randrange(6)
        if how == 0:
            data[place] ^= 1 << random.randrange(8)
        elif how == 1:
            del data[place : place + size]
        elif how == 2:
            other = random.randrange(len(data))
            data[place:place] = data[other : other + size] * random.choice((1, 1, 50))
        elif how == 3:
            data[place : place + 4] = random.choice(
                (b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff\xff\xff", b"\0\0\0\x80")
            )
        elif how == 4:
            del data[place:]
        else:
            data[place:place] = random.choice(HOSTILE).encode("utf-8", "surrogatepass")
    return bytes(data)


def mutate_lines(text: str, random: Random) -> bytes:
    """Lines doubled, left out, swapped, and values replaced: of TOML and the like."""
    lines = text.splitlines()
    for _ in range(random.choice((1, 2, 4))):
        place = random.randrange(len(lines))
        how = random.randrange(5)
        if how == 0:
            lines.insert(random.randrange(len(lines)), lines[place])
        elif how == 1:
            del lines[place]
        elif how == 2:
            lines[place] = lines[place].partition("=")[0] + "= " + random.choice(HOSTILE)
        elif how == 3:
            lines[place] = random.choice(
                ("[" * 3000, "[files." + "a." * 2000 + "b]", "x = " + "[" * 3000, "[[models]]")
            )
        else:
            name, _, value = lines[place].partition("=")
            values = (
                '""',
                "3",
                "-1",
                "[]",
                "{}",
                "nan",
                "inf",
                f'"{name}"',
                value[:-2],
                "1" * 400,
                "true",
                "[1, {a=2}]",
            )
            lines[place] = f"{name}= {random.choice(values)}"
        lines = lines or [""]
    return "\n".join(lines).encode("utf-8", "surrogatepass")


def mutate_json(value: Any, random: Random) -> Any:
    """A value with some of its inner values replaced, doubled or left out."""
    if random.random() < 0.15 or not isinstance(value, (dict, list)) or not value:
        return random.choice((*_VALUES, value, [value], {"a": value}))
    if isinstance(value, list):
        place = random.randrange(len(value))
        new = mutate_json(value[place], random)
        return [*value[:place], *random.choice(((new,), (new, new), ())), *value[place + 1 :]]
    name = random.choice(list(value))
    rest = {key: inner for key, inner in value.items() if key != name}
    new = mutate_json(value[name], random)
    return random.choice(({**value, name: new}, {**value, name: new}, rest, {**rest, name + "x": value[name]}))


def mutate_json_text(text: str, random: Random) -> str:
    """JSON with changed values, or changed as text."""
    how = random.randrange(4)
    if how == 0:
        return mutate_bytes(text.encode(), random).decode("utf-8", "replace")
    if how == 1:
        depth = random.choice((500, 100_000))
        place = text.find(":") + 1
        return text[:place] + random.choice(("[" * depth, "[" * depth + "]" * depth, '{"a":' * depth)) + text[place:]
    return json.dumps(mutate_json(json.loads(text), random))


def mutate_archive(original: bytes, random: Random) -> bytes:
    """A zip archive whose members were changed, and which is whole again; or one that was changed as bytes."""
    if random.random() < 0.3:
        return mutate_bytes(original, random)
    with zipfile.ZipFile(io.BytesIO(original)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name = random.choice(list(members))
    how = random.randrange(5)
    if how == 0:
        members[name] = mutate_bytes(members[name], random)
    elif how == 1:
        members[name] = _other_array(members[name], random)
    elif how == 2:
        members[random.choice(("../x.npy", "x.npy", "crossattn", "a/b.npy", "header.npy"))] = members.pop(name)
    elif how == 3:
        members[name] = b"\x93NUMPY\x01\0v\0" + random.choice(HOSTILE).encode("utf-8", "surrogatepass")[:118].ljust(118)
    else:
        members[name] = bytes(random.choice((0, 1, 1 << 20)))
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", random.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return out.getvalue()


def _other_array(member: bytes, random: Random) -> bytes:
    """An array that claims another type, order or shape."""
    (length,) = struct.unpack_from("<H", member, 8)
    header = member[10 : 10 + length].decode("latin-1")
    for _ in range(random.choice((1, 2))):
        old = random.choice(("<f4", "|u1", "False", "(", ")", ",", "shape", "descr"))
        new = random.choice(
            ("|O", "<f8", "<M8[ns]", "True", "(-1,", "(2**99,", "99999999999,", "((((", "", "V9", "'", "1e9")
        )
        header = header.replace(old, new, 1)
    raw = header.strip().encode("latin-1").ljust(length - 1)[: length - 1] + b"\n"
    return member[:10] + raw + member[10 + length :]


def png_of(texts: list[tuple[str, str]], random: Random) -> bytes:
    """A PNG of 8 x 8 with texts in chunks of every kind, some of them wrong."""
    out = b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 8, 2, 0, 0, 0))
    for name, text in texts:
        key, raw = name.encode("latin-1", "replace"), text.encode("utf-8", "surrogatepass")
        how = random.randrange(6)
        if how == 0:
            out += _chunk(b"tEXt", key + b"\0" + text.encode("latin-1", "replace"))
        elif how == 1:
            out += _chunk(b"zTXt", key + b"\0\0" + zlib.compress(text.encode("latin-1", "replace")))
        elif how == 2:
            out += _chunk(b"zTXt", key + b"\0\0" + zlib.compress(bytes(random.choice((1 << 10, 30 << 20)))))
        elif how == 3:
            out += _chunk(b"iTXt", key + b"\0\1\0\0\0" + zlib.compress(raw)[: random.choice((10, 10**6))])
        else:
            out += _chunk(b"iTXt", key + b"\0\0\0\0\0" + raw)
    out += _chunk(b"IDAT", zlib.compress(bytes(8 * 25))) + _chunk(b"IEND", b"")
    return mutate_bytes(out, random) if random.random() < 0.3 else out


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
