"""What a device is asked to compute, and how far it may be off: against double precision, with random numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sdcpp_py._native.operations import Computed, Operation, StoredWeights
from sdcpp_py.preflight.self_test.stored_numbers import TYPES, random_weights
from sdcpp_py.synth.tensors import BLOCKS

Found = NDArray[np.float32]
Right = NDArray[np.float64]

# How far off, of the size of results. Kernels for quantized weights and BF16 round what they multiply to eight bits,
# others to half precision; sums in half precision of thousands of terms lose a per cent or two.
EXACT, EIGHT_BITS, HALF = 2e-3, 2e-2, 4e-2
TOKENS = (1, 8, 64, 333)
# What is called aligned is divided by all sizes of tiles, the other shape by none.
_ALIGNED, _ODD = (128, 1024), (67, 1056)
_WIDE = 3072
# Random errors of 100,000 results are at most so much larger than they are in the mean.
_PEAK = 6


class Compute(Protocol):
    """``operations.compute`` on one device."""

    def __call__(
        self, operation: Operation, activations: Found, weights: StoredWeights | None = None, **how: Any
    ) -> Computed:
        """What an operation gives."""


@dataclass(frozen=True)
class Check:
    """One thing to be computed.

    Attributes:
        kind: what it says something of: "products", "rounded products", "large sums", "rounded large sums",
            "direct convolutions", "im2col convolutions", "others", "attention", "rounded attention", "flash attention",
            "imported weights" or "pictures".
        name: in words.
        most: how far results may be off, of their size.
        run: computes it, and says how far off it is; inf where there are no numbers.
        flops: multiplications and additions of the device.
    """

    kind: str
    name: str
    most: float
    run: Callable[[Compute], float]
    flops: int = 0


def off(found: Found, right: Right) -> float:
    """How far results are off, of the size of the right ones: in all, or where a single one stands out."""
    if not np.isfinite(found).all():
        return math.inf
    size = math.sqrt(float((right**2).mean()))
    wrong = np.abs(found - right)
    return max(math.sqrt(float((wrong**2).mean())), float(wrong.max()) / _PEAK) / size


def off_or_not_finite(found: Found, right: Right) -> float:
    """As ``off``, of those results that are numbers: one that is none says by itself that it was too large."""
    numbers = np.isfinite(found)
    return off(found[numbers], right[numbers]) if numbers.any() else 0.0


def single_operations(quick: bool = False) -> Iterator[Check]:
    """Products, convolutions and what is between them. ``quick``: few of each."""
    yield from _products(("F32", "F16", "Q8_0") if quick else TYPES, (8, 333) if quick else TOKENS, quick)
    yield from _large_sums()
    yield from _convolutions(quick)
    yield from _others(quick)


def how_summed(in_float32: bool) -> str:
    """What stands at the end of a check's name."""
    return "sums in float32" if in_float32 else "sums as ggml has them"


def _products(types: tuple[str, ...], token_counts: tuple[int, ...], quick: bool) -> Iterator[Check]:
    for in_float32 in (True, False):
        for kind in types:
            odd = _ODD if _ODD[1] % BLOCKS[kind][0] == 0 else (_ODD[0], 1280)
            for outputs, inputs in (odd,) if quick else (_ALIGNED, odd):
                for tokens in token_counts:
                    yield product(kind, outputs, inputs, tokens, in_float32)
        for kind in ("F16",) if quick else ("F16", "Q8_0", "Q4_K"):
            yield product(kind, 64, _WIDE, 128, in_float32)


def product(kind: str, outputs: int, inputs: int, tokens: int, in_float32: bool) -> Check:
    """A product of so many outputs, inputs and tokens, with weights of a kind."""

    def run(compute: Compute) -> float:
        weights, numbers = random_weights(kind, outputs, inputs)
        activations = np.random.default_rng(tokens).standard_normal((tokens, inputs)).astype(np.float32)
        found = compute(Operation.MULTIPLY, activations, weights, float32_sums=in_float32).result
        return off(found, activations.astype(np.float64) @ numbers.T)

    return Check(
        "products" if in_float32 else "rounded products",
        f"product of {kind}, {inputs} -> {outputs}, {tokens} tokens, {how_summed(in_float32)}",
        (EXACT if kind in ("F32", "F16") else EIGHT_BITS) if in_float32 else HALF,
        run,
        2 * outputs * inputs * tokens,
    )


def _large_sums() -> Iterator[Check]:
    """Activations near the end of half precision and beyond it, whose sums are far beyond."""
    for in_float32 in (True, False):
        for size in (3e4, 1e5):
            for kind in ("F16", "Q8_0"):
                yield _large(kind, size, in_float32)


