"""Pictures as users have them, and those that they cannot have meant."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sdcpp_py import GenerationSettings, Generator, ImageError, ImageNotFoundError, SdcppError, SettingsError

from ..support.picture_tools import check_usable, colourful, pixels, write_giant

HALF: dict[str, Any] = {"strength": 0.5, "steps": 2, "seed": 1}


def test_a_picture_of_every_kind_is_one(generator: Generator, work: Path) -> None:
    """An array, a PIL image, a path as text or Path, and a drawing itself: the same bytes come out."""
    picture = generator.generate("cat", width=96, height=64, steps=2, seed=3)
    picture.save("cat.png")
    array = pixels(picture)
    opaque = np.concatenate([array, np.full((64, 96, 1), 255, np.uint8)], axis=-1)
    kinds: list[Any] = [array, array[:, ::-1][:, ::-1], opaque, picture.image, picture, "cat.png", Path("cat.png")]
    drawn = {pixels(generator.generate("dog", image=kind, **HALF)).tobytes() for kind in kinds}
    assert len(drawn) == 1


def test_a_turn_that_exif_tells_is_applied(generator: Generator, work: Path) -> None:
    """A photograph that lies on its side begins the drawing that it begins upright, in its upright size."""
    upright = Image.fromarray(colourful(64, 96))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise
    upright.transpose(Image.Transpose.ROTATE_90).save("turned.png", exif=exif)
    drawn, expected = (generator.generate("cat", image=image, **HALF) for image in ("turned.png", upright))
    assert drawn.image.size == (64, 96)
    assert np.array_equal(pixels(drawn), pixels(expected))


def test_a_picture_handed_in_is_not_changed(generator: Generator) -> None:
    """An array that was handed in holds what it held before, and need not be writable."""
    image = colourful(96, 64)
    before = image.copy()
    image.flags.writeable = False
    generator.generate("cat", image=image, **HALF)
    assert np.array_equal(image, before)


@pytest.mark.parametrize("size", [(64, 64), (96, 64), (64, 176)])
def test_the_size_is_the_pictures(generator: Generator, size: tuple[int, int]) -> None:
    """Without width and height, the drawing has the picture's size, and the settings say so."""
    picture = generator.generate("cat", image=colourful(*size), **HALF)
    assert picture.image.size == size == (picture.settings.width, picture.settings.height)


@pytest.mark.sample(5)
@pytest.mark.parametrize("resize", ["cover", "fit", "pad"])
@pytest.mark.parametrize(
    ("size", "drawing"), [((1, 1), (64, 64)), ((100, 70), (96, 64)), ((30, 20), (64, 64)), ((64, 700), (64, 704))]
)
def test_with_resize_any_size_draws(
    generator: Generator, size: tuple[int, int], drawing: tuple[int, int], resize: str
) -> None:
    """A picture of a size that cannot be drawn, or of a single pixel, is drawn in the nearest that can."""
    picture = generator.generate("cat", image=colourful(*size), resize=resize, **{**HALF, "steps": 1})  # type: ignore[arg-type]
    assert picture.image.size == drawing


def test_the_ways_to_resize_differ(generator: Generator) -> None:
    """A picture of other proportions is cropped, stretched or padded: three drawings of the size that was asked for."""
    given: dict[str, Any] = {"image": colourful(150, 70), "width": 96, "height": 80, **HALF}
    drawn = [pixels(generator.generate("cat", resize=resize, **given)) for resize in ("cover", "fit", "pad")]
    assert {picture.shape for picture in drawn} == {(80, 96, 3)}
    assert len({picture.tobytes() for picture in drawn}) == 3


@pytest.mark.timing
def test_a_giant_is_refused_at_once(generator: Generator, work: Path) -> None:
    """A PNG of a hundred bytes that promises 20,000 x 20,000 pixels is refused in less than a second."""
    write_giant(Path("giant.png"), 20_000, 20_000)
    began = time.process_time()
    with pytest.raises(ImageError, match=r"image 'giant\.png' .*pixels"):
        generator.generate("cat", image="giant.png", resize="cover", **HALF)
    assert time.process_time() - began < 1


