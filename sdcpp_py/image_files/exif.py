"""The texts in EXIF blocks, where pictures that are no PNG keep what they say of themselves.

AUTOMATIC1111's web UI writes its ``parameters`` as the UserComment, ComfyUI ``name:JSON`` in place of camera names.
Pillow's reader of such blocks copies what each of 65,535 fields points to, and knows no text but Latin-1; so there is
one here, which looks at a few fields, and in time that grows with the block's length alone.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator

OWN_NAME = "sdcpp_py"
COMMENT_NAME = "parameters"
"""What the UserComment is called among a picture's texts, as the programs that write it call it in a PNG."""
MAX_EXIF_BYTES = 64 << 20
"""What the texts of a block may take together."""

_EXIF_FOLDER, _USER_COMMENT, _MAKER_NOTE = 0x8769, 0x9286, 0x927C
_DESCRIPTION, _MAKE, _MODEL, _SOFTWARE = 0x010E, 0x010F, 0x0110, 0x0131
_NAMES = {_DESCRIPTION: "Description", _MAKE: "Make", _MODEL: "Model", _SOFTWARE: "Software"}
# ComfyUI begins with the camera's model and goes down, whatever the tags mean.
_LOWEST_NAMED = 0x0100
_NAMED = re.compile(r'([A-Za-z_]\w{0,78}):(?=\s*[{\["])')
_BYTE, _ASCII, _LONG, _UNDEFINED = 1, 2, 4, 7
_PREFIX = b"Exif\0\0"
# The eight bytes that a UserComment begins with, which say how its text is written.
_UNICODE, _PLAIN = b"UNICODE\0", (b"ASCII\0\0\0", bytes(8))
_JAPANESE = b"JIS\0\0\0\0\0"
_MAKER_PREFIX = OWN_NAME.encode() + b"\0"
_FOOOCUS = ("fooocus", "a1111")


def exif_block(comment: str, own: str = "", software: str = "") -> bytes:
    """An EXIF block with a UserComment as AUTOMATIC1111's web UI writes it: "UNICODE", then UTF-16, high byte first.

    Args:
        comment: the ``parameters`` text.
        own: this library's exact text, kept as the MakerNote; "" for none.
        software: what generated the picture.
    """
    inner = [(_USER_COMMENT, _UNDEFINED, _UNICODE + comment.encode("utf-16-be", "replace"))]
    if own:
        inner.insert(0, (_MAKER_NOTE, _UNDEFINED, _MAKER_PREFIX + own.encode("utf-8", "replace")))
    outer = [(_SOFTWARE, _ASCII, software.encode("ascii", "replace") + b"\0")] if software else []
    head = b"MM\0*" + struct.pack(">I", 8)
    # The length of the outer folder does not depend on the number in it that says where the inner one begins.
    length = len(_folder([*outer, (_EXIF_FOLDER, _LONG, bytes(4))], 8))
    first = _folder([*outer, (_EXIF_FOLDER, _LONG, struct.pack(">I", 8 + length))], 8)
    return _PREFIX + head + first + _folder(inner, 8 + length)


def _folder(fields: list[tuple[int, int, bytes]], place: int) -> bytes:
    """A folder of fields (tag, type, data) that begins at ``place``, and the data after it."""
    entries, after = b"", b""
    data_place = place + 2 + 12 * len(fields) + 4
    for tag, kind, data in fields:
        count = len(data) // 4 if kind == _LONG else len(data)
        inside = len(data) <= 4
        value = data.ljust(4, b"\0") if inside else struct.pack(">I", data_place + len(after))
        entries += struct.pack(">HHI", tag, kind, count) + value
        after += b"" if inside else data + bytes(len(data) % 2)
    return struct.pack(">H", len(fields)) + entries + bytes(4) + after


