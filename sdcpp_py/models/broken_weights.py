"""Weights that are no numbers, in files whose headers are right."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sdcpp_py.errors import ModelError
from sdcpp_py.ggml_types import GGML_TYPES
from sdcpp_py.models.detect.headers import read_header
from sdcpp_py.models.tensors import TensorInfo

_BLOCK_BYTES = {name: block_bytes for name, _, block_bytes in GGML_TYPES.values()}
# Where a block of a quantized type has its scales, numbers of 16 bits; those with no row here have them at its begin.
_SCALES = {
    "Q2_K": (80, 82), "Q3_K": (108,), "Q4_1": (0, 2), "Q4_K": (0, 2), "Q5_1": (0, 2), "Q5_K": (0, 2), "Q6_K": (208,),
    "Q8_1": (0, 2), "TQ1_0": (52,), "TQ2_0": (64,),
}  # fmt: skip
_WITHOUT = frozenset({"I8", "I16", "I32", "I64", "U8", "BOOL", "F8_E4M3", "F8_E5M2", "MXFP4", "NVFP4", "IQ1_M", "Q8_K"})
_FLOATS = {"F64": np.float64, "F32": np.float32, "F16": np.float16}
# Read at once.
_PIECE = 16 << 20


def broken_tensor(files: Iterable[Path], check: Callable[[], None]) -> tuple[Path, str] | None:
    """The first tensor among some files that holds NaN or infinity, with its file; None where none is found.

    Reads the files from begin to end, and calls ``check`` now and then, whose exceptions come out. Of quantized
    tensors, the scales are looked at.
    """
    for path in files:
        try:
            tensors = read_header(path).tensors
        except ModelError:
            continue
        with path.open("rb") as stream:
            for name, tensor in tensors.items():
                check()
                if tensor.dtype not in _WITHOUT and not _is_sound(stream.fileno(), tensor):
                    return path, name
    return None


def _is_sound(file: int, tensor: TensorInfo) -> bool:
    block = _BLOCK_BYTES.get(tensor.dtype, 1)
    most = max(block, _PIECE // block * block)
    for begin in range(0, tensor.nbytes, most):
        data = os.pread(file, min(most, tensor.nbytes - begin), tensor.offset + begin)
        if not all(np.isfinite(numbers).all() for numbers in _numbers(tensor.dtype, np.frombuffer(data, np.uint8))):
            return False
    return True


def _numbers(dtype: str, data: NDArray[np.uint8]) -> list[NDArray[np.floating]]:
    """What of a tensor's bytes must be numbers."""
    if dtype in _FLOATS:
        return [data.view(_FLOATS[dtype])]
    if dtype == "BF16":
        return [(data.view(np.uint16).astype(np.uint32) << 16).view(np.float32)]
    blocks = data.reshape(-1, _BLOCK_BYTES[dtype])
    return [np.ascontiguousarray(blocks[:, at : at + 2]).view(np.float16) for at in _SCALES.get(dtype, (0,))]
