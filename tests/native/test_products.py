"""Products with weights of every type: against double precision, over every type, shape and division of the work."""

from __future__ import annotations

import gguf
import numpy as np
import pytest
from gguf import GGMLQuantizationType as Type
from hypothesis import given, settings
from hypothesis import strategies as st

from sdcpp_py._native.library import ffi, lib
from sdcpp_py._native.status import Status
from tests.support.examples import examples

from ..support.native_kernels import RUNNING, multiplied

# Where each block has its scales and minima, in half precision.
HALVES = {
    Type.Q4_0: [0],
    Type.Q4_1: [0, 2],
    Type.Q5_0: [0],
    Type.Q5_1: [0, 2],
    Type.Q8_0: [0],
    Type.IQ4_NL: [0],
    Type.IQ4_XS: [0],
    Type.Q2_K: [80, 82],
    Type.Q3_K: [108],
    Type.Q4_K: [0, 2],
    Type.Q5_K: [0, 2],
    Type.Q6_K: [208],
}


def random_weights(type_: Type, outputs: int, inputs: int, random: np.random.Generator) -> np.ndarray:
    """Rows of blocks whose every bit is random, but for scales and minima, which are random and of either sign."""
    elements, size = gguf.GGML_QUANT_SIZES[type_]
    blocks = random.integers(0, 256, (outputs * (inputs // elements), size), np.uint8)
    for place in HALVES[type_]:
        values = random.uniform(-0.1, 0.1, len(blocks)).astype(np.float16)
        blocks[:, place : place + 2] = values[:, None].view(np.uint8)
    return blocks.reshape(outputs, -1)


FLOATS = (Type.F32, Type.F16, Type.BF16)


def float_weights(type_: Type, outputs: int, inputs: int, random: np.random.Generator) -> np.ndarray:
    """Normal numbers as a file of that type holds them, one row after the other."""
    numbers = random.standard_normal((outputs, inputs)).astype(np.float32)
    return gguf.quants.quantize(numbers, type_).view(np.uint8).reshape(outputs, -1)


def rounded(activations: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Activations rounded to eight bits, 32 to a scale, in double precision; and half a step of each."""
    groups = activations.reshape(len(activations), -1, 32)
    most = np.abs(groups).max(-1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        numbers = np.where(most > 0, np.rint(groups * (np.float32(127) / most)), 0)
    scale = most.astype(float) / 127
    return (numbers * scale).reshape(activations.shape), np.broadcast_to(scale / 2, groups.shape).reshape(
        activations.shape
    )


def check(level: str, type_: Type, outputs: int, inputs: int, tokens: int, parts: int, seed: int) -> None:
    """Compares a product with double precision.

    With activations rounded as the kernel rounds them, what is left are float32's rounding steps: one for each group of
    weights, and a few, of the sum of all terms. Scale times number and minimum are each taken for four times the
    largest weight at the most. With activations as they are, half a step of each is added.
    """
    random = np.random.default_rng(seed)
    weights = random_weights(type_, outputs, inputs, random)
    activations = (random.standard_normal((tokens, inputs)) * random.uniform(0, 9, (tokens, 1))).astype(np.float32)
    activations[0, :32] = 0
    got = multiplied(level, int(type_), weights, activations, parts)
    exact = gguf.quants.dequantize(weights, type_).astype(float)
    near, half_step = rounded(activations)
    terms = 8 * np.abs(near).sum(-1, keepdims=True) * np.abs(exact).max(-1)
    bound = np.finfo(np.float32).eps * (inputs / 16 + 8) * terms + 1e-30
    assert (np.abs(got - near @ exact.T) <= bound).all()
    assert (np.abs(got - activations @ exact.T) <= bound + half_step @ np.abs(exact).T * 1.001).all()


@pytest.mark.sample(4)
@pytest.mark.parametrize("level", RUNNING)
@pytest.mark.parametrize("type_", HALVES)
@settings(max_examples=examples(25))
@given(
    outputs=st.integers(1, 100), blocks=st.integers(1, 5), tokens=st.integers(1, 40), parts=st.integers(1, 4),
    seed=st.integers(0, 1000),
)  # fmt: skip
def test_products_of_any_shape(
    level: str, type_: Type, outputs: int, blocks: int, tokens: int, parts: int, seed: int
) -> None:
    """One row, one column, tails of vectors and panels: every sum is within the bound."""
    check(level, type_, outputs, blocks * gguf.GGML_QUANT_SIZES[type_][0], tokens, parts, seed)


@pytest.mark.sample(4)
@pytest.mark.parametrize("level", RUNNING)
@pytest.mark.parametrize("type_", HALVES)
def test_long_rows_are_cut_into_panels(level: str, type_: Type) -> None:
    """More inputs than a panel has, and a last panel that is not full."""
    check(level, type_, outputs=70, inputs=1792, tokens=33, parts=3, seed=1)


@pytest.mark.parametrize("level", RUNNING)
@pytest.mark.parametrize("type_", HALVES)
def test_largest_numbers_do_not_overflow(level: str, type_: Type) -> None:
    """All bits set against activations of the largest magnitude, of one sign: sums in 16 bits still fit."""
    random = np.random.default_rng(3)
    weights = random_weights(type_, 40, 512, random)
    for fill in (0x00, 0x7F, 0x80, 0xFF):
        blocks = np.full_like(weights, fill).reshape(-1, gguf.GGML_QUANT_SIZES[type_][1])
        for place in HALVES[type_]:
            blocks[:, place : place + 2] = np.frombuffer(np.float16(0.01).tobytes(), np.uint8)
        full = blocks.reshape(weights.shape)
        for value in (-1.0, 1.0):
            activations = np.full((7, 512), value, np.float32)
            exact = activations @ gguf.quants.dequantize(full, type_).astype(float).T
            np.testing.assert_allclose(
                multiplied(level, int(type_), full, activations, 1), exact, rtol=1e-4, atol=1e-4 * 512 * 0.01 * 128
            )


@pytest.mark.sample(4)
@pytest.mark.parametrize("level", RUNNING)
@pytest.mark.parametrize("type_", FLOATS)
@settings(max_examples=examples(25))
@given(
    outputs=st.integers(1, 300), inputs=st.integers(1, 600), tokens=st.integers(1, 40), parts=st.integers(1, 4),
    rank=st.integers(0, 40), seed=st.integers(0, 1000),
)  # fmt: skip
def test_float_weights_are_multiplied_as_they_are(
    level: str, type_: Type, outputs: int, inputs: int, tokens: int, parts: int, rank: int, seed: int
) -> None:
    """Any shape, with what a LoRA adds and without: no number is rounded before it is multiplied."""
    random = np.random.default_rng(seed)
    weights = float_weights(type_, outputs, inputs, random)
    activations = random.standard_normal((tokens, inputs)).astype(np.float32)
    inner, up = (random.standard_normal((rows, rank)).astype(np.float32) for rows in (tokens, outputs))
    low_rank = (inner, up) if rank else None
    got = multiplied(level, int(type_), weights, activations, parts, low_rank)
    exact = gguf.quants.dequantize(weights, type_).reshape(outputs, inputs).astype(float)
    wanted = activations @ exact.T + inner.astype(float) @ up.T
    terms = np.abs(activations) @ np.abs(exact.T) + np.abs(inner).astype(float) @ np.abs(up.T)
    assert (np.abs(got - wanted) <= np.finfo(np.float32).eps * (inputs + rank) * terms).all()


@pytest.mark.sample(4)
@pytest.mark.parametrize("level", RUNNING)
@pytest.mark.parametrize("type_", HALVES)
@settings(max_examples=examples(10))
@given(outputs=st.integers(1, 100), tokens=st.integers(1, 40), rank=st.integers(1, 300), seed=st.integers(0, 1000))
def test_what_a_lora_adds_comes_on_top(
    level: str, type_: Type, outputs: int, tokens: int, rank: int, seed: int
) -> None:
    """To a product of quantized weights is added, in float32, the product of two matrices of any rank."""
    random = np.random.default_rng(seed)
    weights = random_weights(type_, outputs, 256, random)
    activations = random.standard_normal((tokens, 256)).astype(np.float32)
    inner, up = (random.standard_normal((rows, rank)).astype(np.float32) for rows in (tokens, outputs))
    without = multiplied(level, int(type_), weights, activations, 2).astype(float)
    added = multiplied(level, int(type_), weights, activations, 2, (inner, up)) - without
    terms = np.abs(without) + np.abs(inner).astype(float) @ np.abs(up.T)
    assert (np.abs(added - inner.astype(float) @ up.T) <= np.finfo(np.float32).eps * (rank + 1) * terms).all()


@pytest.mark.parametrize("level", RUNNING)
def test_parts_do_not_change_a_bit(level: str) -> None:
    """However the work is divided among threads, the sums are the same to the last bit."""
    random = np.random.default_rng(2)
    weights = random_weights(Type.Q4_K, 150, 768, random)
    activations = random.standard_normal((41, 768)).astype(np.float32)
    one = multiplied(level, int(Type.Q4_K), weights, activations, 1)
    assert all((multiplied(level, int(Type.Q4_K), weights, activations, n) == one).all() for n in (2, 3, 7, 41))
    halves = float_weights(Type.F16, 150, 768, random)
    one = multiplied(level, int(Type.F16), halves, activations, 1)
    assert all((multiplied(level, int(Type.F16), halves, activations, n) == one).all() for n in (2, 3, 7, 41))


def test_types_that_no_kernel_reads_are_refused() -> None:
    """A type that is left to ggml, or rows that are no whole blocks, are an error and nothing is read."""
    failure, nothing = ffi.new("sdpy_failure *"), ffi.NULL
    for type_, inputs in ((int(Type.IQ3_S), 256), (int(Type.Q4_K), 255), (9999, 32)):
        status = lib.sdpy_multiply(
            b"avx2", type_, nothing, nothing, nothing, inputs, 1, 1, 1, nothing, nothing, 0, failure
        )
        assert status == Status.BAD_SETTINGS


@pytest.mark.parametrize("level", RUNNING)
@pytest.mark.parametrize("type_", [*HALVES, *FLOATS])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_no_number_stays_none(level: str, type_: Type, value: float) -> None:
    """One or all of a token's activations: every result of that token shows it, and no other token's."""
    random = np.random.default_rng(5)
    weights = (float_weights if type_ in FLOATS else random_weights)(type_, 40, 512, random)
    for columns in (slice(3, 4), slice(511, 512), slice(None)):
        activations = random.standard_normal((9, 512)).astype(np.float32)
        activations[4, columns] = value
        got = multiplied(level, int(type_), weights, activations, 2)
        assert not np.isfinite(got[4]).any()
        assert np.isfinite(np.delete(got, 4, 0)).all()
