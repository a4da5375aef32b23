"""Single operations on a device: whether it computes them rightly, and how fast."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sdcpp_py._native.library import ffi, find_device, lib, start
from sdcpp_py._native.status import raise_failure

_AXES = 4
# What no clock tells apart.
_SHORTEST = 1e-9


class Operation(IntEnum):
    """What is computed. Shapes are C order, the last axis fastest.

    MULTIPLY: activations (..., tokens, inputs) times the transposed weights (..., outputs, inputs).
    CONVOLVE: a picture (channels, height, width) with weights (out channels, channels, edge, edge), zeros around it.
    NORM, RMS_NORM, SOFT_MAX: of the last axis; before SOFT_MAX, weights of (rows, columns) are added as a mask.
    GROUP_NORM: of a picture's channels in 32 groups.
    SILU, GELU: of each number. UPSCALE: of a picture, each pixel twice as wide and high.
    ROPE: (tokens, heads, head size), rotated by halves of a head as language models do it, from token 0 on.
    ROTATE: likewise by neighbours, as denoisers do it, with weights (tokens, head size / 2, 2, 2) of float32, which are
        ((cos, -sin), (sin, cos)); gives (heads, tokens, head size).
    ATTENTION: queries, keys and values (3, heads, tokens, head size), with a mask as SOFT_MAX has it; gives
        (tokens, heads * head size). FLASH_ATTENTION: in one pass, without a mask, of a multiple of 256 tokens.
    """

    MULTIPLY = lib.SDPY_MULTIPLY
    CONVOLVE = lib.SDPY_CONVOLVE
    NORM = lib.SDPY_NORM
    RMS_NORM = lib.SDPY_RMS_NORM
    SOFT_MAX = lib.SDPY_SOFT_MAX
    GROUP_NORM = lib.SDPY_GROUP_NORM
    SILU = lib.SDPY_SILU
    GELU = lib.SDPY_GELU
    UPSCALE = lib.SDPY_UPSCALE
    ROPE = lib.SDPY_ROPE
    ROTATE = lib.SDPY_ROTATE
    ATTENTION = lib.SDPY_ATTENTION
    FLASH_ATTENTION = lib.SDPY_FLASH_ATTENTION


@dataclass(frozen=True)
class StoredWeights:
    """Weights as a file stores them.

    Attributes:
        type: ggml's number of their type.
        shape: of the numbers, C order.
        rows: their bytes, without gaps.
    """

    type: int
    shape: tuple[int, ...]
    rows: NDArray[np.uint8]

    @classmethod
    def of_numbers(cls, numbers: NDArray[np.float32]) -> StoredWeights:
        """Float32, as they are."""
        rows = np.ascontiguousarray(numbers, np.float32)
        return cls(0, numbers.shape, rows.view(np.uint8).reshape(-1))


@dataclass(frozen=True)
class Computed:
    """What an operation gave.

    Attributes:
        result: float32.
        seconds: the shortest time of all repetitions, without the way to the device and back.
        pieces: in how many pieces the device may be given it.
        costs: its operations as submissions to a GPU are paced: products, convolutions, others.
        upload: bytes a second of its inputs on their way to the device, at the best.
    """

    result: NDArray[np.float32]
    seconds: float
    pieces: int
    costs: tuple[float, ...] = (0.0, 0.0, 0.0)
    upload: float = 0.0


def compute(
    operation: Operation,
    activations: NDArray[np.float32],
    weights: StoredWeights | None = None,
    *,
    device: str = "cpu",
    float32_sums: bool = False,
    direct: bool = False,
    kernels: bool = False,
    imported: bool = False,
    pieces: int = 0,
    repeat: int = 1,
    threads: int = 1,
) -> Computed:
    """Computes an operation on a device. Not while an engine of this process computes on it.

    Args:
        operation: which one.
        activations: float32; at most four axes.
        weights: of those that have some.
        device: its name, as ``sdcpp_py.devices()`` gives it.
        float32_sums, direct: as ``memory.gpu_rules`` has them, of products and of convolutions.
        kernels: on a CPU, with this library's kernels where they fit, as the engine has it; else with ggml's.
        imported: the weights lie in memory of this process, which the device imports.
        pieces: gives the device so many pieces at once; 0: the whole.
        repeat: computes it so often, 1 or more.
        threads: of a CPU.

    Raises SettingsError where shapes do not fit, or the device has no such operation or imports nothing; and what a
    device may fail with.
    """
    start()
    activations = np.ascontiguousarray(activations, np.float32)
    out = np.full(_result_shape(operation, activations.shape, weights), np.nan, np.float32)
    device_name = ffi.new("char[]", find_device(device).native_name.encode())
    request = ffi.new("sdpy_operation *")
    request.kind, request.device = int(operation), device_name
    request.input_shape = _fastest_first(activations.shape)
    request.input = ffi.cast("float *", ffi.from_buffer(activations))
    rows = None
    if weights is not None:
        rows = np.ascontiguousarray(weights.rows)
        request.type, request.weights_shape = weights.type, _fastest_first(weights.shape)
        request.weights = ffi.cast("void *", ffi.from_buffer(rows))
    request.float32_sums, request.direct, request.kernels = float32_sums, direct, kernels
    request.imported, request.pieces, request.repeat, request.threads = imported, pieces, repeat, threads
    computed, failure = ffi.new("sdpy_computed *"), ffi.new("sdpy_failure *")
    target: Any = ffi.cast("float *", ffi.from_buffer(out))
    if lib.sdpy_compute(request, target, out.size, computed, failure):
        raise_failure(failure, ffi)
    upload = computed.upload_bytes / max(computed.upload_seconds, _SHORTEST)
    return Computed(out, computed.seconds, computed.pieces, tuple(computed.costs), upload)


def _fastest_first(shape: tuple[int, ...]) -> list[int]:
    return [*reversed(shape), *[1] * (_AXES - len(shape))]


def _result_shape(operation: Operation, activations: tuple[int, ...], weights: StoredWeights | None) -> tuple[int, ...]:
    if operation is Operation.MULTIPLY and weights is not None:
        return (*activations[:-1], weights.shape[-2])
    if operation is Operation.CONVOLVE and weights is not None:
        return (weights.shape[0], *activations[1:])
    if operation is Operation.UPSCALE:
        return (*activations[:-2], 2 * activations[-2], 2 * activations[-1])
    if operation is Operation.ROTATE and len(activations) == 3:
        return (activations[1], activations[0], activations[2])
    if operation in (Operation.ATTENTION, Operation.FLASH_ATTENTION) and len(activations) == 4:
        return (activations[2], activations[1] * activations[3])
    return activations
