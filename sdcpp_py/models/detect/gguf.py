"""Reading the header of a GGUF file as the engine reads it (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md).

The engine has two readers. ggml's own comes first and is strict; what it refuses goes to another one, which is lenient
but loses its place at the first list in the metadata. Both are followed here, so that a file that is read at all is
read as the engine reads it. Where neither would read what is there, the file is refused.
"""

from __future__ import annotations

import mmap
import struct
from dataclasses import dataclass, field
from itertools import repeat

from sdcpp_py.ggml_types import GGML_TYPES
from sdcpp_py.models.tensors import Damaged, TensorInfo, Unsupported, check_empty, elements_of

Value = str | int | float | bool

# Types that ggml had once.
_REMOVED = {
    4: "Q4_2", 5: "Q4_3", 31: "Q4_0_4_4", 32: "Q4_0_4_8", 33: "Q4_0_8_8", 36: "IQ4_NL_4_4", 37: "IQ4_NL_4_8",
    38: "IQ4_NL_8_8",
}  # fmt: skip
_STRING, _ARRAY, _UINT32 = 8, 9, 4
_NUMBERS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_COUNTS = {kind: struct.Struct(f"<{kind}") for kind in "IQ"}
_MAX_COUNT = 1_000_000
# What follows a tensor's name, by its number of axes: their extents, its type and its place.
_TENSORS = tuple(struct.Struct(f"<{axes}QIQ") for axes in range(6))
# Of ggml's own reader: what it takes at most.
_AXES = 4
_NAME_BYTES = 127
# Of the other one.
_KEY_BYTES = 4096


class _Cursor:
    """A place in the header's bytes that moves on as values are read."""

    def __init__(self, data: mmap.mmap, place: int) -> None:
        self.data = data
        self.place = place

    def number(self, kind: str) -> int | float | bool:
        value: int | float | bool = struct.unpack_from("<" + kind, self.data, self.place)[0]
        self.place += struct.calcsize("<" + kind)
        return value

    def count(self, kind: str = "Q") -> int:
        value: int = _COUNTS[kind].unpack_from(self.data, self.place)[0]
        self.place += _COUNTS[kind].size
        return value

    def skip(self, length: int) -> None:
        if length > len(self.data) - self.place:
            raise Damaged("a value is longer than the file")
        self.place += length

    def text(self) -> bytes:
        length = self.count()
        self.skip(length)
        return self.data[self.place - length : self.place]


@dataclass
class _Header:
    """What has been read so far.

    Attributes:
        keys: of the metadata, its lists' too.
        strict: why ggml's own reader refuses the file; "" where it does not.
        lenient: why the other reader cannot read it; "" where it can.
    """

    alignment: int = 32
    metadata: dict[str, Value] = field(default_factory=dict)
    keys: set[bytes] = field(default_factory=set)
    strict: str = ""
    lenient: str = ""

    def refuse_both(self) -> None:
        if self.strict and self.lenient:
            raise Unsupported(f"{self.strict}, which the engine reads only in files whose metadata is short and plain")


