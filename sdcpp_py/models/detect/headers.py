"""Reading what a model file holds from its header alone, in milliseconds and without its weights.

Two formats: GGUF (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md) and safetensors
(https://github.com/huggingface/safetensors#format).
"""

from __future__ import annotations

import json
import mmap
import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path

from sdcpp_py.errors import ModelError, ModelLoadError
from sdcpp_py.models.local_paths import not_found
from sdcpp_py.models.tensors import TensorInfo
from sdcpp_py.system.paths import absolute

# ggml's tensor types by number: name, elements per block, bytes per block.
GGML_TYPES: Mapping[int, tuple[str, int, int]] = {
    0: ("F32", 1, 4), 1: ("F16", 1, 2), 2: ("Q4_0", 32, 18), 3: ("Q4_1", 32, 20), 6: ("Q5_0", 32, 22),
    7: ("Q5_1", 32, 24), 8: ("Q8_0", 32, 34), 9: ("Q8_1", 32, 36), 10: ("Q2_K", 256, 84), 11: ("Q3_K", 256, 110),
    12: ("Q4_K", 256, 144), 13: ("Q5_K", 256, 176), 14: ("Q6_K", 256, 210), 15: ("Q8_K", 256, 292),
    16: ("IQ2_XXS", 256, 66), 17: ("IQ2_XS", 256, 74), 18: ("IQ3_XXS", 256, 98), 19: ("IQ1_S", 256, 50),
    20: ("IQ4_NL", 32, 18), 21: ("IQ3_S", 256, 110), 22: ("IQ2_S", 256, 82), 23: ("IQ4_XS", 256, 136),
    24: ("I8", 1, 1), 25: ("I16", 1, 2), 26: ("I32", 1, 4), 27: ("I64", 1, 8), 28: ("F64", 1, 8),
    29: ("IQ1_M", 256, 56), 30: ("BF16", 1, 2), 34: ("TQ1_0", 256, 54), 35: ("TQ2_0", 256, 66),
    39: ("MXFP4", 32, 17), 40: ("NVFP4", 64, 36),
}  # fmt: skip
_SAFETENSORS_BYTES = {
    "F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1,
    "F8_E4M3": 1, "F8_E5M2": 1,
}  # fmt: skip
_FOREIGN = (
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"\x89PNG", "a PNG picture"),
    (b"%PDF", "a PDF document"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"7z\xbc\xaf", "a 7-Zip archive"),
    (b"version https://git-lfs", "a Git LFS pointer; the file itself was not downloaded (run `git lfs pull`)"),
    (b"PK\x03\x04", "a zip archive (perhaps a PyTorch checkpoint); GGUF and safetensors are read"),
)


@dataclass(frozen=True)
class FileHeader:
    """What the header of a model file says.

    Attributes:
        path: the file.
        format: "gguf" or "safetensors".
        tensors: name -> TensorInfo, in the file's order.
        metadata: the file's own scalar key-value pairs (arrays are left out).
    """

    path: Path
    format: str
    tensors: Mapping[str, TensorInfo]
    metadata: Mapping[str, str | int | float | bool]

    @property
    def nbytes(self) -> int:
        """Bytes of all tensors in the file."""
        return sum(tensor.nbytes for tensor in self.tensors.values())


def read_header(file: str | os.PathLike[str]) -> FileHeader:
    """Reads the header of a GGUF or safetensors file.

    Raises:
        ModelNotFoundError: there is no such file; the message names those beside it.
        ModelLoadError: it is a directory, unreadable, empty, truncated, damaged, or something else than a model.
    """
    path = absolute(file)
    try:
        if not path.exists():
            raise not_found(path)
        if path.is_dir():
            raise ModelLoadError(f"{path} is a directory; give the model file inside it")
        size = path.stat().st_size
        if size == 0:
            raise ModelLoadError(f"{path} is empty; download it again")
        with open(path, "rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _read(path, data, size)
    except ModelError:
        raise
    except (OSError, ValueError) as error:  # ValueError: a path that holds NUL or no text at all
        raise ModelLoadError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from error


def _read(path: Path, data: mmap.mmap, size: int) -> FileHeader:
    start = data[:64]
    reader = _read_gguf if start.startswith(b"GGUF") else _read_safetensors
    if reader is _read_safetensors:
        _refuse_foreign(path, start)
    try:
        return reader(path, data, size)
    except (struct.error, UnicodeDecodeError, _Damaged) as error:
        reason = str(error) if isinstance(error, _Damaged) else "its header ends early"
        raise ModelLoadError(f"{path} is damaged or truncated ({reason}); download it again") from error


def _refuse_foreign(path: Path, start: bytes) -> None:
    for magic, what in _FOREIGN:
        if start.startswith(magic):
            raise ModelLoadError(f"{path} is no model: it is {what}")
    if start.lstrip().lower().startswith((b"<!doctype", b"<html", b"<?xml")):
        raise ModelLoadError(f"{path} is no model: it is a web page, most likely an error page saved by a download")


class _Damaged(Exception):
    """The bytes contradict the format."""


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
            raise _Damaged("a value is longer than the file")
        self.place += length

    def text(self) -> str:
        length = self.count()
        self.skip(length)
        return self.data[self.place - length : self.place].decode("utf-8")


_GGUF_STRING, _GGUF_ARRAY = 8, 9
# What follows a tensor's name, by its number of axes: their extents, its type and its place.
_GGUF_TENSORS = tuple(struct.Struct(f"<{axes}QIQ") for axes in range(6))
_COUNTS = {kind: struct.Struct(f"<{kind}") for kind in "IQ"}
_GGUF_NUMBERS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}