def exif_texts(block: bytes) -> dict[str, str]:
    """The texts of an EXIF block by name; of a damaged one those that can be read, which may be none."""
    data = memoryview(block).cast("B")
    if data[: len(_PREFIX)] == _PREFIX:
        data = data[len(_PREFIX) :]
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(bytes(data[:4]))
    if order is None or len(data) < 8:
        return {}
    found: dict[str, str] = {}
    room = MAX_EXIF_BYTES
    for tag, kind, value in _all_fields(data, order):
        room -= len(value)
        if room < 0:
            break
        name, text = _named(tag, kind, bytes(value))
        if name and text:
            found.setdefault(name, text)
    return found


def _all_fields(data: memoryview, order: str) -> Iterator[tuple[int, int, memoryview]]:
    """The fields of the first folder, and of the EXIF folder in it; of a tag that comes twice the first."""
    inner = None
    for tag, kind, value in _fields(data, order, struct.unpack_from(order + "I", data, 4)[0]):
        if tag == _EXIF_FOLDER and kind == _LONG and len(value) == 4:
            inner = struct.unpack(order + "I", value)[0]
        else:
            yield tag, kind, value
    if inner is not None:
        yield from _fields(data, order, inner)


def _fields(data: memoryview, order: str, place: int) -> Iterator[tuple[int, int, memoryview]]:
    if place + 2 > len(data):
        return
    seen = set()
    for number in range(struct.unpack_from(order + "H", data, place)[0]):
        entry = place + 2 + 12 * number
        if entry + 12 > len(data):
            return
        tag, kind, count, begin = struct.unpack_from(order + "HHII", data, entry)
        size = count * {_BYTE: 1, _ASCII: 1, _LONG: 4, _UNDEFINED: 1}.get(kind, 0)
        if not _is_wanted(tag) or tag in seen or not size:
            continue
        seen.add(tag)
        begin = entry + 8 if size <= 4 else begin
        yield tag, kind, data[begin : begin + size]


def _is_wanted(tag: int) -> bool:
    return _LOWEST_NAMED <= tag <= _MODEL or tag in (_SOFTWARE, _EXIF_FOLDER, _USER_COMMENT, _MAKER_NOTE)


def _named(tag: int, kind: int, value: bytes) -> tuple[str, str]:
    """What a field's text is called, and the text; both empty where it is none of those that are read."""
    if tag == _USER_COMMENT:
        text = _comment(value)
        named = _NAMED.match(text)
        # ComfyUI's nodes of others write "prompt:{...}" here, too; a prompt may begin with words and a colon.
        if named and named[1].lower() in ("prompt", "workflow"):
            return named[1].lower(), text[named.end() :].strip()
        return COMMENT_NAME, text
    if tag == _MAKER_NOTE:
        if value.startswith(_MAKER_PREFIX):
            return OWN_NAME, value[len(_MAKER_PREFIX) :].decode("utf-8", "replace")
        return ("fooocus_scheme", _plain(value)) if _plain(value) in _FOOOCUS else ("", "")
    if kind != _ASCII:
        return "", ""
    text = _plain(value)
    named = _NAMED.match(text) if tag <= _MODEL and text[-1:] in ("}", "]", '"') else None
    if named:
        return named[1].lower(), text[named.end() :].strip()
    return _NAMES.get(tag, ""), text


def _comment(value: bytes) -> str:
    begins, rest = value[:8], value[8:]
    if begins == _UNICODE:
        return _utf16(rest)
    if begins == _JAPANESE:
        return rest.decode("iso2022_jp", "replace").strip("\0 ")
    return _plain(rest if begins in _PLAIN else value)


def _utf16(data: bytes) -> str:
    """UTF-16 of either order: what a text says of itself first, then the one in which more of it is plain letters.

    Programs over .NET write the low byte first, whatever the block's own order is.
    """
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16", "replace").strip("\0")
    high_first = data[::2].count(0) >= data[1::2].count(0)
    return data.decode("utf-16-be" if high_first else "utf-16-le", "replace").strip("\0")


def _plain(data: bytes) -> str:
    """Text of bytes: UTF-8, or Latin-1 where it is not."""
    data = data.strip(b"\0")
    try:
        return data.decode("utf-8").strip()
    except UnicodeDecodeError:
        return data.decode("latin-1").strip()
