"""Pictures, masks and reference images at the sizes that are drawn."""

from __future__ import annotations

import time
from typing import cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from sdcpp_py.errors import SettingsError
from sdcpp_py.images.resizing import RESIZES, Resize, _reference_size, fit_reference, resized, resized_with_mask
from tests.support.examples import examples

EDGES = st.integers(1, 40)
PICTURES = st.tuples(EDGES, EDGES, st.just(3)).flatmap(lambda shape: arrays.arrays(np.uint8, shape))
HOW = st.sampled_from(RESIZES)


def ramp(width: int, height: int) -> np.ndarray:
    """Red grows to the right, green downwards, blue is even."""
    y, x = np.mgrid[0:height, 0:width]
    red, green = 255 * (x + 0.5) / width, 255 * (y + 0.5) / height
    return np.stack([red, green, np.full(red.shape, 90.0)], axis=-1).astype(np.uint8)


@given(PICTURES, EDGES, EDGES, HOW)
def test_every_way_gives_the_size(pixels: np.ndarray, width: int, height: int, how: Resize) -> None:
    """Whatever the sizes, the result has the wanted one, and is itself when done once more."""
    result = resized(pixels, width, height, how)
    assert result.shape == (height, width, 3)
    assert result.dtype == np.uint8
    assert resized(result, width, height, how) is result


@given(PICTURES, st.none() | HOW)
def test_the_same_size_passes_through(pixels: np.ndarray, how: Resize | None) -> None:
    """A picture of the wanted size comes back itself, even where no way was named."""
    height, width = pixels.shape[:2]
    assert resized(pixels, width, height, how) is pixels
    mask = pixels[:, :, 0]
    assert resized_with_mask(pixels, mask, width, height, how) == (pixels, mask)


@given(st.tuples(EDGES, EDGES), EDGES, EDGES, HOW, st.tuples(*[st.integers(0, 255)] * 3))
def test_one_colour_stays_one_colour(
    size: tuple[int, int], width: int, height: int, how: Resize, colour: tuple[int, int, int]
) -> None:
    """A picture of one colour is of that colour at every size."""
    pixels = np.full((*size, 3), colour, np.uint8)
    assert (resized(pixels, width, height, how) == colour).all()


def test_another_size_must_be_asked_for() -> None:
    """Without a way to resize, the error names both sizes and what each way would do."""
    with pytest.raises(SettingsError) as caught:
        resized(ramp(640, 480), 512, 256, None, name="init_image")
    for part in ("init_image", "640x480", "512x256", 'resize="cover"', '"pad"', '"fit"', "proportions"):
        assert part in str(caught.value)


def test_an_unknown_way_is_refused() -> None:
    """Another word raises SettingsError with those there are, even where nothing would be resized."""
    for size in (64, 32):
        with pytest.raises(SettingsError, match="one of fit, cover, pad; not 'crop'"):
            resized(ramp(64, 64), size, size, "crop")  # type: ignore[arg-type]


def test_cover_keeps_the_middle() -> None:
    """What juts out is cut off on both sides alike, and proportions stay."""
    wide = resized(ramp(400, 100), 50, 50, "cover").astype(int)
    assert np.abs(wide[25, [0, -1], 0] - [96, 159]).max() <= 3
    assert np.abs(wide[[0, -1], 25, 1] - [2, 252]).max() <= 3
    high = resized(ramp(100, 400), 50, 50, "cover").astype(int)
    assert np.abs(high[[0, -1], 25, 1] - [96, 159]).max() <= 3


def test_fit_stretches() -> None:
    """All of the picture is there, from edge to edge."""
    result = resized(ramp(400, 100), 50, 50, "fit").astype(int)
    assert np.abs(result[25, [0, -1], 0] - [2, 252]).max() <= 3
    assert np.abs(result[[0, -1], 25, 1] - [2, 252]).max() <= 3


def test_pad_repeats_the_edges_or_fills() -> None:
    """The whole picture is in the middle; around it are its outermost pixels, or the grey that was asked for."""
    pixels = ramp(400, 100)
    result = resized(pixels, 48, 48, "pad")
    assert np.array_equal(result[18:30], resized(pixels, 48, 12, "fit"))
    assert (result[:18] == result[18]).all()
    assert (result[30:] == result[29]).all()
    filled = resized(pixels, 48, 48, "pad", fill=128)
    assert np.array_equal(filled[18:30], result[18:30])
    assert (filled[:18] == 128).all()
    assert (filled[30:] == 128).all()


@given(EDGES, EDGES, EDGES, EDGES, HOW)
def test_a_mask_lies_on_its_picture(columns: int, rows: int, width: int, height: int, how: Resize) -> None:
    """A mask is resized with the geometry of its picture; only what "pad" adds is white besides."""
    mask = np.zeros((rows, columns), np.uint8)
    picture, placed = resized_with_mask(np.zeros((rows, columns, 3), np.uint8), mask, width, height, how)
    assert placed is not None
    assert placed.shape == picture.shape[:2] == (height, width)
    inside = resized(np.zeros((rows, columns, 3), np.uint8), width, height, how, fill=255)[:, :, 0]
    assert np.array_equal(placed, inside)
    if how != "pad":
        assert not placed.any()


