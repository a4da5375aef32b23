"""Our own kernels: against plain arithmetic in double precision, and switched off."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import correlate

from sdcpp_py import Generator
from sdcpp_py._native.library import ffi, lib
from sdcpp_py._native.requests import DecodeRequest
from sdcpp_py._native.status import Status
from tests.support.examples import examples

from ..support.native_kernels import RUNNING, convolved, convolved_by_winograd, using_kernels

SIZES = st.integers(1, 70)
PROMPTS = (
    "a red circle left of a blue star on a yellow background",
    "a green cross",
    "a big pink diamond, gray background",
)


def reference(picture: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The same by scipy in double precision."""
    border = weights.shape[-1] // 2
    padded = np.pad(picture.astype(float), ((0, 0), (border, border), (border, border)))
    return np.stack([correlate(padded, one.astype(float), mode="valid", method="direct")[0] for one in weights])


def random_case(
    channels: int, out_channels: int, height: int, width: int, seed: int, edge: int = 3
) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    picture = random.standard_normal((channels, height, width)).astype(np.float32)
    return picture, random.standard_normal((out_channels, channels, edge, edge)).astype(np.float16)


def test_there_are_kernels_for_this_cpu() -> None:
    """Every x86 CPU that these tests are run on has AVX2 at least."""
    assert "avx2" in RUNNING


@pytest.mark.parametrize("level", RUNNING)
@settings(deadline=None, max_examples=examples(60))
@given(
    channels=st.integers(1, 20), out_channels=st.integers(1, 20), height=SIZES, width=SIZES, parts=st.integers(1, 5),
    seed=st.integers(0, 1000), edge=st.sampled_from((1, 3)),
)  # fmt: skip
def test_convolutions_of_any_shape(
    level: str, channels: int, out_channels: int, height: int, width: int, parts: int, seed: int, edge: int
) -> None:
    """Any size, tails of vectors and blocks included, cut into any parts: each sum is within float32's rounding errors.

    A sum of n products is off by n/2 rounding steps of the products' absolute sum at most, which here is below 6 n.
    """
    picture, weights = random_case(channels, out_channels, height, width, seed, edge)
    got = convolved(level, picture, weights, parts)
    terms = edge**2 * channels
    bound = terms / 2 * np.finfo(np.float32).eps * reference(np.abs(picture), np.abs(weights))
    assert (np.abs(got - reference(picture, weights)) <= bound + 1e-12).all()


@pytest.mark.parametrize("level", RUNNING)
def test_many_channels_over_several_bands(level: str) -> None:
    """More rows than stay in a cache at once are cut into bands, and the seams do not show."""
    picture, weights = random_case(96, 9, 24, 150, 1)
    np.testing.assert_allclose(convolved(level, picture, weights, 2), reference(picture, weights), atol=2e-4)


@pytest.mark.parametrize("level", RUNNING)
def test_parts_do_not_change_a_bit(level: str) -> None:
    """However many threads share the work, the sums are the same to the last bit."""
    picture, weights = random_case(17, 13, 31, 45, 2)
    one = convolved(level, picture, weights, 1)
    assert all((convolved(level, picture, weights, parts) == one).all() for parts in (2, 3, 7, 31, 40))


@pytest.mark.parametrize("level", RUNNING)
@settings(deadline=None, max_examples=examples(60))
@given(
    channels=st.integers(1, 40), out_channels=st.integers(1, 40), height=SIZES, width=SIZES, parts=st.integers(1, 5),
    seed=st.integers(0, 1000),
)  # fmt: skip
def test_convolutions_by_winograd_of_any_shape(
    level: str, channels: int, out_channels: int, height: int, width: int, parts: int, seed: int
) -> None:
    """Any size, parts of tiles included: transforms make the rounding errors of a sum larger, by less than 100 times.

    The rows of the transforms' matrices have absolute sums of up to 10 and 19, twice each, but that worst case does not
    meet in one pixel: a hundredth of it is allowed.
    """
    picture, weights = random_case(channels, out_channels, height, width, seed)
    got = convolved_by_winograd(level, picture, weights, parts)
    scale = np.abs(picture).max() * np.abs(weights.astype(float)).sum(axis=(1, 2, 3)).max()
    assert np.abs(got - reference(picture, weights)).max() <= 100 * np.finfo(np.float32).eps * scale


