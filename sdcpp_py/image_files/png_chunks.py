"""The chunks of PNG files: the texts in them, and the files without what a picture does not need.

Pillow refuses a whole picture whose colour profile, or one of whose texts, unpacks to more than 1 MiB; it reads texts
only after it has decoded the pixels; and it takes all plain text for Latin-1, where other programs write UTF-8.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO

from sdcpp_py.image_files.exif import exif_texts

SIGNATURE = b"\x89PNG\r\n\x1a\n"
MAX_TEXT_BYTES = 64 << 20
"""What all texts of a file may take together, unpacked."""

# A picture of the most pixels that are read has some 130,000 chunks, of the 8 KiB that are common. A file of empty
# chunks would be walked through for hours.
_MAX_CHUNKS = 1_000_000
_TEXTS = (b"tEXt", b"zTXt", b"iTXt")
_PROFILE, _EXIF = b"iCCP", b"eXIf"
# From these texts Pillow reads which way up a picture is.
_ORIENTING = ("Raw profile type exif", "Raw profile type APP1", "XML:com.adobe.xmp")
_PILLOWS_LIMIT = 1 << 20
_LONGEST_NAME = 79


@dataclass(frozen=True)
class _Chunk:
    """A chunk of a file: its type, where its data begins, and the length that it says these have."""

    kind: bytes
    data: int
    length: int

    @property
    def span(self) -> tuple[int, int]:
        """Where it begins, with its length and type, and ends, with its checksum."""
        return self.data - 8, self.data + self.length + 4


@dataclass
class Texts:
    """The texts of a picture.

    Attributes:
        by_name: the texts; of several with one name the last.
        unread: why others could not be read, by their names.
    """

    by_name: dict[str, str] = field(default_factory=dict)
    unread: dict[str, str] = field(default_factory=dict)


def is_png(stream: IO[bytes]) -> bool:
    """Whether a stream begins as PNG files do; it is at its beginning again afterwards."""
    stream.seek(0)
    begins = stream.read(len(SIGNATURE)) == SIGNATURE
    stream.seek(0)
    return begins


def texts_of(stream: IO[bytes]) -> Texts:
    """The texts of a PNG file, before and after its pixels, which are not decoded.

    Raises ValueError where it has no header, or more chunks than any picture.
    """
    found = Texts()
    room = MAX_TEXT_BYTES
    header = False
    for chunk in _chunks(stream):
        header = header or chunk.kind == b"IHDR"
        if chunk.kind in _TEXTS:
            name, data, problem = _read_text(stream, chunk, room)
            if problem:
                found.unread[name] = problem
            else:
                room -= len(data)
                found.by_name[name] = decoded(data, only_utf8=chunk.kind == b"iTXt")
        elif chunk.kind == _EXIF and chunk.length <= room:
            stream.seek(chunk.data)
            block = stream.read(chunk.length)
            room -= len(block)
            for name, text in exif_texts(block).items():
                found.by_name.setdefault(name, text)
    if not header:
        raise ValueError("it begins as a PNG does, and has no header")
    return found


def for_pillow(stream: IO[bytes]) -> IO[bytes]:
    """The file without its texts and colour profile, which play no part where a picture is looked at.

    Raises ValueError where it has more chunks than any picture.
    """
    gaps = []
    for chunk in _chunks(stream):
        if chunk.kind == _PROFILE or (chunk.kind in _TEXTS and not _orients(stream, chunk)):
            gaps.append(chunk.span)
    end = stream.seek(0, io.SEEK_END)
    stream.seek(0)
    return io.BufferedReader(_WithGaps(stream, gaps, end)) if gaps else stream


def _chunks(stream: IO[bytes]) -> Iterator[_Chunk]:
    """The chunks to the last one, or to where the file ends. Raises ValueError where there are too many."""
    place = len(SIGNATURE)
    for _ in range(_MAX_CHUNKS):
        stream.seek(place)
        head = stream.read(8)
        if len(head) < 8:
            return
        length, kind = struct.unpack(">I4s", head)
        chunk = _Chunk(kind, place + 8, length)
        yield chunk
        if kind == b"IEND":
            return
        place = chunk.span[1]
    raise ValueError(f"it has more than {_MAX_CHUNKS:,} chunks")


def _orients(stream: IO[bytes], chunk: _Chunk) -> bool:
    name, data, problem = _read_text(stream, chunk, _PILLOWS_LIMIT)
    return name in _ORIENTING and not problem and len(data) < _PILLOWS_LIMIT


def _read_text(stream: IO[bytes], chunk: _Chunk, room: int) -> tuple[str, bytes, str]:
    """A text's name, the text as bytes, unpacked, and why it cannot be read ("" where it can)."""
    stream.seek(chunk.data)
    too_large = chunk.length > room
    data = stream.read(_LONGEST_NAME + 1 if too_large else chunk.length + 4)
    raw_name, _, rest = data.partition(b"\0")
    name = raw_name[:_LONGEST_NAME].decode("latin-1")
    if too_large:
        return name, b"", "it is too large"
    if len(data) < chunk.length + 4:
        return name, b"", "the file ends within it"
    body, checksum = data[: chunk.length], data[chunk.length :]
    if zlib.crc32(chunk.kind + body) != int.from_bytes(checksum, "big"):
        return name, b"", "its checksum is wrong"
    return name, *_unpacked(chunk.kind, rest[:-4], room)


def _unpacked(kind: bytes, rest: bytes, room: int) -> tuple[bytes, str]:
    """The text in what follows a chunk's name, and why it cannot be read."""
    packed = kind == b"zTXt"
    if kind == b"iTXt":
        # Two bytes say whether and how it is packed; its language and its name in that language follow.
        packed, rest = rest[:1] == b"\1", rest[2:].partition(b"\0")[2].partition(b"\0")[2]
    elif packed:
        rest = rest[1:]
    if not packed:
        return rest, ""
    unpacking = zlib.decompressobj()
    try:
        text = unpacking.decompress(rest, room + 1)
    except zlib.error:
        return b"", "it is damaged"
    if len(text) > room:
        return b"", "it is too large"
    return (text, "") if unpacking.eof else (b"", "it is damaged")


def decoded(data: bytes, *, only_utf8: bool = False) -> str:
    """The text. Plain text is Latin-1 by the standard, and often UTF-8, which Latin-1 hardly ever looks like."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("utf-8", "replace") if only_utf8 else data.decode("latin-1")


class _WithGaps(io.RawIOBase):
    """A stream in which some spans are left out.

    Args:
        stream: what is read.
        gaps: (begin, end) of what is left out, in bytes, one after another.
        end: of the stream.
    """

    def __init__(self, stream: IO[bytes], gaps: list[tuple[int, int]], end: int) -> None:
        self._stream = stream
        begins = [0, *(after for _, after in gaps)]
        ends = [*(before for before, _ in gaps), end]
        self._parts = [(begin, stop) for begin, stop in zip(begins, ends, strict=True) if begin < stop]
        self._length = sum(stop - begin for begin, stop in self._parts)
        self._place = 0

    def readable(self) -> bool:
        """It is for reading."""
        return True

    def seekable(self) -> bool:
        """Every place can be read."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Goes to a place, counted without the gaps."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._length}[whence]
        self._place = max(0, base + offset)
        return self._place

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Reads what the place's part still has, at most."""
        before = 0
        for begin, stop in self._parts:
            inside = self._place - before
            if inside < stop - begin:
                self._stream.seek(begin + inside)
                data = self._stream.read(min(len(buffer), stop - begin - inside))
                buffer[: len(data)] = data
                self._place += len(data)
                return len(data)
            before += stop - begin
        return 0
