"""Runs inside the Debian 13 root: operations of a device, whole and in pieces, and against double precision.

pieces.py DEVICE
"""

from __future__ import annotations

import sys

import numpy as np
from numpy.typing import NDArray

from sdcpp_py._native.operations import Operation, StoredWeights, compute

F32, F16 = 0, 1
# Of results: of sums in float32, and of those that a GPU without matrix cores makes in half precision.
EXACT, HALF = 1e-3, 3e-2


def off(found: NDArray[np.float32], right: NDArray[np.float64]) -> float:
    """How far results are from what is right, of the size that they have."""
    return float(np.linalg.norm(found - right) / np.linalg.norm(right))


def check(name: str, error: float, most: float) -> None:
    """Says an error, and ends where it is too large."""
    print(f"{name}: {error:.1e} of {most:.0e}", flush=True)
    if not error <= most:
        sys.exit(f"{name} is wrong")


def check_product(device: str, outputs: int, inputs: int, tokens: int, heads: int) -> None:
    """A product, and its pieces."""
    random = np.random.default_rng(0)
    weights = random.standard_normal((heads, outputs, inputs)).astype(np.float16)
    activations = random.standard_normal((heads, tokens, inputs)).astype(np.float32)
    stored = StoredWeights(F16, weights.shape, weights.view(np.uint8))
    right = activations.astype(np.float64) @ weights.astype(np.float64).transpose(0, 2, 1)
    for sums, most in ((True, EXACT), (False, HALF)):
        whole = compute(Operation.MULTIPLY, activations, stored, device=device, float32_sums=sums)
        pieces = compute(Operation.MULTIPLY, activations, stored, device=device, float32_sums=sums, pieces=1)
        name = f"product {heads}x{outputs}x{inputs}x{tokens}, {'float32' if sums else 'default'} sums"
        check(name, off(whole.result, right), most)
        if whole.pieces < 2 or not np.array_equal(whole.result, pieces.result):
            sys.exit(f"{name}: its {whole.pieces} pieces are not the whole")


def check_overflow(device: str) -> None:
    """Sums that pass the range of half precision are right with sums in float32."""
    activations = np.full((128, 3072), 5e4, np.float32)
    weights = np.full((64, 3072), 0.5, np.float16)
    stored = StoredWeights(F16, weights.shape, weights.view(np.uint8))
    found = compute(Operation.MULTIPLY, activations, stored, device=device, float32_sums=True)
    check("large sums", off(found.result, np.full((128, 64), 5e4 * 0.5 * 3072)), EXACT)


def check_convolution(device: str, channels: int, out_channels: int, size: int) -> None:
    """A convolution in one pass, and its pieces."""
    random = np.random.default_rng(0)
    weights = random.standard_normal((out_channels, channels, 3, 3)).astype(np.float16)
    picture = random.standard_normal((channels, size, size)).astype(np.float32)
    stored = StoredWeights(F16, weights.shape, weights.view(np.uint8))
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(picture, ((0, 0), (1, 1), (1, 1))), (3, 3), (1, 2))
    right = np.einsum("chwyx,ocyx->ohw", windows, weights.astype(np.float64), optimize=True)
    whole = compute(Operation.CONVOLVE, picture, stored, device=device, direct=True)
    pieces = compute(Operation.CONVOLVE, picture, stored, device=device, direct=True, pieces=3)
    name = f"convolution {channels}->{out_channels} at {size}"
    check(name, off(whole.result, right), EXACT)
    check(f"{name} by im2col", off(compute(Operation.CONVOLVE, picture, stored, device=device).result, right), HALF)
    if whole.pieces < 2 or not np.array_equal(whole.result, pieces.result):
        sys.exit(f"{name}: its {whole.pieces} pieces are not the whole")


if __name__ == "__main__":
    check_product(sys.argv[1], 256, 1024, 333, 1)
    check_product(sys.argv[1], 64, 64, 128, 4)
    check_overflow(sys.argv[1])
    check_convolution(sys.argv[1], 64, 48, 32)