def test_a_half_white_mask_stays_half_white() -> None:
    """The line between black and white is at the same place in mask and picture, and nothing overshoots."""
    mask = np.zeros((100, 400), np.uint8)
    mask[:, 200:] = 255
    for how in RESIZES:
        picture, placed = resized_with_mask(np.stack([mask] * 3, axis=-1), mask, 64, 64, how)
        assert placed is not None
        middle = placed[32].astype(int)
        assert (middle[:30] == 0).all()
        assert (middle[34:] == 255).all()
        assert np.abs(picture[32, :, 0].astype(int) - middle).max() < 60


def test_a_mask_must_have_the_size_of_its_picture() -> None:
    """A mask of another size than the picture is refused with both, and without a mask there is none after."""
    with pytest.raises(SettingsError, match="mask has 64x32 pixels, but its image has 64x64"):
        resized_with_mask(ramp(64, 64), np.zeros((32, 64), np.uint8), 64, 64, "fit")
    assert resized_with_mask(ramp(64, 64), None, 32, 32, "fit")[1] is None


@pytest.mark.timing
@pytest.mark.parametrize("how", RESIZES)
@pytest.mark.parametrize(
    ("source", "target"),
    [
        ((1, 4096), (512, 512)), ((4096, 1), (512, 512)), ((1, 1), (4096, 64)), ((1, 16384), (4096, 64)),
        ((16384, 1), (64, 4096)), ((16384, 2), (4096, 4096)), ((2, 16384), (4096, 4096)), ((3, 16384), (16384, 1)),
    ],
)  # fmt: skip
def test_extreme_proportions_work(
    source: tuple[int, int], target: tuple[int, int], how: Resize, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A picture of one pixel's width is resized quickly, with no picture in between much larger than both."""
    sizes = []
    original = Image.Image.resize

    def watched(image: Image.Image, size: tuple[int, int], *args: object, **options: object) -> Image.Image:
        _, top, _, bottom = cast("tuple[float, float, float, float]", options["box"])
        # Pillow scales along the rows first.
        sizes.append(size[0] * (bottom - top + 8))
        sizes.append(size[0] * size[1])
        return original(image, size, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Image.Image, "resize", watched)
    pixels = np.full((source[1], source[0], 3), 77, np.uint8)
    start = time.process_time()
    result = resized(pixels, *target, how)
    assert time.process_time() - start < 5
    assert result.shape == (target[1], target[0], 3)
    assert (result == 77).all()
    assert max(sizes) <= 2 * max(source[0] * source[1], target[0] * target[1]) + 8 * target[0]


# --- reference images


@given(st.integers(1, 16384), st.integers(1, 16384), st.integers(4, 64), st.integers(4, 64), st.sampled_from([16, 32]))
@settings(max_examples=examples(300))
def test_reference_sizes_are_the_engines(columns: int, rows: int, wide: int, high: int, multiple: int) -> None:
    """Both edges are valid; the area is the picture's, at most a mebipixel, up to rounding, and proportions stay."""
    area = min(wide * high * multiple**2, 1024 * 1024)
    width, height = _reference_size(columns, rows, wide * high * multiple**2, multiple)
    assert width % multiple == height % multiple == 0
    assert 4 * multiple <= width <= 4096
    assert 4 * multiple <= height <= 4096
    assert width * height <= area * 1.3
    ideal = (area * columns / rows) ** 0.5, (area * rows / columns) ** 0.5
    if min(ideal) >= 4.5 * multiple and max(ideal) <= 4000:
        assert abs(width - ideal[0]) <= multiple / 2 + 1
        assert abs(height - ideal[1]) <= multiple / 2 + 1 + rows / columns


@pytest.mark.parametrize(
    ("source", "area", "size"),
    [
        ((640, 480), 512 * 512, (592, 448)),
        ((64, 64), 512 * 512, (512, 512)),
        ((1600, 1200), 4096 * 4096, (1184, 880)),
        ((1, 4096), 1024 * 1024, (64, 4096)),
        ((96, 6144), 1024 * 1024, (64, 4096)),
        ((4096, 1), 512 * 512, (4096, 64)),
        ((16384, 1), 64 * 64, (64, 64)),
        ((1, 1), 64 * 64, (64, 64)),
    ],
)
def test_a_reference_gets_the_area_of_the_picture(source: tuple[int, int], area: int, size: tuple[int, int]) -> None:
    """Larger references shrink, smaller ones grow, and none is cropped."""
    result = fit_reference(ramp(*source), area, 16)
    assert result.shape == (size[1], size[0], 3)
    assert fit_reference(ramp(*size), area, 16).shape == result.shape
    if min(source) > 60:
        assert np.abs(result[size[1] // 2, [0, -1], 0].astype(int) - [0, 254]).max() <= 4
        assert np.abs(result[[0, -1], size[0] // 2, 1].astype(int) - [0, 254]).max() <= 4


def test_a_reference_of_the_right_size_passes_through() -> None:
    """A reference image that has its size already comes back itself."""
    pixels = ramp(592, 448)
    assert fit_reference(pixels, 512 * 512, 16) is pixels
