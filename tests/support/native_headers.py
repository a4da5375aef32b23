"""What the engine itself reads in the header of a file."""

from __future__ import annotations

from pathlib import Path

from sdcpp_py._native.library import ffi, lib
from sdcpp_py.ggml_types import GGML_TYPES
from sdcpp_py.models.detect.headers import FileHeader
from sdcpp_py.models.tensors import TensorInfo

Read = dict[str, tuple[str, tuple[int, ...], int, int]]
"""By a tensor's name: its type in memory, its shape in the engine's five axes, and its place and bytes in the file."""

_IN_MEMORY = {"F64": "F32", "F8_E4M3": "F16", "F8_E5M2": "F16", "I64": "I32"}


def engine_reads(path: Path) -> Read | None:
    """The tensors that the engine finds; None where it refuses the file."""
    found, count, failure = ffi.new("sdpy_stored_tensor[512]"), ffi.new("int *"), ffi.new("sdpy_failure *")
    if lib.sdpy_read_header(str(path).encode(), found, len(found), count, failure):
        return None
    assert count[0] <= len(found)
    return {
        bytes(ffi.string(tensor.name)).decode("utf-8", "backslashreplace"): (
            GGML_TYPES[tensor.type][0],
            tuple(tensor.shape),
            tensor.offset,
            tensor.bytes,
        )
        for tensor in found[0 : count[0]]
    }


def we_read(header: FileHeader) -> Read:
    """The same of a header that we have read; without tensors of bytes, which the engine leaves out."""
    return {
        name: (_in_memory(header, tensor), _axes(tensor.shape), tensor.offset, tensor.nbytes)
        for name, tensor in header.tensors.items()
        if (header.format, tensor.dtype) != ("safetensors", "U8")
    }


def _in_memory(header: FileHeader, tensor: TensorInfo) -> str:
    return _IN_MEMORY.get(tensor.dtype, tensor.dtype) if header.format == "safetensors" else tensor.dtype


def _axes(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The engine has the fastest axis first, and the first two of five as one."""
    if len(shape) == 5:
        shape = (shape[0] * shape[1], *shape[2:])
    return (*reversed(shape), *(1,) * (5 - len(shape)))
