"""Random values in each of ggml's types, made a few megabytes at a time.

Quantized blocks are drawn as bytes and given the scales of a wanted deviation: nothing is quantized, so
gigabytes take seconds. The layouts of blocks are those of ggml's ``ggml-common.h``.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from sdcpp_py.synth.tensors import BLOCKS, Tensor

Bytes = NDArray[np.uint8]

POOL_BYTES = 4 << 20
# Floats of 16 and 8 bits are drawn one by one and then made short: the pool for them is smaller.
_SMALL_POOL_BYTES = 1 << 19

# Root mean squares of the whole numbers that random bits stand for.
_CENTRED_2_BITS = math.sqrt((4**2 - 1) / 12)
_CENTRED_4_BITS = math.sqrt((16**2 - 1) / 12)
_CENTRED_5_BITS = math.sqrt((32**2 - 1) / 12)
_SIGNED_3_BITS = math.sqrt((8**2 - 1) / 12 + 0.25)
_SIGNED_4_BITS = math.sqrt((16**2 - 1) / 12 + 0.25)
_SIGNED_5_BITS = math.sqrt((32**2 - 1) / 12 + 0.25)
_SIGNED_6_BITS = math.sqrt((64**2 - 1) / 12 + 0.25)
_SIGNED_8_BITS = math.sqrt((256**2 - 1) / 12 + 0.25)
_SCALE_4_BITS = math.sqrt(sum(n * n for n in range(16)) / 16)
_SCALE_6_BITS = math.sqrt(sum(n * n for n in range(64)) / 64)


def weight_chunks(tensor: Tensor, seed: int) -> Iterator[Bytes]:
    """Yields the tensor's data in order, as arrays of bytes of at most ``POOL_BYTES``; the seed decides every byte.

    A tensor larger than the pool repeats its blocks from random places on: rows stay different from each other, and
    drawing costs the same for 4 MB and for 4 GB.
    """
    # Seeded by name as well, so that a tensor's bytes do not depend on what was written before it.
    random = np.random.default_rng([seed, zlib.crc32(tensor.name.encode())])
    elements, size = BLOCKS[tensor.type]
    remaining = tensor.elements // elements
    pool_bytes = _SMALL_POOL_BYTES if tensor.type in ("F16", "F8_E4M3") else POOL_BYTES
    pool = _draw(tensor, min(remaining, pool_bytes // size), random)
    start = 0
    while remaining:
        chunk = pool[start : start + remaining]
        remaining -= len(chunk)
        yield chunk.reshape(-1)
        start = int(random.integers(len(pool) // 2 + 1))


def _draw(tensor: Tensor, count: int, random: np.random.Generator) -> Bytes:
    """``count`` blocks of the tensor's type and deviation, of shape (count, bytes per block)."""
    size = BLOCKS[tensor.type][1]
    if tensor.type in _SCALERS:
        blocks: Bytes = random.integers(0, 256, (count, size), np.uint8)
        _SCALERS[tensor.type](blocks, tensor.std)
        return blocks
    plain: Bytes = _numbers(tensor, count, random).view(np.uint8).reshape(count, size)
    return plain


def _numbers(tensor: Tensor, count: int, random: np.random.Generator) -> NDArray[np.generic]:
    values: NDArray[np.float32] = np.full(count, tensor.mean, np.float32)
    if tensor.std:
        values += random.standard_normal(count, np.float32) * np.float32(tensor.std)
    stored: NDArray[np.generic] = values
    if tensor.type == "F16":
        stored = values.astype(np.float16)
    elif tensor.type == "BF16":
        stored = (values.view(np.uint32) >> 16).astype(np.uint16)
    elif tensor.type == "F8_E4M3":
        # Divided by 256, a float of 16 bits has the exponent of one of 8 where that has its own; the rest is rounded.
        halves = (values / 256).astype(np.float16).view(np.uint16) + 64 >> 7
        stored = (halves & 0x7F | halves >> 1 & 0x80).astype(np.uint8)
    elif tensor.type == "I64":
        stored = values.astype(np.int64)
    return stored


def _set_half(blocks: Bytes, place: int, value: float) -> None:
    blocks[:, place : place + 2] = np.frombuffer(np.float16(value).tobytes(), np.uint8)


def _signed(place: int, rms: float) -> Callable[[Bytes, float], None]:
    """For types of ``scale * q``: sets the scale at byte ``place``, given the root mean square of what it multiplies.

    The random bit at that place becomes the scale's sign. Two's complement has one negative number more than positive
    ones, and weights with a mean of their own would add up over a row.
    """

    def scale(blocks: Bytes, std: float) -> None:
        signs = blocks[:, place + 1] & 0x80
        _set_half(blocks, place, std / rms)
        blocks[:, place + 1] |= signs

    return scale


def _offset(rms: float, middle: float) -> Callable[[Bytes, float], None]:
    """For types of ``scale * q + minimum``, the two at the block's start: puts the middle of q's range at zero."""

    def scale(blocks: Bytes, std: float) -> None:
        _set_half(blocks, 0, std / rms)
        _set_half(blocks, 2, -middle * std / rms)

    return scale


def _scale_2_bits(blocks: Bytes, std: float) -> None:
    # A byte holds a scale and a minimum of 4 bits: with the two equal, and the factors right, q = 1.5 means zero.
    blocks[:, :16] = (blocks[:, :16] & 0x0F) * 0x11
    _set_half(blocks, 80, std / (_CENTRED_2_BITS * _SCALE_4_BITS))
    _set_half(blocks, 82, 1.5 * std / (_CENTRED_2_BITS * _SCALE_4_BITS))


def _scale_super_block(rms: float, middle: float) -> Callable[[Bytes, float], None]:
    """For Q4_K and Q5_K: eight 6-bit scales and eight 6-bit minima in twelve bytes, made equal pair by pair."""

    def scale(blocks: Bytes, std: float) -> None:
        # Bytes 4-7 hold scales 0-3 and the high bits of 4-7, bytes 8-11 the same of the minima, bytes 12-15 the low
        # bits of 4-7 of both.
        blocks[:, 8:12] = blocks[:, 4:8]
        blocks[:, 12:16] = (blocks[:, 12:16] & 0x0F) * 0x11
        _set_half(blocks, 0, std / (rms * _SCALE_6_BITS))
        _set_half(blocks, 2, middle * std / (rms * _SCALE_6_BITS))

    return scale


_SCALERS: dict[str, Callable[[Bytes, float], None]] = {
    "Q8_0": _signed(0, _SIGNED_8_BITS),
    "Q4_0": _signed(0, _SIGNED_4_BITS),
    "Q4_1": _offset(_CENTRED_4_BITS, 7.5),
    "Q5_0": _signed(0, _SIGNED_5_BITS),
    "Q5_1": _offset(_CENTRED_5_BITS, 15.5),
    "Q2_K": _scale_2_bits,
    "Q3_K": _signed(108, _SIGNED_3_BITS * _SIGNED_6_BITS),
    "Q4_K": _scale_super_block(_CENTRED_4_BITS, 7.5),
    "Q5_K": _scale_super_block(_CENTRED_5_BITS, 15.5),
    "Q6_K": _signed(208, _SIGNED_6_BITS * _SIGNED_8_BITS),
}
