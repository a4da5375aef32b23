"""Single operations, and what of them can be computed in pieces."""

from __future__ import annotations

import gguf
import numpy as np
import pytest
from gguf.quants import dequantize, quantize
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from sdcpp_py._native.operations import Operation, StoredWeights, compute
from sdcpp_py.errors import NativeLibraryError, SettingsError

QUANTIZED = ["Q4_0", "Q5_0", "Q8_0"]
TYPES = ["F32", "F16", *QUANTIZED]
# A GPU is given so many columns of a product at once, at least.
COLUMNS = 64


def random(seed: int, *shape: int) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def stored(kind: str, values: NDArray[np.float32]) -> tuple[StoredWeights, NDArray[np.float64]]:
    """Weights in a type, and the numbers that they are in it."""
    number = gguf.GGMLQuantizationType[kind]
    rows = values.astype({"F32": np.float32, "F16": np.float16}[kind]) if kind[0] == "F" else quantize(values, number)
    numbers = rows if kind[0] == "F" else dequantize(rows, number)
    return StoredWeights(number.value, values.shape, rows.view(np.uint8)), numbers.astype(np.float64)


@given(
    kind=st.sampled_from(TYPES),
    outputs=st.integers(1, 70),
    tokens=st.integers(1, 300),
    blocks=st.integers(1, 4),
    at_once=st.integers(1, 4),
    seed=st.integers(0, 2**32),
)
def test_a_product_in_pieces_is_the_product(
    kind: str, outputs: int, tokens: int, blocks: int, at_once: int, seed: int
) -> None:
    """Columns of a product, some at a time, are to the bit what they are in the whole, which is right."""
    weights, numbers = stored(kind, random(seed, outputs, 32 * blocks))
    activations = random(seed + 1, tokens, 32 * blocks)
    # ggml's CPU products of one column take another way where one thread has them all.
    whole = compute(Operation.MULTIPLY, activations, weights, threads=2)
    in_pieces = compute(Operation.MULTIPLY, activations, weights, pieces=at_once, threads=2)
    np.testing.assert_array_equal(in_pieces.result, whole.result)
    assert whole.pieces == max(1, -(-tokens // COLUMNS)) or outputs * COLUMNS * 4 % 256, (
        "64 columns begin where a GPU reads"
    )
    right = activations.astype(np.float64) @ numbers.T
    # ggml's CPU products round activations: to eight bits, or to half precision.
    lengths = np.linalg.norm(activations, axis=1)[:, None] * np.linalg.norm(numbers, axis=1)
    assert (abs(whole.result - right) <= (0.02 if kind in QUANTIZED else 2e-3) * lengths).all()


@given(
    heads=st.integers(2, 6),
    shared=st.booleans(),
    tokens=st.sampled_from([16, 64, 80]),
    keys=st.sampled_from([16, 64]),
    at_once=st.integers(1, 4),
    seed=st.integers(0, 2**32),
)
def test_products_of_several_matrices_are_divided_among_them(
    heads: int, shared: bool, tokens: int, keys: int, at_once: int, seed: int
) -> None:
    """Attention's products, a matrix for each head, are computed some heads at a time, also where heads share keys."""
    weights, numbers = stored("F32", random(seed, 1 if shared else heads, keys, 64))
    activations = random(seed + 1, heads, tokens, 64)
    whole = compute(Operation.MULTIPLY, activations, weights)
    in_pieces = compute(Operation.MULTIPLY, activations, weights, pieces=at_once)
    assert whole.pieces == heads
    np.testing.assert_array_equal(in_pieces.result, whole.result)
    right = activations.astype(np.float64) @ numbers.transpose(0, 2, 1)
    np.testing.assert_allclose(whole.result, right, atol=1e-4)


@given(
    kind=st.sampled_from(["F32", "F16"]),
    edge=st.sampled_from([1, 3]),
    channels=st.sampled_from([32, 64]),
    out_channels=st.integers(1, 40),
    at_once=st.integers(1, 5),
    seed=st.integers(0, 2**32),
)
def test_a_convolution_in_pieces_is_the_convolution(
    kind: str, edge: int, channels: int, out_channels: int, at_once: int, seed: int
) -> None:
    """Output channels, some at a time, are what they are in the whole, in one pass and by im2col.

    ggml's CPU adds up in another order where there are fewer channels; tests/portability/pieces.py has the GPU's bits.
    """
    weights, numbers = stored(kind, random(seed, out_channels, channels, edge, edge))
    picture = random(seed + 1, channels, 8, 16)
    padded = np.pad(picture.astype(np.float64), ((0, 0), (edge // 2,) * 2, (edge // 2,) * 2))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (edge, edge), (1, 2))
    right = np.einsum("chwyx,ocyx->ohw", windows, numbers)
    for direct in (False, True):
        whole = compute(Operation.CONVOLVE, picture, weights, direct=direct)
        in_pieces = compute(Operation.CONVOLVE, picture, weights, direct=direct, pieces=at_once)
        np.testing.assert_allclose(in_pieces.result, whole.result, atol=2e-4)
        assert np.linalg.norm(whole.result - right) <= 5e-3 * np.linalg.norm(right)
        assert whole.pieces > 1 or out_channels <= 4 or not direct


def test_other_operations_are_right() -> None:
    """Norms, softmax, activation functions and upscaling, against double precision."""
    x = random(0, 64, 8, 16)
    exact = x.astype(np.float64)
    mean, spread = exact.mean(-1, keepdims=True), exact.std(-1, keepdims=True)
    groups = exact.reshape(32, -1)
    in_groups = (groups - groups.mean(-1, keepdims=True)) / groups.std(-1, keepdims=True)
    power = np.exp(exact - exact.max(-1, keepdims=True))
    gelu = 0.5 * exact * (1 + np.tanh(np.sqrt(2 / np.pi) * (exact + 0.044715 * exact**3)))
    right = {
        Operation.NORM: (exact - mean) / spread,
        Operation.RMS_NORM: exact / np.sqrt((exact**2).mean(-1, keepdims=True)),
        Operation.SOFT_MAX: power / power.sum(-1, keepdims=True),
        Operation.GROUP_NORM: in_groups.reshape(exact.shape),
        Operation.SILU: exact / (1 + np.exp(-exact)),
        Operation.GELU: gelu,
        Operation.UPSCALE: exact.repeat(2, -1).repeat(2, -2),
    }
    others = {Operation.ROPE, Operation.ROTATE, Operation.ATTENTION, Operation.FLASH_ATTENTION}
    assert set(right) == set(Operation) - {Operation.MULTIPLY, Operation.CONVOLVE} - others
    for operation, wanted in right.items():
        np.testing.assert_allclose(compute(operation, x).result, wanted, atol=2e-3, err_msg=operation.name)


@given(
    heads=st.integers(1, 4),
    tokens=st.integers(1, 40),
    size=st.sampled_from([8, 64]),
    masked=st.booleans(),
    at_once=st.integers(0, 3),
    seed=st.integers(0, 2**32),
)
def test_attention_is_right(heads: int, tokens: int, size: int, masked: bool, at_once: int, seed: int) -> None:
    """The engine's own attention, with any mask that leaves each token something, whole and in pieces."""
    given_ = random(seed, 3, heads, tokens, size)
    mask = np.where(random(seed + 1, tokens, tokens) > 0.5, -np.inf, random(seed + 2, tokens, tokens))
    np.fill_diagonal(mask, 0)
    weights = StoredWeights.of_numbers(mask.astype(np.float32)) if masked else None
    found = compute(Operation.ATTENTION, given_, weights, pieces=at_once)
    queries, keys, values = given_.astype(np.float64)
    logits = queries @ keys.transpose(0, 2, 1) / np.sqrt(size) + (mask.astype(np.float32) if masked else 0)
    power = np.exp(logits - logits.max(-1, keepdims=True))
    right = (power / power.sum(-1, keepdims=True)) @ values
    np.testing.assert_allclose(found.result, right.transpose(1, 0, 2).reshape(tokens, -1), atol=1e-4)
    assert found.costs[0] == 4 * heads * tokens * tokens * size


@given(heads=st.integers(1, 3), tokens=st.integers(1, 50), pairs=st.sampled_from([4, 32]), seed=st.integers(0, 2**32))
def test_rotations_are_right(heads: int, tokens: int, pairs: int, seed: int) -> None:
    """Heads are turned by halves as language models do it, and by neighbours with given angles as denoisers do."""
    x = random(seed, tokens, heads, 2 * pairs)
    turned = x.astype(np.float64).reshape(tokens, heads, 2, pairs)
    turned = turned[:, :, 0] + 1j * turned[:, :, 1]
    angles = np.arange(tokens)[:, None, None] * 1e6 ** (-np.arange(pairs) / pairs)
    turned = turned * np.exp(1j * angles)
    right = np.concatenate([turned.real, turned.imag], -1)
    np.testing.assert_allclose(compute(Operation.ROPE, x).result, right, atol=1e-4)
    given_ = random(seed + 1, tokens, pairs)
    matrices = np.stack([np.cos(given_), -np.sin(given_), np.sin(given_), np.cos(given_)], -1)
    weights = StoredWeights.of_numbers(matrices.reshape(tokens, pairs, 2, 2))
    neighbours = x[..., ::2] + 1j * x[..., 1::2].astype(np.float64)
    neighbours = neighbours * np.exp(1j * given_.astype(np.float64))[:, None]
    right = np.stack([neighbours.real, neighbours.imag], -1).reshape(tokens, heads, 2 * pairs).transpose(1, 0, 2)
    for kernels in (False, True):
        np.testing.assert_allclose(compute(Operation.ROTATE, x, weights, kernels=kernels).result, right, atol=1e-5)


def test_flash_attention_and_masked_soft_max_are_right() -> None:
    """Attention in one pass is attention; a mask is added before a softmax."""
    given_ = random(0, 3, 2, 256, 64)
    flash = compute(Operation.FLASH_ATTENTION, given_)
    plain = compute(Operation.ATTENTION, given_)
    np.testing.assert_allclose(flash.result, plain.result, atol=5e-3)
    x, mask = random(1, 3, 5, 7), random(2, 5, 7)
    mask[:, 3] = -np.inf
    power = np.exp(x.astype(np.float64) + mask)
    right = power / power.sum(-1, keepdims=True)
    found = compute(Operation.SOFT_MAX, x, StoredWeights.of_numbers(mask)).result
    np.testing.assert_allclose(found, right, atol=1e-5)


def test_kernels_of_this_library_are_computed_as_the_engine_has_them() -> None:
    """Products and convolutions by our kernels are right, and come with their work and how fast they were uploaded."""
    weights, numbers = stored("Q8_0", random(0, 64, 256))
    activations = random(1, 40, 256)
    found = compute(Operation.MULTIPLY, activations, weights, kernels=True, threads=2, repeat=2)
    lengths = np.linalg.norm(activations, axis=1)[:, None] * np.linalg.norm(numbers, axis=1)
    assert (abs(found.result - activations.astype(np.float64) @ numbers.T) <= 0.02 * lengths).all()
    assert sum(found.costs) >= 2 * 64 * 256 * 40
    assert found.upload > 0
    kernels, _ = stored("F16", random(2, 32, 32, 3, 3))
    picture = random(3, 32, 16, 24)
    both = [compute(Operation.CONVOLVE, picture, kernels, kernels=ours).result for ours in (True, False)]
    assert np.linalg.norm(both[0] - both[1]) <= 5e-3 * np.linalg.norm(both[1])


def test_what_cannot_be_computed_is_refused() -> None:
    """Shapes that do not fit, missing weights, and a device that there is not."""
    weights, _ = stored("F32", random(0, 4, 32))
    with pytest.raises(SettingsError, match="cannot be multiplied"):
        compute(Operation.MULTIPLY, random(0, 3, 64), weights)
    with pytest.raises(SettingsError, match="reads weights"):
        compute(Operation.MULTIPLY, random(0, 3, 32))
    with pytest.raises(SettingsError, match="multiple of the type's block"):
        compute(Operation.MULTIPLY, random(0, 3, 31), StoredWeights(8, (4, 31), np.zeros(200, np.uint8)))
    with pytest.raises(SettingsError, match="cannot be convolved"):
        compute(Operation.CONVOLVE, random(0, 3, 8, 8), stored("F32", random(0, 4, 5, 3, 3))[0])
    with pytest.raises(SettingsError, match="mask does not fit"):
        compute(Operation.ATTENTION, random(0, 3, 1, 4, 8), StoredWeights.of_numbers(random(0, 4, 5)))
    with pytest.raises(SettingsError, match="angles do not fit"):
        compute(Operation.ROTATE, random(0, 4, 1, 8), StoredWeights.of_numbers(random(0, 3, 4, 2, 2)))
    with pytest.raises(SettingsError, match="multiple of 256 tokens"):
        compute(Operation.FLASH_ATTENTION, random(0, 3, 1, 4, 8))
    with pytest.raises(NativeLibraryError, match="no device 'vulkan9'"):
        compute(Operation.SILU, random(0, 3), device="vulkan9")
