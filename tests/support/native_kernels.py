"""The native kernels by themselves."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sdcpp_py._native.library import choose_kernels, ffi, kernels, lib
from sdcpp_py._native.status import Status

LEVELS = ("avx2", "avx_vnni", "avx512", "avx512_vnni")
RUNNING = [level for level in LEVELS if lib.sdpy_kernels_run(level.encode())]
"""The levels that this CPU can run."""


@contextmanager
def using_kernels(name: str) -> Iterator[None]:
    """All graphs that are built meanwhile use these kernels: a level, or "off" for the engine's own."""
    before = kernels()
    choose_kernels(name)
    try:
        yield
    finally:
        choose_kernels(before)


def _pointer(kind: str, array: NDArray[Any]) -> Any:
    return ffi.cast(kind, ffi.from_buffer(array))


def convolved(
    level: str, picture: NDArray[np.float32], weights: NDArray[np.float16], parts: int
) -> NDArray[np.float32]:
    """A picture (channels, height, width) convolved with weights (out channels, channels, 3, 3) or (..., 1, 1)."""
    return _convolved(lib.sdpy_convolve, level, picture, weights, weights.shape[-1], parts)


def convolved_by_winograd(
    level: str, picture: NDArray[np.float32], weights: NDArray[np.float16], parts: int
) -> NDArray[np.float32]:
    """The same for 3x3, with a quarter of the multiplications."""
    return _convolved(lib.sdpy_winograd, level, picture, weights, parts)


def _convolved(
    function: Any, level: str, picture: NDArray[np.float32], weights: NDArray[np.float16], *rest: int
) -> NDArray[np.float32]:
    channels, height, width = picture.shape
    out = np.full((len(weights), height, width), np.nan, np.float32)
    failure = ffi.new("sdpy_failure *")
    arrays = (_pointer("float *", picture), _pointer("uint16_t *", weights), _pointer("float *", out))
    status = function(level.encode(), *arrays, channels, height, width, len(weights), *rest, failure)
    assert status == Status.OK, ffi.string(failure.message)
    return out


def multiplied(
    level: str,
    type_: int,
    weights: NDArray[Any],
    activations: NDArray[np.float32],
    parts: int,
    low_rank: tuple[NDArray[np.float32], NDArray[np.float32]] | None = None,
) -> NDArray[np.float32]:
    """Activations (tokens, inputs) times weights (outputs, bytes of a row) of ggml's type of that number.

    With ``low_rank``, (tokens, rank) and (outputs, rank), the product of these two is added.
    """
    out = np.full((len(activations), len(weights)), np.nan, np.float32)
    failure = ffi.new("sdpy_failure *")
    inner, up = (_pointer("float *", one) for one in low_rank) if low_rank else (ffi.NULL, ffi.NULL)
    status = lib.sdpy_multiply(
        level.encode(),
        type_,
        _pointer("void *", weights),
        _pointer("float *", activations),
        _pointer("float *", out),
        activations.shape[1],
        len(weights),
        len(activations),
        parts,
        inner,
        up,
        low_rank[0].shape[1] if low_rank else 0,
        failure,
    )
    assert status == Status.OK, ffi.string(failure.message)
    return out
