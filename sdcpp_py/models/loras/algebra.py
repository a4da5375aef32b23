"""Differences of weights as pairs of matrices: whatever a layer was trained as, ``up @ down`` is its difference.

Everything is exact but for the rounding of float32. A pair is (down, up), of shapes (rank, inputs) and (outputs, rank).
A convolution's weight counts as a matrix here, with a column for each channel and place of its kernel.
"""

from __future__ import annotations

import numpy as np

from sdcpp_py.models.loras.numbers import Floats

Pair = tuple[Floats, Floats]


def dense(difference: Floats) -> Pair:
    """A whole difference beside the smaller one of the two identities that keep it as it is."""
    outputs, inputs = difference.shape
    if inputs <= outputs:
        return np.eye(inputs, dtype=np.float32), difference
    return difference, np.eye(outputs, dtype=np.float32)


def through_core(down: Floats, core: Floats) -> Floats:
    """The kernels of a convolution whose LoRA convolves between its halves: (rank, channels, height, width).

    Args:
        down: (inner rank, channels).
        core: (rank, inner rank, height, width).
    """
    return np.ascontiguousarray(np.einsum("rihw,ic->rchw", core, down, optimize=True))


def hadamard_rank(outputs: int, inputs: int, first: int, second: int) -> int:
    """The rank of the pair that ``hadamard`` makes of two pairs of these ranks."""
    return min(first * second, outputs, inputs)


def hadamard(first: Pair, second: Pair) -> Pair:
    """The pair of the product, element by element, of two differences that are pairs themselves (LoHa)."""
    (down1, up1), (down2, up2) = first, second
    rank = len(down1) * len(down2)
    outputs, inputs = len(up1), down1.shape[1]
    if rank >= min(outputs, inputs):
        difference = up1 @ down1
        difference *= up2 @ down2
        return dense(difference)
    # Sums multiply out: one product of rows and one of columns for each two that the sums are of.
    up = (up1[:, :, None] * up2[:, None, :]).reshape(outputs, rank)
    down = (down1[:, None] * down2[None]).reshape(rank, inputs)
    return down, up


def kronecker_rank(outputs: int, inputs: int, first: int, second: int) -> int:
    """The rank of the pair that ``kronecker`` makes of two factors of these ranks (a whole one's: its shorter side)."""
    return min(first * second, outputs, inputs)


def kronecker(first: Floats | Pair, second: Floats | Pair) -> Pair:
    """The pair of the Kronecker product of two factors, each a whole matrix or a pair (LoKr)."""
    (down1, up1), (down2, up2) = _as_pair(first), _as_pair(second)
    outputs, inputs = len(up1) * len(up2), down1.shape[1] * down2.shape[1]
    if len(down1) * len(down2) < min(outputs, inputs):
        return _kron(down1, down2), _kron(up1, up2)
    return dense(_kron(up1 @ down1, up2 @ down2))


def _as_pair(factor: Floats | Pair) -> Pair:
    if not isinstance(factor, tuple):
        return dense(factor)
    down, up = factor
    return factor if len(down) < min(len(up), down.shape[1]) else dense(up @ down)


def _kron(first: Floats, second: Floats) -> Floats:
    rows, columns = len(first) * len(second), first.shape[1] * second.shape[1]
    return (first[:, None, :, None] * second[None, :, None, :]).reshape(rows, columns)
