"""What a GPU that computes wrongly makes of a picture is told from pictures."""

from __future__ import annotations

import time

import numpy as np
import pytest
from numpy.typing import NDArray

from sdcpp_py.images.soundness import fault_of
from tests.support.seconds import slower_than_usual

SIZE = 128
CELLS = 16


def smooth(seed: int = 0, channels: int = 16) -> NDArray[np.float32]:
    """A latent of slow waves, in the channels about different means."""
    numbers = np.random.default_rng(seed)
    rows, columns = np.mgrid[:CELLS, :CELLS] / CELLS
    waves = [np.sin(2 * np.pi * (a * rows + b * columns + c)) for a, b, c in numbers.uniform(0, 1.5, (channels, 3))]
    return (
        np.array(waves) + numbers.normal(size=(channels, 1, 1)) + 0.1 * numbers.normal(size=(1, CELLS, CELLS))
    ).astype(np.float32)


def noise(seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (SIZE, SIZE, 3), np.uint8)


def test_one_colour_is_flat() -> None:
    """Whatever the colour, and within what rounding makes of it."""
    for colour in ((0, 0, 0), (255, 255, 255), (12, 200, 77)):
        picture = np.full((SIZE, SIZE, 3), colour, np.uint8)
        assert fault_of(picture, smooth()) == "flat"
        picture[::3, ::2] ^= 1
        assert fault_of(picture, smooth()) == "flat"


def test_a_dot_is_a_picture() -> None:
    """A picture of one colour with anything in it is none of these, wherever that lies."""
    for row in range(0, SIZE, 7):
        picture = np.full((SIZE, SIZE, 3), 128, np.uint8)
        picture[row, 50] = 140
        assert fault_of(picture, smooth()) == ""


def test_noise_of_a_smooth_latent_is_a_fault() -> None:
    """Pixels that have nothing to do with their neighbours, in any contrast and about any colour."""
    for strength in (8, 64, 255):
        picture = (noise().astype(float) / 255 * strength + np.array([0, 10, 0])).clip(0, 255).astype(np.uint8)
        assert fault_of(picture, smooth()) == "noise"


def test_noise_of_a_latent_of_noise_is_none() -> None:
    """A denoiser that was not let finish gives noise, and the VAE is right to show it."""
    latent = np.random.default_rng(0).normal(size=(16, CELLS, CELLS)).astype(np.float32)
    assert fault_of(noise(), latent) == ""


def test_small_pictures_can_be_looked_at() -> None:
    """The smallest picture has a latent of few cells; and one cell has no neighbour."""
    picture = noise()[:16, :16]
    assert fault_of(picture, np.ones((128, 1, 1), np.float32)) == "noise"
    assert fault_of(picture, np.random.default_rng(0).normal(size=(4, 2, 2)).astype(np.float32)) in ("", "noise")


@pytest.mark.timing
def test_looking_is_quick() -> None:
    """A picture of 1024x1024 takes even a good GPU seconds, and the look at it under a thousandth of ten."""
    rows, columns = np.mgrid[:1024, :1024] / 1024
    picture = (255 * np.stack([rows, columns, rows * columns], -1)).astype(np.uint8)
    latent = np.random.default_rng(0).normal(size=(16, 128, 128)).astype(np.float32)
    times = []
    for _ in range(20):
        began = time.process_time()
        assert fault_of(picture, latent) == ""
        times.append(time.process_time() - began)
    assert min(times) < 0.01 * slower_than_usual()