def _skip_array(cursor: _Cursor) -> None:
    kind, count = cursor.count("I"), cursor.count()
    if kind in _GGUF_NUMBERS:
        cursor.skip(struct.calcsize("<" + _GGUF_NUMBERS[kind]) * count)
    elif kind == _GGUF_STRING:
        cursor.place = _after_texts(cursor.data, cursor.place, count)
    else:
        raise _Damaged(f"an array of unknown type {kind}")


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
        raise _Damaged("a text is longer than the file")
    return place


def _read_gguf(path: Path, data: mmap.mmap, size: int) -> FileHeader:
    cursor = _Cursor(data, 4)
    version = cursor.count("I")
    if version not in (2, 3):
        raise ModelLoadError(f"{path} is a GGUF file of version {version}; versions 2 and 3 can be read")
    tensor_count, pair_count = cursor.count(), cursor.count()
    if tensor_count > 1_000_000 or pair_count > 1_000_000:
        raise _Damaged("the counts in its header make no sense")
    metadata: dict[str, str | int | float | bool] = {}
    for _ in range(pair_count):
        key, kind = cursor.text(), cursor.count("I")
        if kind == _GGUF_STRING:
            metadata[key] = cursor.text()
        elif kind == _GGUF_ARRAY:
            _skip_array(cursor)
        elif kind in _GGUF_NUMBERS:
            metadata[key] = cursor.number(_GGUF_NUMBERS[kind])
        else:
            raise _Damaged(f"a value of unknown type {kind}")
    described: list[tuple[str, TensorInfo, int]] = []
    for _ in range(tensor_count):
        described.append(_gguf_tensor(cursor))
    alignment = metadata.get("general.alignment", 32)
    if isinstance(alignment, bool) or not isinstance(alignment, int) or alignment < 1:
        raise _Damaged(f"its alignment is {alignment!r}")
    weights = -(-cursor.place // alignment) * alignment
    for name, tensor, offset in described:
        _check_end(path, name, weights + offset + tensor.nbytes, size)
    return FileHeader(path, "gguf", {name: tensor for name, tensor, _ in described}, metadata)


def _gguf_tensor(cursor: _Cursor) -> tuple[str, TensorInfo, int]:
    name, axes = cursor.text(), cursor.count("I")
    if axes >= len(_GGUF_TENSORS):
        raise _Damaged(f"tensor '{name}' has {axes} axes")
    # At once: a checkpoint has thousands of them.
    *extents, kind, offset = _GGUF_TENSORS[axes].unpack_from(cursor.data, cursor.place)
    cursor.place += _GGUF_TENSORS[axes].size
    shape = tuple(reversed(extents))
    if kind not in GGML_TYPES:
        raise _Damaged(f"tensor '{name}' has unknown type {kind}")
    dtype, block, block_bytes = GGML_TYPES[kind]
    if min(shape, default=1) < 1 or (shape and shape[-1] % block):
        raise _Damaged(f"tensor '{name}' has the shape {shape}, which its type {dtype} cannot have")
    return name, TensorInfo(shape, dtype, _elements(shape) // block * block_bytes), offset


def _read_safetensors(path: Path, data: mmap.mmap, size: int) -> FileHeader:
    length = int(struct.unpack_from("<Q", data, 0)[0])
    if not 2 <= length <= min(size - 8, 100 << 20) or data[8:9] != b"{":
        if size > 8 and data[8:9] == b"{":
            raise _Damaged("its header ends early")
        raise ModelLoadError(f"{path} is no model: it is neither GGUF nor safetensors")
    try:
        header = json.loads(data[8 : 8 + length])
        tensors = {name: _safetensors_tensor(name, entry) for name, entry in header.items() if name != "__metadata__"}
        ends = {name: int(entry["data_offsets"][1]) for name, entry in header.items() if name != "__metadata__"}
        metadata = {str(key): str(value) for key, value in (header.get("__metadata__") or {}).items()}
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError, RecursionError) as error:
        raise _Damaged("its header cannot be understood") from error
    for name, end in ends.items():
        _check_end(path, name, 8 + length + end, size)
    return FileHeader(path, "safetensors", tensors, metadata)


def _safetensors_tensor(name: str, entry: Mapping[str, object]) -> TensorInfo:
    shape = tuple(int(extent) for extent in entry["shape"])  # type: ignore[attr-defined]
    begin, end = (int(offset) for offset in entry["data_offsets"])  # type: ignore[attr-defined]
    dtype = str(entry["dtype"])
    width = _SAFETENSORS_BYTES.get(dtype)
    if min(shape, default=1) < 1:
        raise _Damaged(f"tensor '{name}' has the shape {shape}")
    if begin < 0 or end < begin or (width is not None and end - begin != _elements(shape) * width):
        raise _Damaged(f"tensor '{name}' has a size that its shape contradicts")
    return TensorInfo(shape, dtype, end - begin)


def _elements(shape: tuple[int, ...]) -> int:
    count = 1
    for extent in shape:
        count *= extent
    return count


def _check_end(path: Path, name: str, end: int, size: int) -> None:
    if end > size:
        raise ModelLoadError(
            f"{path} is truncated: it has {size:,} bytes, and tensor '{name}' ends at byte {end:,}; download it again"
        )
