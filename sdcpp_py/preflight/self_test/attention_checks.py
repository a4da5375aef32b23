"""Rotation of heads, masks and attention, each as the engine's graphs have it, beside double precision."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from sdcpp_py._native.operations import Operation, StoredWeights
from sdcpp_py.preflight.self_test.checks import (
    EIGHT_BITS,
    HALF,
    Check,
    Compute,
    Found,
    Right,
    how_summed,
    off,
    soft_max,
)

_FEW = 5e-3
# As in the native library.
_ROPE_BASE = 1e6
# Heads, tokens, head size: of an encoder with its mask; of a denoiser; of a VAE, whose only head is wide.
_MASKED, _UNMASKED = (3, 77, 64), ((2, 333, 128), (1, 576, 512))
_FLASH = ((4, 256, 64), (2, 512, 128))


def attention_checks(quick: bool = False) -> Iterator[Check]:
    """All of them; ``quick``: one of each that pictures need."""
    for shape in ((77, 3, 64),) if quick else ((77, 3, 64), (333, 4, 128)):
        yield _rope(*shape)
        yield _rotation(*shape)
    yield _masked_soft_max(3, 77)
    for in_float32 in (True, False):
        yield _attention(*_MASKED, masked=True, in_float32=in_float32)
        for shape in () if quick else _UNMASKED:
            yield _attention(*shape, masked=False, in_float32=in_float32)


def flash_attention_checks() -> Iterator[Check]:
    """Attention in one pass. No graph of this library has it: what these find decides nothing."""
    for heads, tokens, size in _FLASH:
        yield _flash(heads, tokens, size)


def _rope(tokens: int, heads: int, size: int) -> Check:
    def run(compute: Compute) -> float:
        x = _random(tokens, heads, size)
        angles = _angles(tokens, size)[:, None]
        first, second = np.split(x.astype(np.float64), 2, axis=-1)
        cos, sin = np.cos(angles), np.sin(angles)
        right = np.concatenate([first * cos - second * sin, first * sin + second * cos], -1)
        return off(compute(Operation.ROPE, x).result, right)

    return Check("others", f"rope of {tokens}x{heads}x{size}", _FEW, run, 10 * tokens * heads * size)


def _rotation(tokens: int, heads: int, size: int) -> Check:
    def run(compute: Compute) -> float:
        x = _random(tokens, heads, size)
        cos, sin = np.cos(_angles(tokens, size)), np.sin(_angles(tokens, size))
        matrices = np.stack([cos, -sin, sin, cos], -1).reshape(tokens, size // 2, 2, 2).astype(np.float32)
        pairs = x.reshape(tokens, heads, size // 2, 2).astype(np.float64)
        right = np.einsum("tpij,thpj->htpi", matrices.astype(np.float64), pairs).reshape(heads, tokens, size)
        return off(compute(Operation.ROTATE, x, StoredWeights.of_numbers(matrices)).result, right)

    return Check("others", f"rotation of {tokens}x{heads}x{size}", _FEW, run, 10 * tokens * heads * size)


def _angles(tokens: int, size: int) -> Right:
    """Of each token and pair: (tokens, size / 2)."""
    steps: Right = _ROPE_BASE ** (-np.arange(size // 2, dtype=np.float64) / (size // 2))
    return np.arange(tokens, dtype=np.float64)[:, None] * steps


def _masked_soft_max(heads: int, tokens: int) -> Check:
    def run(compute: Compute) -> float:
        x, mask = 3 * _random(heads, tokens, tokens), _causal(tokens)
        return off(compute(Operation.SOFT_MAX, x, StoredWeights.of_numbers(mask)).result, soft_max(x + _exact(mask)))

    return Check("others", f"masked soft max of {heads}x{tokens}x{tokens}", _FEW, run, 10 * heads * tokens * tokens)


def _attention(heads: int, tokens: int, size: int, *, masked: bool, in_float32: bool) -> Check:
    def run(compute: Compute) -> float:
        given = _queries_keys_values(heads, tokens, size)
        mask = _causal(tokens) if masked else None
        weights = None if mask is None else StoredWeights.of_numbers(mask)
        found = compute(Operation.ATTENTION, given, weights, float32_sums=in_float32).result
        return off(found, attention(_exact(given), None if mask is None else _exact(mask)))

    return Check(
        "attention" if in_float32 else "rounded attention",
        f"{'masked ' if masked else ''}attention of {tokens} tokens and {heads}x{size}, {how_summed(in_float32)}",
        _FEW if in_float32 else HALF,
        run,
        4 * heads * tokens * tokens * size,
    )


def _flash(heads: int, tokens: int, size: int) -> Check:
    def run(compute: Compute) -> float:
        given = _queries_keys_values(heads, tokens, size)
        return off(compute(Operation.FLASH_ATTENTION, given).result, attention(_exact(given)))

    flops = 4 * heads * tokens * tokens * size
    return Check("flash attention", f"flash attention of {tokens} tokens and {heads}x{size}", EIGHT_BITS, run, flops)


def attention(given: Right, mask: Right | None = None) -> Right:
    """Of queries, keys and values (3, heads, tokens, head size): (tokens, heads * head size)."""
    queries, keys, values = given
    logits = queries @ keys.transpose(0, 2, 1) / math.sqrt(given.shape[-1])
    mixed = soft_max(logits if mask is None else logits + mask) @ values
    return np.ascontiguousarray(mixed.transpose(1, 0, 2)).reshape(given.shape[2], -1)


def _queries_keys_values(heads: int, tokens: int, size: int) -> Found:
    """Random ones, of which each query has keys that stand out."""
    return _random(3, heads, tokens, size) * np.array([2, 1, 1], np.float32).reshape(3, 1, 1, 1)


def _causal(tokens: int) -> Found:
    """Hides from each token those that come after it."""
    return np.triu(np.full((tokens, tokens), -np.inf, np.float32), 1)


def _random(*shape: int) -> Found:
    return np.random.default_rng(math.prod(shape)).standard_normal(shape).astype(np.float32)


def _exact(numbers: NDArray[np.float32]) -> Right:
    return numbers.astype(np.float64)