def _large(kind: str, size: float, in_float32: bool) -> Check:
    def run(compute: Compute) -> float:
        weights, numbers = random_weights(kind, 64, _WIDE)
        # With the signs of the first output's weights, so that its terms add up, and as few tokens of other signs.
        activations = np.full((64, _WIDE), size, np.float32) * np.where(numbers[0] < 0, -1, 1).astype(np.float32)
        found = compute(Operation.MULTIPLY, activations, weights, float32_sums=in_float32).result
        return off_or_not_finite(found, activations.astype(np.float64) @ numbers.T)

    return Check(
        "large sums" if in_float32 else "rounded large sums",
        f"product of {kind} with activations of {size:.0e}, {how_summed(in_float32)}",
        EIGHT_BITS,
        run,
        2 * 64 * _WIDE * 64,
    )


def _convolutions(quick: bool) -> Iterator[Check]:
    # Channels, out channels, height, width, edge of the kernel.
    shapes = [(32, 48, 33, 40, 3), (64, 32, 32, 32, 1)]
    if not quick:
        shapes += [(48, 3, 32, 40, 3), (512, 512, 24, 32, 3), (256, 128, 64, 64, 3)]
    for direct in (True, False):
        for shape in shapes:
            yield convolution(*shape, direct)
        if not quick:
            # im2col would write nine times as much: fewer rows of the same width.
            yield convolution(16, 16, 1024 if direct else 256, 1024, 3, direct)


def convolution(channels: int, outputs: int, height: int, width: int, edge: int, direct: bool) -> Check:
    """A convolution of a picture of that size, by kernels of that edge, in one pass or by im2col."""

    def run(compute: Compute) -> float:
        random = np.random.default_rng(channels)
        numbers = random.standard_normal((outputs, channels, edge, edge)).astype(np.float16)
        picture = random.standard_normal((channels, height, width)).astype(np.float32)
        stored = StoredWeights(1, numbers.shape, numbers.view(np.uint8).reshape(-1))
        found = compute(Operation.CONVOLVE, picture, stored, direct=direct).result
        if not np.isfinite(found).all():
            return math.inf
        rows, columns = _pixels(height, width)
        windows = np.pad(picture, ((0, 0), (edge // 2,) * 2, (edge // 2,) * 2))
        windows = np.lib.stride_tricks.sliding_window_view(windows, (edge, edge), (1, 2))[:, rows, columns]
        right = windows.transpose(1, 0, 2, 3).reshape(len(rows), -1).astype(np.float64)
        return off(found[:, rows, columns], numbers.reshape(outputs, -1).astype(np.float64) @ right.T)

    return Check(
        "direct convolutions" if direct else "im2col convolutions",
        f"convolution {channels} -> {outputs} channels at {width}x{height}, {'in one pass' if direct else 'by im2col'}",
        EXACT if direct else HALF,
        run,
        2 * outputs * channels * edge * edge * height * width,
    )


def _pixels(height: int, width: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows and columns of pixels to be looked at: all of a small picture; edges and some between of a large one."""
    if height * width <= 4096:
        rows, columns = np.divmod(np.arange(height * width), width)
        return rows, columns
    random = np.random.default_rng(0)
    rows, columns = random.integers(0, height, 8192), random.integers(0, width, 8192)
    rows[:1024] = random.choice([0, height - 1], 1024)
    columns[512:1536] = random.choice([0, width - 1], 1024)
    return rows, columns


def _others(quick: bool) -> Iterator[Check]:
    """Norms, softmax, activation functions and upscaling, of a picture whose rows fill no workgroup."""
    for shape in ((64, 7, 77),) if quick else ((64, 16, 64), (320, 7, 77)):
        for operation, right in _RIGHT.items():
            yield _other(operation, right, shape)


def _other(operation: Operation, right: Callable[[Right], Right], shape: tuple[int, ...]) -> Check:
    def run(compute: Compute) -> float:
        picture = 3 * np.random.default_rng(1).standard_normal(shape).astype(np.float32) + np.float32(0.5)
        return off(compute(operation, picture).result, right(picture.astype(np.float64)))

    name = f"{operation.name.lower().replace('_', ' ')} of {'x'.join(map(str, shape))}"
    return Check("others", name, 5e-3, run, 10 * math.prod(shape))


def _normed(x: Right) -> Right:
    result: Right = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-6)
    return result


def soft_max(x: Right) -> Right:
    """Of the last axis."""
    power = np.exp(x - x.max(-1, keepdims=True))
    result: Right = power / power.sum(-1, keepdims=True)
    return result


_RIGHT: dict[Operation, Callable[[Right], Right]] = {
    Operation.NORM: _normed,
    Operation.RMS_NORM: lambda x: x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-6),
    Operation.SOFT_MAX: soft_max,
    Operation.GROUP_NORM: lambda x: _normed(x.reshape(32, -1)).reshape(x.shape),
    Operation.SILU: lambda x: x / (1 + np.exp(-x)),
    Operation.GELU: lambda x: 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
    Operation.UPSCALE: lambda x: x.repeat(2, -1).repeat(2, -2),
}