IMAGE = colourful(96, 64)
BAD: list[tuple[dict[str, Any], type[SdcppError], str]] = [
    ({"image": colourful(1, 1)}, SettingsError, "1x1 cannot be generated.*64.*give resize"),
    ({"image": colourful(100, 64)}, SettingsError, "100x64 cannot be generated.*multiple of 16.*nearest is 96.*resize"),
    ({"image": colourful(4112, 64)}, SettingsError, "4112x64 cannot be generated.*resize"),
    (
        {"image": IMAGE, "width": 64},
        SettingsError,
        'image has 96x64 pixels, but 64x64 are to be generated.*resize="cover"',
    ),
    ({"image": IMAGE, "width": 100}, SettingsError, "width must be a multiple of 16"),
    ({"image": IMAGE, "resize": "crop"}, SettingsError, "resize must be one of fit, cover, pad.*not 'crop'"),
    ({"resize": "crop"}, SettingsError, "resize must be one of"),
    ({"image": IMAGE, "strength": 0}, SettingsError, "strength must be above 0"),
    ({"image": IMAGE, "strength": -1}, SettingsError, "strength must be from 0 to 1, not -1"),
    ({"image": IMAGE, "strength": 1.5}, SettingsError, "strength must be from 0 to 1, not 1.5"),
    ({"image": IMAGE, "strength": math.nan}, SettingsError, "strength must be from 0 to 1, not nan"),
    ({"image": IMAGE, "strength": "a"}, SettingsError, "strength must be a number, not 'a'"),
    ({"image": IMAGE, "strength": True}, SettingsError, "strength must be a number"),
    ({"strength": 0.5}, SettingsError, "give that one as image"),
    ({"guidance": -1}, SettingsError, "guidance must be from 0 to 100"),
    ({"guidance": 101}, SettingsError, "guidance must be from 0 to 100"),
    ({"guidance": math.inf}, SettingsError, "guidance must be from 0 to 100"),
    ({"guidance": "much"}, SettingsError, "guidance must be a number"),
    ({"image": IMAGE / 255.0}, SettingsError, r"image must be .* not float64.*\(array \* 255\)"),
    ({"image": IMAGE.transpose(2, 0, 1)}, SettingsError, r"image must be .*array\.transpose\(1, 2, 0\)"),
    ({"image": IMAGE[None]}, SettingsError, "image must be"),
    ({"image": IMAGE[:0]}, SettingsError, "image has no pixels"),
    ({"image": IMAGE.astype(np.int64)}, SettingsError, "image must be .* not int64"),
    ({"image": IMAGE.tolist()}, SettingsError, "image must be .* not list"),
    ({"image": b"cat.png"}, SettingsError, "image must be .* not bytes"),
    ({"image": [Path("cat.png")]}, SettingsError, "image must be .* not list"),
    ({"image": "missing.png"}, ImageNotFoundError, r"image 'missing\.png' does not exist"),
    ({"image": ""}, ImageError, "image ''"),
    ({"image": "folder"}, ImageError, r"image 'folder' is a folder"),
    ({"image": "text.png"}, ImageError, r"image 'text\.png' is no picture"),
    ({"image": "cut.png"}, ImageError, r"image 'cut\.png'"),
    ({"image": IMAGE, "mask": "missing.png"}, ImageNotFoundError, r"mask 'missing\.png' does not exist"),
]


@pytest.fixture
def bad_files(work: Path) -> None:
    """A folder, a text and half a picture."""
    Path("folder").mkdir()
    Path("text.png").write_text("a red circle")
    Image.fromarray(IMAGE).save("whole.png")
    Path("cut.png").write_bytes(Path("whole.png").read_bytes()[:400])


@pytest.mark.usefixtures("bad_files")
@pytest.mark.parametrize(("arguments", "error", "says"), BAD, ids=[says for _, _, says in BAD])
def test_what_cannot_be_used_is_named(
    generator: Generator, arguments: dict[str, Any], error: type[SdcppError], says: str
) -> None:
    """Each is an error of its kind, in one sentence that says what is wrong, alone and in a batch, before any work."""
    seen: list[object] = []
    for draw in (generator.generate, generator.generate_batch):
        with pytest.raises(error, match=says) as caught:
            draw("cat", on_progress=seen.append, **arguments)
        assert type(caught.value) is error
        assert "\n" not in str(caught.value)
        assert ("resize" in str(caught.value)) == ("resize" in says)  # advice that does not help is none
    assert not seen


def test_the_generator_goes_on_after_bad_pictures(generator: Generator) -> None:
    """What was refused leaves nothing behind: the next picture is the one that was drawn before."""
    expected = generator.generate("cat", image=IMAGE, **HALF)
    for arguments, error, _ in BAD[:20]:
        with pytest.raises(error):
            generator.generate("cat", **arguments)
    check_usable(generator, "cat", expected, image=IMAGE, **HALF)


def test_an_unknown_argument_of_a_batch_is_a_type_error(generator: Generator) -> None:
    """A misspelt argument is refused by its name, as Python does it for ``generate``."""
    for draw in (generator.generate, generator.generate_batch):
        with pytest.raises(TypeError, match="unexpected keyword argument 'init_image'"):
            draw("cat", init_image=IMAGE)  # type: ignore[call-arg]


def test_every_prompt_of_a_batch_is_checked_before_the_first_is_drawn(generator: Generator) -> None:
    """Settings in a list that begin from a picture are refused without one, wherever in the list they are."""
    first = GenerationSettings("cat", width=64, height=64, steps=1)
    drawn: list[object] = []
    with pytest.raises(SettingsError, match="there is no init image"):
        generator.generate_batch([first, first.replace(strength=0.5)], on_image=drawn.append)
    assert not drawn


def test_a_batch_of_several_sizes_takes_no_picture(generator: Generator) -> None:
    """Settings of two sizes and one picture are refused before any is drawn; without the picture they draw."""
    first = GenerationSettings("cat", width=64, height=64, steps=1, seed=1)
    orders = [first, first.replace(width=96)]
    drawn: list[object] = []
    with pytest.raises(SettingsError, match="one size"):
        generator.generate_batch(orders, image=IMAGE, resize="cover", on_image=drawn.append)
    assert not drawn
    assert [picture.image.size for picture in generator.generate_batch(orders)] == [(64, 64), (96, 64)]