def read_gguf(data: mmap.mmap) -> tuple[dict[str, TensorInfo], dict[str, Value]]:
    """Tensors and metadata of a GGUF file, the latter without its lists.

    Text that is not UTF-8 is shown with its bytes in hexadecimal.

    Raises Damaged, Unsupported, and struct.error where the file ends early.
    """
    cursor = _Cursor(data, 4)
    version = cursor.count("I")
    if version not in (2, 3):
        order = ", in the byte order of other machines" if version and not version & 0xFFFF else ""
        raise Unsupported(f"it is a GGUF file of version {version}{order}; versions 2 and 3 can be read")
    tensor_count, pair_count = cursor.count(), cursor.count()
    if tensor_count > _MAX_COUNT or pair_count > _MAX_COUNT:
        raise Damaged("the counts in its header make no sense")
    header = _Header()
    for _ in repeat(None, pair_count):
        _read_pair(cursor, header)
    described = [_read_tensor(cursor, header) for _ in repeat(None, tensor_count)]
    begin = -(-cursor.place // header.alignment) * header.alignment
    tensors: dict[str, TensorInfo] = {}
    end = 0
    for name, tensor in described:
        if tensor.offset != end:
            header.strict = header.strict or f"tensor '{name}' does not follow the one before it"
        if name in tensors:
            header.strict = header.strict or f"two of its tensors are called '{name}'"
        end += -(-tensor.nbytes // header.alignment) * header.alignment
        tensors[name] = TensorInfo(tensor.shape, tensor.dtype, tensor.nbytes, begin + tensor.offset)
    header.refuse_both()
    return tensors, header.metadata


def _shown(text: bytes) -> str:
    return text.decode("utf-8", "backslashreplace")


def _read_pair(cursor: _Cursor, header: _Header) -> None:
    raw, kind = cursor.text(), cursor.count("I")
    key = _shown(raw)
    if not raw:
        raise Unsupported("its metadata has a value without a name")
    if raw in header.keys:
        header.strict = header.strict or f"its metadata has two values called '{key}'"
    header.keys.add(raw)
    if len(raw) > _KEY_BYTES:
        header.lenient = "a long name"
    value: Value | None = None
    if kind == _STRING:
        value = _shown(cursor.text())
    elif kind == _ARRAY:
        if _skip_array(cursor, key):
            header.lenient = "a list"
    elif kind in _NUMBERS:
        value = cursor.number(_NUMBERS[kind])
    else:
        raise Damaged(f"'{key}' in its metadata is of unknown type {kind}")
    if key == "general.alignment":
        # By the format also 48 is an alignment. The engine reads such a file as if it were 32, and takes whatever bytes
        # are there for weights.
        if kind != _UINT32 or not isinstance(value, int) or value < 1 or value & (value - 1):
            shown = "a list" if value is None else repr(value)
            raise Unsupported(f"its alignment is {shown}; the engine reads powers of two alone, as 32-bit numbers")
        header.alignment = value
    if value is not None:
        header.metadata[key] = value


def _skip_array(cursor: _Cursor, key: str) -> int:
    """Passes over a list. Returns how long it is."""
    kind, count = cursor.count("I"), cursor.count()
    if kind in _NUMBERS:
        cursor.skip(struct.calcsize("<" + _NUMBERS[kind]) * count)
    elif kind == _STRING:
        cursor.place = _after_texts(cursor.data, cursor.place, count)
    elif kind == _ARRAY:
        raise Unsupported(f"'{key}' in its metadata is a list of lists")
    else:
        raise Damaged(f"'{key}' in its metadata is a list of unknown type {kind}")
    return count


def _after_texts(data: mmap.mmap, place: int, count: int) -> int:
    # A tokenizer has hundreds of thousands of texts. Only their lengths are read, in a loop with nothing else in it:
    # where one leads out of the file, the next reading fails.
    unpack = struct.Struct("<Q").unpack_from
    try:
        for _ in repeat(None, count):
            place += unpack(data, place)[0] + 8
    except (struct.error, OverflowError):
        place = len(data) + 1
    if place > len(data):
        raise Damaged("a text is longer than the file")
    return place


def _read_tensor(cursor: _Cursor, header: _Header) -> tuple[str, TensorInfo]:
    """A tensor's name, and the tensor with its place behind the header."""
    raw, axes = cursor.text(), cursor.count("I")
    name = _shown(raw)
    if b"\0" in raw:
        raise Unsupported(f"the name of tensor {name!r} has a NUL in it")
    if axes >= len(_TENSORS):
        raise Unsupported(f"tensor '{name}' has {axes} axes, and the engine reads {len(_TENSORS) - 1} at most")
    # At once: a checkpoint has thousands of them.
    *extents, kind, offset = _TENSORS[axes].unpack_from(cursor.data, cursor.place)
    cursor.place += _TENSORS[axes].size
    if len(raw) > _NAME_BYTES:
        header.strict = header.strict or f"the name of tensor '{name}' is longer than {_NAME_BYTES} bytes"
    if axes > _AXES:
        header.strict = header.strict or f"tensor '{name}' has {axes} axes"
    shape = tuple(reversed(extents))
    dtype, block, block_bytes = _type_of(name, kind)
    if max(extents, default=0) >= 1 << 63 or (extents[0] if extents else 1) % block:
        raise Damaged(f"tensor '{name}' has the shape {shape}, which its type {dtype} cannot have")
    check_empty(name, shape, dtype)
    return name, TensorInfo(shape, dtype, elements_of(shape) // block * block_bytes, offset)


def _type_of(name: str, kind: int) -> tuple[str, int, int]:
    if kind in GGML_TYPES:
        return GGML_TYPES[kind]
    if kind in _REMOVED:
        why = f"type {_REMOVED[kind]}, which is no longer in use"
    else:
        why = f"type {kind}, which is that of another program or of a later version"
    raise Unsupported(f"tensor '{name}' is of {why}; get the model in another quantization")
