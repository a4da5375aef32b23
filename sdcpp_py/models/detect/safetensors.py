"""Reading the header of a safetensors file as the engine reads it (https://github.com/huggingface/safetensors#format).

The engine leaves out tensors of bytes (U8), and refuses a file with a type that it does not know. Both are kept here:
they say what a file is (``storage.fault_of``).
"""

from __future__ import annotations

import json
import math
import mmap
import struct
from typing import Any, NoReturn

from sdcpp_py.models.tensors import Damaged, TensorInfo, Unsupported, check_empty, elements_of

READ = frozenset({"F64", "F32", "F16", "BF16", "I64", "I32", "F8_E4M3", "F8_E5M2", "U8"})
"""The types that the engine reads or leaves out; it refuses a file with any other."""

_BYTES = {
    "F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1,
    "F8_E4M3": 1, "F8_E5M2": 1,
}  # fmt: skip
_MAX_HEADER = 100 << 20  # the format's own limit
_MAX_AXES = 5
_BLANKS = b" \t\r\n"


def is_safetensors(data: mmap.mmap) -> bool:
    """Whether a file begins as one of safetensors does."""
    return data[8:512].lstrip(_BLANKS).startswith(b"{")


def read_safetensors(data: mmap.mmap) -> tuple[dict[str, TensorInfo], dict[str, str]]:
    """Tensors and metadata of a safetensors file. Raises Damaged, Unsupported, struct.error where it ends early."""
    length = int(struct.unpack_from("<Q", data, 0)[0])
    if length > _MAX_HEADER and length <= len(data) - 8:
        raise Unsupported(f"its header has {length:,} bytes, more than the format allows")
    if not 2 <= length <= len(data) - 8:
        raise Damaged("its header ends early")
    header = _parse(data[8 : 8 + length].partition(b"\0")[0])
    stored = header.pop("__metadata__", None)
    metadata = {str(key): str(value) for key, value in stored.items()} if isinstance(stored, dict) else {}
    return {name: _tensor(name, entry, 8 + length) for name, entry in header.items()}, metadata


def _parse(text: bytes) -> dict[str, Any]:
    """The header's JSON, as strictly as the engine takes it."""
    try:
        decoded = text.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Unsupported(f"its header is not UTF-8 (byte {error.start + 8}), and the engine reads no other") from error
    try:
        header = json.loads(decoded, parse_constant=_refuse, parse_float=_finite)
        if "\\ud" in decoded or "\\uD" in decoded:
            json.dumps(header, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError as error:
        raise Unsupported("its header holds a lone surrogate, which is no character") from error
    except (ValueError, RecursionError) as error:
        raise Damaged("its header cannot be understood") from error
    if not isinstance(header, dict):
        raise Damaged("its header cannot be understood")
    return header


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(text)
    return number


def _tensor(name: str, entry: Any, begin_of_data: int) -> TensorInfo:
    try:
        shape, (begin, end), dtype = tuple(entry["shape"]), entry["data_offsets"], entry["dtype"]
    except (ValueError, KeyError, TypeError) as error:
        raise Damaged(f"its header does not say what tensor '{name}' is") from error
    if not isinstance(dtype, str) or not all(type(number) is int for number in (*shape, begin, end)):
        raise Damaged(f"its header does not say what tensor '{name}' is")
    if not 0 <= begin <= end < 1 << 63 or not all(0 <= extent < 1 << 63 for extent in shape):
        raise Damaged(f"tensor '{name}' has the shape {shape} and lies from {begin} to {end}")
    width = _BYTES.get(dtype)
    if width is not None and end - begin != elements_of(shape) * width:
        raise Damaged(f"tensor '{name}' has a size that its shape contradicts")
    check_empty(name, shape, dtype)
    if len(shape) > _MAX_AXES and dtype != "U8":
        raise Unsupported(f"tensor '{name}' of type {dtype} has {len(shape)} axes, and the engine reads {_MAX_AXES}")
    return TensorInfo(shape, dtype, end - begin, begin_of_data + begin)
