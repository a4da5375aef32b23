"""Drawing a part of a picture anew, and beyond its edges: what is drawn, and what stays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from sdcpp_py import GenerationSettings, Generator, SettingsError, extend
from sdcpp_py.images.result import GeneratedImage
from sdcpp_py.synth import SyntheticSet
from tests.support.examples import examples

from ..support.picture_tools import box, check_limits, check_usable, colourful, difference, pixels, shown

SMALL: dict[str, Any] = {"steps": 2, "seed": 1}
MIDDLE = box(128, 128, 24, 24, 104, 104)
SEEDS = range(4)


@pytest.fixture(scope="module")
def circle(tiny: Generator) -> GeneratedImage:
    """A red circle in the middle, on white."""
    return tiny.generate("a red circle on a white background", seed=1)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "colour"), [("square", "blue"), ("triangle", "green")])
def test_a_part_follows_the_prompt_and_the_rest_stays(
    tiny: Generator, circle: GeneratedImage, kind: str, colour: str
) -> None:
    """For 3 of 4 seeds the white part shows what the prompt says, and for all no byte of the black part changes."""
    right = 0
    for seed in SEEDS:
        drawn = tiny.generate(f"a {colour} {kind} on a white background", image=circle, mask=MIDDLE, seed=seed)
        assert np.array_equal(pixels(drawn)[MIDDLE == 0], pixels(circle)[MIDDLE == 0])
        assert drawn.settings.strength == 1
        right += shown(drawn) == ("white", [(kind, colour)])
    assert right >= 3


@pytest.mark.slow
def test_without_keep_unmasked_the_rest_nearly_stays(tiny: Generator, circle: GeneratedImage) -> None:
    """What has gone through the VAE differs outside of the mask, by less than 2 of 255 on average."""
    arguments: dict[str, Any] = {"image": circle, "mask": MIDDLE, "seed": 2}
    prompt = "a blue square on a white background"
    kept, through = (tiny.generate(prompt, keep_unmasked=keep, **arguments) for keep in (True, False))
    assert shown(through) == ("white", [("square", "blue")])
    black = MIDDLE == 0
    assert np.array_equal(pixels(kept)[~black], pixels(through)[~black])
    assert 0 < difference(pixels(through)[black], pixels(circle)[black]) < 2


@pytest.mark.slow
def test_one_of_two_shapes_is_drawn_anew(tiny: Generator) -> None:
    """A shape is added beside one that is there already, and that one stays as it was."""
    left = tiny.generate("a red circle on the left on a white background", seed=1)
    mask = box(128, 128, 72, 0, 128, 128)
    prompt = "a red circle left of a blue square on a white background"
    right = 0
    for seed in SEEDS:
        drawn = tiny.generate(prompt, image=left, mask=mask, seed=seed)
        assert np.array_equal(pixels(drawn)[:, :72], pixels(left)[:, :72])
        background, shapes = shown(drawn)
        right += (background, sorted(shapes)) == ("white", [("circle", "red"), ("square", "blue")])
    assert right >= 3


@pytest.mark.slow
def test_beyond_the_edges(tiny: Generator, circle: GeneratedImage) -> None:
    """``extend`` and its mask draw a wider picture: the old part keeps its bytes, the new one has a new shape."""
    picture, mask = extend(circle, right=64)
    prompt = "a red circle left of a blue square on a white background"
    right = 0
    for seed in SEEDS:
        drawn = tiny.generate(prompt, image=picture, mask=mask, seed=seed)
        assert drawn.image.size == (192, 128)
        assert np.array_equal(pixels(drawn)[:, :128], pixels(circle))
        background, shapes = shown(drawn)
        right += (background, sorted(shapes)) == ("white", [("circle", "red"), ("square", "blue")])
    assert right >= 3


@pytest.mark.parametrize("sides", [{"left": 32}, {"top": 16, "bottom": 48}, {"left": 16, "right": 16, "top": 32}])
def test_each_side_can_be_drawn(generator: Generator, sides: dict[str, int]) -> None:
    """What ``extend`` adds on any side is drawn, and the picture keeps its bytes where it now lies."""
    image = colourful(96, 64)
    picture, mask = extend(image, **sides)
    drawn = pixels(generator.generate("cat", image=picture, mask=mask, **SMALL))
    across, down = sides.get("left", 0), sides.get("top", 0)
    assert np.array_equal(drawn[down : down + 64, across : across + 96], image)
    white = pixels(mask) == 255
    assert not np.array_equal(drawn[white], pixels(picture)[white])


@pytest.mark.sample(1)
@pytest.mark.parametrize("family", ["generator", "klein_generator"])
@pytest.mark.parametrize("scheduler", ["reference", "discrete"])
def test_each_family_fills(family: str, scheduler: str, request: pytest.FixtureRequest) -> None:
    """Klein and Z-Image: the same bytes for the same seed, others for another, and only where the mask is white."""
    opened: Generator = request.getfixturevalue(family)
    image, mask = colourful(96, 64), box(96, 64, 32, 16, 64, 48)
    first, second, other = (
        pixels(opened.generate("cat", image=image, mask=mask, steps=2, seed=seed, scheduler=scheduler))
        for seed in (1, 1, 2)
    )
    assert np.array_equal(first, second)
    assert not np.array_equal(first[mask > 0], other[mask > 0])
    assert not np.array_equal(first[mask > 0], image[mask > 0])
    for drawn in (first, other):
        assert np.array_equal(drawn[mask == 0], image[mask == 0])


masks = st.builds(
    lambda seed, grain, share: np.kron(
        np.random.default_rng(seed).random((64 // grain, 96 // grain)) < share, np.ones((grain, grain), bool)
    ),
    st.integers(0, 2**31),
    st.sampled_from([1, 4, 16, 32]),
    st.floats(0.02, 1),
).filter(np.any)


@given(masks, st.sampled_from([0.3, 1.0]))
@settings(max_examples=examples(12))
def test_black_stays_under_any_mask(generator: Generator, mask: np.ndarray, strength: float) -> None:
    """Whatever the mask, single pixels too, and whatever the strength, no byte changes where it is black."""
    image = colourful(96, 64)
    drawn = pixels(generator.generate("cat", image=image, mask=mask, strength=strength, **SMALL))
    assert np.array_equal(drawn[~mask], image[~mask])


def test_greys_blend(generator: Generator) -> None:
    """Where the mask is grey, the picture lies between the original and what is drawn under a white mask."""
    image = colourful(96, 64)
    mask = np.full((64, 96), 128, np.uint8)
    blended = pixels(generator.generate("cat", image=image, mask=mask, **SMALL)).astype(int)
    whole = pixels(generator.generate("cat", image=image, mask=mask, keep_unmasked=False, **SMALL)).astype(int)
    assert np.abs(blended - (whole * 128 + image.astype(int) * 127) / 255).max() <= 1


def test_an_all_white_mask_is_a_whole_drawing(generator: Generator) -> None:
    """Under a mask that is white everywhere the bytes are those of the same strength without one."""
    image = colourful(96, 64)
    white = Image.new("L", (96, 64), 255)
    masked, plain = (generator.generate("cat", image=image, mask=mask, strength=0.6, **SMALL) for mask in (white, None))
    assert np.array_equal(pixels(masked), pixels(plain))


def test_masks_of_every_kind_are_one(generator: Generator, work: Path) -> None:
    """A mask as array, bool, PIL image of any mode and file draws the same bytes."""
    image, mask = colourful(96, 64), box(96, 64, 32, 16, 64, 48)
    grey = Image.fromarray(mask)
    grey.save("mask.png")
    clear = Image.new("RGBA", (96, 64), (255, 255, 255, 0))
    clear.putalpha(grey)
    kinds: list[Any] = [
        mask,
        mask > 0,
        grey,
        grey.convert("RGB"),
        grey.convert("1"),
        clear,
        "mask.png",
        Path("mask.png"),
    ]
    drawn = {pixels(generator.generate("cat", image=image, mask=kind, **SMALL)).tobytes() for kind in kinds}
    assert len(drawn) == 1


def test_a_batch_is_the_single_pictures(klein_generator: Generator) -> None:
    """Picture i of a batch under a mask is the one that its seed draws alone."""
    arguments: dict[str, Any] = {"image": colourful(96, 64), "mask": box(96, 64, 0, 0, 48, 64), "steps": 2}
    for picture in klein_generator.generate_batch("cat", count=3, seed=5, **arguments):
        alone = klein_generator.generate("cat", seed=picture.seed, **arguments)
        assert np.array_equal(pixels(picture), pixels(alone))


@pytest.mark.parametrize("how", ["cover", "fit", "pad"])
def test_the_mask_is_resized_with_its_picture(generator: Generator, how: str) -> None:
    """A picture of another size and its mask come to the drawing's together: something stays, something is drawn."""
    image, mask = colourful(150, 70), box(150, 70, 50, 20, 100, 50)
    arguments: dict[str, Any] = {"image": image, "mask": mask, "resize": how, "width": 96, "height": 64, **SMALL}
    drawn, plain = (
        pixels(generator.generate(prompt, keep_unmasked=True, **arguments)) for prompt in ("cat", "a red house")
    )
    assert drawn.shape == (64, 96, 3)
    changed = (drawn != plain).any(axis=-1)
    assert changed[28:36, 44:52].mean() > 0.5
    assert not changed[14:20, :8].any()
    assert changed[0].any() == (how == "pad")  # what is added around it is drawn


