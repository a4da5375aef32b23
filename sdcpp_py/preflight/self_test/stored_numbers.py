"""Random weights of each type that files have, and the numbers that they stand for.

The layouts of blocks are those of ggml's ``ggml-common.h``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from sdcpp_py._native.operations import StoredWeights
from sdcpp_py.ggml_types import GGML_TYPES
from sdcpp_py.synth.blocks import weight_chunks
from sdcpp_py.synth.tensors import BLOCKS, QUANTIZATIONS, Tensor

Bytes = NDArray[np.uint8]
Numbers = NDArray[np.float64]

TYPES = QUANTIZATIONS
_NUMBER_OF = {name: number for number, (name, _, _) in GGML_TYPES.items()}


@lru_cache(maxsize=8)
def random_weights(kind: str, *shape: int) -> tuple[StoredWeights, Numbers]:
    """Weights of a type, the last axis whole blocks of it, and their numbers: about as large as a layer's are.

    Args:
        kind: one of ``TYPES``.
        shape: C order.
    """
    tensor = Tensor(f"{kind} {shape}", shape, kind, 1 / math.sqrt(shape[-1]))
    rows = np.concatenate(list(weight_chunks(tensor, seed=0)))
    return StoredWeights(_NUMBER_OF[kind], shape, rows), numbers_of(kind, rows).reshape(shape)


def numbers_of(kind: str, rows: Bytes) -> Numbers:
    """The numbers that stored bytes stand for, in float64, in one axis."""
    if kind == "BF16":
        return (rows.view(np.uint16).astype(np.uint32) << 16).view(np.float32).astype(np.float64)
    if kind in ("F32", "F16"):
        return rows.view(np.float32 if kind == "F32" else np.float16).astype(np.float64)
    blocks = rows.reshape(-1, BLOCKS[kind][1])
    return _UNPACK[kind](blocks).reshape(-1)


def _half(blocks: Bytes, place: int) -> Numbers:
    """A number of 16 bits in each block, of shape (blocks, 1)."""
    return np.ascontiguousarray(blocks[:, place : place + 2]).view(np.float16).astype(np.float64)


def _nibbles(bytes_: Bytes, at_once: int) -> Numbers:
    """So many low halves of bytes, then as many high ones, and so on."""
    groups = bytes_.reshape(len(bytes_), -1, 1, at_once)
    return np.concatenate([groups & 15, groups >> 4], 2).reshape(len(bytes_), -1).astype(np.float64)


def _pairs(bytes_: Bytes) -> Numbers:
    """Numbers of two bits: of 32 bytes the lowest of all, then the next of all, and so on."""
    groups = bytes_.reshape(len(bytes_), -1, 1, 32)
    shifts = np.arange(0, 8, 2, dtype=np.uint8).reshape(4, 1)
    return (groups >> shifts & 3).reshape(len(bytes_), -1).astype(np.float64)


def _bits(bytes_: Bytes) -> Numbers:
    """The bits of all bytes in order, the lowest first."""
    return np.unpackbits(np.ascontiguousarray(bytes_), axis=1, bitorder="little").astype(np.float64)


def _bits_of_32(bytes_: Bytes) -> Numbers:
    """The lowest bits of 32 bytes, then the next of all, and so on."""
    shifts = np.arange(8, dtype=np.uint8).reshape(8, 1)
    return (bytes_[:, None, :] >> shifts & 1).reshape(len(bytes_), -1).astype(np.float64)


def _q8_0(blocks: Bytes) -> Numbers:
    return _half(blocks, 0) * np.ascontiguousarray(blocks[:, 2:]).view(np.int8)


def _q4_0(blocks: Bytes) -> Numbers:
    return _half(blocks, 0) * (_nibbles(blocks[:, 2:], 16) - 8)


def _q4_1(blocks: Bytes) -> Numbers:
    return _half(blocks, 0) * _nibbles(blocks[:, 4:], 16) + _half(blocks, 2)


def _q5_0(blocks: Bytes) -> Numbers:
    return _half(blocks, 0) * (_nibbles(blocks[:, 6:], 16) + 16 * _bits(blocks[:, 2:6]) - 16)


def _q5_1(blocks: Bytes) -> Numbers:
    return _half(blocks, 0) * (_nibbles(blocks[:, 8:], 16) + 16 * _bits(blocks[:, 4:8])) + _half(blocks, 2)


def _q2_k(blocks: Bytes) -> Numbers:
    scales, least = (blocks[:, :16] & 15).repeat(16, 1), (blocks[:, :16] >> 4).repeat(16, 1)
    numbers: Numbers = _half(blocks, 80) * scales * _pairs(blocks[:, 16:80]) - _half(blocks, 82) * least
    return numbers


def _q3_k(blocks: Bytes) -> Numbers:
    packed = blocks[:, 96:108]
    low = np.concatenate([packed[:, :8] & 15, packed[:, :8] >> 4], 1)
    high = np.concatenate([packed[:, 8:] >> shift & 3 for shift in (0, 2, 4, 6)], 1)
    scales = (low.astype(np.float64) + 16 * high - 32).repeat(16, 1)
    numbers: Numbers = _half(blocks, 108) * scales * (_pairs(blocks[:, 32:96]) + 4 * _bits_of_32(blocks[:, :32]) - 4)
    return numbers


def _scales_of_6_bits(blocks: Bytes) -> tuple[Numbers, Numbers]:
    """Scales and minima of Q4_K and Q5_K, one for each number."""
    first, second, last = blocks[:, 4:8], blocks[:, 8:12], blocks[:, 12:16]
    scales = np.concatenate([first & 63, last & 15 | first >> 6 << 4], 1)
    least = np.concatenate([second & 63, last >> 4 | second >> 6 << 4], 1)
    return _half(blocks, 0) * scales.repeat(32, 1), _half(blocks, 2) * least.repeat(32, 1)


def _q4_k(blocks: Bytes) -> Numbers:
    scales, least = _scales_of_6_bits(blocks)
    return scales * _nibbles(blocks[:, 16:], 32) - least


def _q5_k(blocks: Bytes) -> Numbers:
    scales, least = _scales_of_6_bits(blocks)
    return scales * (_nibbles(blocks[:, 48:], 32) + 16 * _bits_of_32(blocks[:, 16:48])) - least


def _q6_k(blocks: Bytes) -> Numbers:
    scales = np.ascontiguousarray(blocks[:, 192:208]).view(np.int8).repeat(16, 1)
    return _half(blocks, 208) * scales * (_nibbles(blocks[:, :128], 64) + 16 * _pairs(blocks[:, 128:192]) - 32)


_UNPACK: dict[str, Callable[[Bytes], Numbers]] = {
    "Q8_0": _q8_0,
    "Q4_0": _q4_0,
    "Q4_1": _q4_1,
    "Q5_0": _q5_0,
    "Q5_1": _q5_1,
    "Q2_K": _q2_k,
    "Q3_K": _q3_k,
    "Q4_K": _q4_k,
    "Q5_K": _q5_k,
    "Q6_K": _q6_k,
}