@pytest.mark.parametrize("level", RUNNING)
def test_winograd_gives_the_same_bits_however_it_is_run(level: str) -> None:
    """Neither the parts that the work is cut into nor the length of the vectors show in a single bit."""
    picture, weights = random_case(96, 70, 61, 53, 3)
    one = convolved_by_winograd("avx2", picture, weights, 1)
    assert all((convolved_by_winograd(level, picture, weights, parts) == one).all() for parts in (1, 2, 3, 7, 100))


@pytest.mark.slow
def test_a_large_picture_is_nearly_the_same_by_the_engine(
    klein_generator: Generator,
) -> None:
    """Decoding 512x512, where convolutions are done by Winograd's way, is within 60 dB of the engine's own."""
    latent = np.random.default_rng(1).standard_normal((128, 32, 32)).astype(np.float32)
    engine = klein_generator._pipeline.engine

    def decoded() -> np.ndarray:
        return engine.run(DecodeRequest(latent, 0))["image"].astype(float)

    ours = decoded()
    assert (decoded() == ours).all()
    with using_kernels("off"):
        difference = ours - decoded()
    assert difference.any()
    assert 20 * np.log10(255 / np.sqrt(np.mean(difference**2))) > 60


def test_an_unknown_level_is_refused() -> None:
    """Asking for kernels that do not exist is an error with a message, and nothing is computed."""
    failure = ffi.new("sdpy_failure *")
    nothing = ffi.NULL
    assert not lib.sdpy_kernels_run(b"avx1024")
    assert lib.sdpy_convolve(b"avx1024", nothing, nothing, nothing, 1, 1, 1, 1, 3, 1, failure) == Status.BAD_SETTINGS
    assert b"cannot run" in ffi.string(failure.message)
    assert lib.sdpy_winograd(b"avx1024", nothing, nothing, nothing, 1, 1, 1, 1, 1, failure) == Status.BAD_SETTINGS


@pytest.mark.slow
def test_switched_off_the_picture_is_nearly_the_same() -> None:
    """Without our kernels there is the engine's own work: encoder states and pictures that differ by rounding.

    The engine rounds activations to half precision where the encoder's weights have that: a thousandth. Pictures agree
    to 40 dB at the least.
    """
    with Generator.from_pretrained("tiny", device="cpu") as generator:
        for seed, prompt in enumerate(PROMPTS):
            states = generator.encode(prompt).arrays["crossattn"]
            ours = np.asarray(generator.generate(prompt, seed=seed).image, float)
            with using_kernels("off"):
                difference = ours - np.asarray(generator.generate(prompt, seed=seed).image, float)
                theirs = generator.encode(prompt).arrays["crossattn"]
            assert 0 < np.linalg.norm(theirs - states) < 2e-3 * np.linalg.norm(theirs)
            assert difference.any(), "the switch changed nothing"
            assert 20 * np.log10(255 / np.sqrt(np.mean(difference**2))) > 40


@pytest.mark.parametrize("level", RUNNING)
def test_every_instruction_set_draws_the_same_pixels(level: str) -> None:
    """Sums are added up in one order, however long the vectors: the kernels' level does not show in the picture."""
    with Generator.from_pretrained("tiny", device="cpu") as generator:
        best = np.asarray(generator.generate(PROMPTS[0], seed=4).image)
        with using_kernels(level):
            assert (np.asarray(generator.generate(PROMPTS[0], seed=4).image) == best).all()