@pytest.mark.slow
@pytest.mark.parametrize("family", ["klein", "z_image"])
def test_limits_of_memory_do_not_change_the_picture(family: str, request: pytest.FixtureRequest) -> None:
    """Whatever the limit, a part is drawn anew with the same bytes, and the limit is kept to."""
    files: SyntheticSet = request.getfixturevalue(family)
    check_limits(files, "cat", image=colourful(128, 128), mask=MIDDLE, width=128, height=128, **SMALL)


def test_the_png_remembers_the_strength(generator: Generator, work: Path) -> None:
    """The settings in the PNG, with picture and mask given again, draw the same bytes."""
    pictures: dict[str, Any] = {"image": colourful(96, 64), "mask": box(96, 64, 32, 16, 64, 48)}
    picture = generator.generate("cat", strength=0.55, **pictures, **SMALL)
    picture.save("out.png")
    recorded = GenerationSettings.from_png("out.png")
    assert recorded.strength == 0.55
    assert np.array_equal(pixels(generator.generate(recorded, **pictures)), pixels(picture))


@pytest.mark.parametrize(
    ("mask", "says"),
    [
        (np.full((64, 64), 255, np.uint8), r"mask is 64x64 and image 96x64"),
        (np.full((96, 64), 255, np.uint8), r"mask is 64x96 and image 96x64"),
        (np.zeros((64, 96), np.uint8), "mask is all black: nothing would be generated"),
        (np.zeros((64, 96), bool), "mask is all black"),
        (Image.new("RGBA", (96, 64), (255, 255, 255, 0)), "mask is all black"),
        (np.ones((64, 96), np.uint8), r"no value above 1.*mask\.astype\(bool\)"),
        (np.ones((64, 96), np.float32), "mask must be .* not float32"),
        (np.ones((64, 96, 2), np.uint8), "mask must be"),
        (7, "mask must be .* not int"),
    ],
)
def test_a_mask_that_cannot_be_used_is_named(generator: Generator, mask: object, says: str) -> None:
    """Of another size, with nothing white, of floats or no picture: a SettingsError with what to do, and it goes on."""
    expected = generator.generate("cat", width=64, height=64, **SMALL)
    for resize in (None, "cover"):
        with pytest.raises(SettingsError, match=says):
            generator.generate("cat", image=colourful(96, 64), mask=mask, resize=resize, **SMALL)  # type: ignore[arg-type]
    check_usable(generator, "cat", expected, width=64, height=64, **SMALL)


def test_a_mask_needs_a_picture(generator: Generator) -> None:
    """A mask without an image is refused, with what to give."""
    with pytest.raises(SettingsError, match="part of an init image is generated anew; give that one as image"):
        generator.generate("cat", mask=np.full((64, 64), 255, np.uint8), **SMALL)
