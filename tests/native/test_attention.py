"""Attention: in one node on the CPU, and elsewhere a few heads at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from sdcpp_py._native.library import lib
from sdcpp_py._native.operations import Operation, StoredWeights, compute
from sdcpp_py.preflight.named_files import files_named
from sdcpp_py.preflight.plan_files import plan_files
from tests.support.examples import examples

from ..support.native_kernels import RUNNING, using_kernels

USUAL_ROOM = 64 << 20
Array = NDArray[np.float32]


@pytest.fixture(autouse=True)
def usual_room() -> Iterator[None]:
    """What one test sets is not found by the next."""
    yield
    lib.sdpy_set_attention_room(USUAL_ROOM)


def random_heads(heads: int, tokens: int, size: int, seed: int) -> Array:
    """Queries, keys and values."""
    return np.random.default_rng(seed).standard_normal((3, heads, tokens, size)).astype(np.float32)


def random_mask(tokens: int, seed: int) -> Array:
    """Some pairs hidden, but of no token all, and some numbers added."""
    random = np.random.default_rng(seed)
    mask = np.where(random.random((tokens, tokens)) < 0.5, -np.inf, random.standard_normal((tokens, tokens)))
    np.fill_diagonal(mask, 0)
    return mask.astype(np.float32)


def attended(heads: Array, mask: Array | None, *, kernels: bool = True, threads: int = 2) -> Array:
    weights = None if mask is None else StoredWeights.of_numbers(mask)
    return compute(Operation.ATTENTION, heads, weights, kernels=kernels, threads=threads).result


def exact(heads: Array, mask: Array | None) -> NDArray[np.float64]:
    """In double precision."""
    q, k, v = heads.astype(float)
    logarithms = q @ k.transpose(0, 2, 1) / np.sqrt(q.shape[-1]) + (0 if mask is None else mask)
    weights = np.exp(logarithms - logarithms.max(-1, keepdims=True))
    result = weights / weights.sum(-1, keepdims=True) @ v
    return np.asarray(result.transpose(1, 0, 2).reshape(q.shape[1], -1), float)


@pytest.mark.sample(2)
@pytest.mark.parametrize("level", RUNNING)
@settings(max_examples=examples(40))
@given(
    heads=st.integers(1, 3), tokens=st.integers(1, 150), size=st.integers(1, 70).map(lambda half: 2 * half),
    masked=st.booleans(), threads=st.integers(1, 3), seed=st.integers(0, 1000),
)  # fmt: skip
def test_attention_of_any_shape(
    level: str, heads: int, tokens: int, size: int, masked: bool, threads: int, seed: int
) -> None:
    """One token, tails of vectors, panels and blocks, hidden pairs: as in double precision, but for rounding."""
    given_heads = random_heads(heads, tokens, size, seed)
    mask = random_mask(tokens, seed) if masked else None
    with using_kernels(level):
        got = attended(given_heads, mask, threads=threads)
    np.testing.assert_allclose(got, exact(given_heads, mask), rtol=0, atol=2e-5)


@pytest.mark.parametrize("size", [40, 128, 512])
def test_many_keys_and_large_heads(size: int) -> None:
    """More keys than a block and more queries than a group have, for heads up to the largest."""
    heads = random_heads(2, 700, size, 1)
    np.testing.assert_allclose(attended(heads, None), exact(heads, None), rtol=0, atol=2e-5)
    mask = random_mask(700, 2)
    mask[5, :600] = -np.inf  # its first blocks have nothing
    np.testing.assert_allclose(attended(heads, mask), exact(heads, mask), rtol=0, atol=2e-5)


@pytest.mark.parametrize("level", RUNNING)
def test_every_instruction_set_and_number_of_threads_gives_the_same_bits(level: str) -> None:
    """Sums are added up in one order, and exponentials computed in one way."""
    heads, mask = random_heads(3, 333, 48, 3), random_mask(333, 3)
    first = attended(heads, mask, threads=1)
    with using_kernels(level):
        assert all(np.array_equal(attended(heads, mask, threads=threads), first) for threads in (1, 2, 5))


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("of", [0, 1, 2])
def test_what_is_no_number_shows(of: int, value: float) -> None:
    """In a query, that token alone; in a key or a value, every token that sees it."""
    heads = random_heads(1, 300, 64, 4)
    heads[of, 0, 290, 3] = value
    if of == 1:
        heads[0, 0, :, 3] = 1  # minus infinity would hide the key
    finite = np.isfinite(attended(heads, None))
    assert not finite[290, 3]
    assert finite[:290].all() if of == 0 else not finite[:, 3].any()


def test_large_numbers_do_not_overflow() -> None:
    """Logarithms of hundreds have exponentials that float32 does not hold."""
    heads = random_heads(1, 300, 64, 5)
    heads[:2] *= 20
    np.testing.assert_allclose(attended(heads, None), exact(heads, None), rtol=0, atol=2e-3)


@pytest.mark.parametrize("masked", [False, True])
def test_heads_apart_change_no_bit(masked: bool) -> None:
    """Where our kernels are not in use, one head after the other gives what all give at once."""
    heads, mask = random_heads(8, 100, 32, 6), random_mask(100, 6) if masked else None
    lib.sdpy_set_attention_room(1)
    apart = attended(heads, mask, kernels=False)
    lib.sdpy_set_attention_room(1 << 40)
    assert np.array_equal(apart, attended(heads, mask, kernels=False))


@pytest.mark.parametrize("name", ["klein-4b", "z-image-turbo"])
def test_large_pictures_need_less(name: str) -> None:
    """At 1024x1024 the working buffer is less than half of what it is with the weights of all pairs of tokens."""
    working = []
    with files_named(name, "Q4_K", hollow=True) as found:
        for kernels in (using_kernels("off"), nullcontext()):
            with kernels:
                plan = plan_files(found.files, width=1024, height=1024, memory="all", device="cpu")
            working.append(plan.part("diffusion_model").need.working)
    assert working[1] < working[0] / 2


def test_the_largest_picture_can_be_planned() -> None:
    """At 4096x4096 one head's weights of all pairs of tokens would take 17 GiB, and the working buffer is less."""
    with files_named("klein-4b", "Q4_K", hollow=True) as found:
        plan = plan_files(found.files, width=4096, height=4096, memory="all", device="cpu")
    tokens = (4096 // 16) ** 2 + 512
    assert plan.part("diffusion_model").need.working < 4 * tokens**2
