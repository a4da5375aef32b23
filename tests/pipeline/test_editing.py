"""Editing: reference images beside the prompt."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sdcpp_py import GenerationCancelled, Generator, ImageNotFoundError, Phase, Progress, SettingsError
from sdcpp_py.images.resizing import fit_reference
from sdcpp_py.synth import SyntheticSet

from ..support.picture_tools import check_limits, check_phases, check_usable, colourful, pixels

SMALL: dict[str, Any] = {"width": 96, "height": 64, "steps": 1, "seed": 1}


def drawn(generator: Generator, *references: object, **changes: object) -> bytes:
    picture = generator.generate("cat", reference_images=list(references), **{**SMALL, **changes})  # type: ignore[arg-type]
    return pixels(picture).tobytes()


def test_references_count(klein_generator: Generator) -> None:
    """None, one, another, both, both the other way round, or one twice: each draws a picture of its own."""
    one, other = colourful(96, 64, 1), colourful(96, 64, 2)
    plain = pixels(klein_generator.generate("cat", **SMALL)).tobytes()
    choices = [(one,), (other,), (one, other), (other, one), (one, one)]
    assert len({plain, *(drawn(klein_generator, *choice) for choice in choices)}) == 1 + len(choices)


def test_the_same_reference_gives_the_same_bytes(klein_generator: Generator) -> None:
    """The same references and seed give the same picture, and another seed or prompt another one."""
    references = [colourful(96, 64, 1), colourful(64, 64, 2)]
    assert drawn(klein_generator, *references) == drawn(klein_generator, *references)
    assert drawn(klein_generator, *references) != drawn(klein_generator, *references, seed=2)
    dog = klein_generator.generate("dog", reference_images=references, **SMALL)
    assert pixels(dog).tobytes() != drawn(klein_generator, *references)


def test_one_reference_needs_no_list(klein_generator: Generator, work: Path) -> None:
    """A reference alone, in a list, in a tuple, as array, PIL image or file: the same bytes."""
    reference = colourful(96, 64, 1)
    image = Image.fromarray(reference)
    image.save("cat.png")
    kinds: list[object] = [reference, (reference,), [image], image, "cat.png", [Path("cat.png")]]
    pictures = {
        pixels(klein_generator.generate("cat", reference_images=kind, **SMALL)).tobytes()  # type: ignore[arg-type]
        for kind in kinds
    }
    assert pictures == {drawn(klein_generator, reference)}


@pytest.mark.slow
def test_a_drawing_is_a_reference_too(tiny: Generator) -> None:
    """The trained model draws with its own picture as a reference, in that picture's size."""
    first = tiny.generate("a red circle on a white background", width=96, height=128, seed=1)
    edited = tiny.generate("a red circle on a white background", reference_images=first, seed=1)
    assert edited.image.size == (96, 128)
    assert not np.array_equal(pixels(edited), pixels(first))


@pytest.mark.sample(1)
@pytest.mark.parametrize("size", [(300, 130), (40, 30), (1, 1), (16, 640), (97, 61)])
def test_a_reference_of_another_size_is_scaled_as_a_whole(klein_generator: Generator, size: tuple[int, int]) -> None:
    """A reference is brought to the drawing's area, and draws what it draws when it is given so; no edge is cut off."""
    reference = colourful(*size, 1)
    scaled = fit_reference(reference, 96 * 64, 16)
    assert drawn(klein_generator, reference) == drawn(klein_generator, scaled)
    if min(size) > 1:
        for rows, columns in ((slice(None), slice(0, size[0] // 8)), (slice(None), slice(-(size[0] // 8), None))):
            painted = reference.copy()
            painted[rows, columns] = (255, 0, 0)
            assert drawn(klein_generator, painted) != drawn(klein_generator, reference)


@pytest.mark.sample(2)
@pytest.mark.parametrize(
    ("size", "drawing"),
    [((96, 64), (96, 64)), ((97, 63), (96, 64)), ((1, 1), (64, 64)), ((20, 202), (64, 208))],
)
def test_the_size_is_the_first_references(
    klein_generator: Generator, size: tuple[int, int], drawing: tuple[int, int]
) -> None:
    """Without width and height, the drawing has the first reference's size, or the nearest that can be drawn."""
    references = [colourful(*size), colourful(128, 128)]
    assert klein_generator.generate("cat", reference_images=references, steps=1, seed=1).image.size == drawing


def test_references_beside_a_picture_and_a_mask(klein_generator: Generator) -> None:
    """A reference counts in a drawing that begins from a picture, and in one under a mask, which keeps its bytes."""
    image = colourful(96, 64)
    mask = np.zeros((64, 96), bool)
    mask[16:48, 32:64] = True
    for given in ({"image": image, "strength": 0.7}, {"image": image, "mask": mask}):
        pictures = [
            np.frombuffer(drawn(klein_generator, colourful(96, 64, seed), **given), np.uint8).reshape(64, 96, 3)
            for seed in (1, 2)
        ]
        assert not np.array_equal(pictures[0], pictures[1])
        if "mask" in given:
            assert all(np.array_equal(picture[~mask], image[~mask]) for picture in pictures)


def test_given_noise_takes_the_seeds_place(klein_generator: Generator) -> None:
    """With noise and a reference the seed plays no part, and the reference still counts."""
    noise = np.random.default_rng(0).standard_normal((128, 4, 6), dtype=np.float32)
    one, other = colourful(96, 64, 1), colourful(96, 64, 2)
    assert drawn(klein_generator, one, noise=noise) == drawn(klein_generator, one, noise=noise, seed=2)
    assert drawn(klein_generator, one, noise=noise) != drawn(klein_generator, other, noise=noise)


def test_guidance_reads_the_references_too(klein_generator: Generator) -> None:
    """With cfg_scale above 1, references and the negative prompt both count."""
    one, other = colourful(96, 64, 1), colourful(96, 64, 2)
    guided: dict[str, Any] = {"cfg_scale": 3, "negative_prompt": "dog"}
    pictures = {
        drawn(klein_generator, one, **guided),
        drawn(klein_generator, other, **guided),
        drawn(klein_generator, one, **{**guided, "negative_prompt": "house"}),
    }
    assert len(pictures) == 3


@pytest.mark.slow
def test_a_batch_is_the_single_pictures(klein_generator: Generator) -> None:
    """Picture i of a batch with references is the one that its seed draws alone; they are encoded once."""
    given: dict[str, Any] = {
        "reference_images": [colourful(96, 64, 1), colourful(40, 90, 2)],
        "width": 96,
        "height": 64,
        "steps": 2,
    }
    batch = klein_generator.generate_batch("cat", count=3, seed=5, **given)
    assert batch[0].timings["encode"] > 0
    assert batch[1].timings["encode"] == batch[2].timings["encode"] == 0
    for picture in batch:
        alone = klein_generator.generate("cat", seed=picture.seed, **given)
        assert np.array_equal(pixels(picture), pixels(alone))


@pytest.mark.slow
def test_limits_of_memory_do_not_change_the_picture(klein: SyntheticSet) -> None:
    """Whatever the limit, two references draw the same bytes, and the limit is kept to."""
    references = [colourful(128, 128, 1), colourful(200, 90, 2)]
    check_limits(klein, "cat", reference_images=references, width=128, height=128, steps=2, seed=5)


def test_progress_with_references(klein_generator: Generator) -> None:
    """Prompt and references are one phase, which rises once from 0 to 1."""
    reports: list[Progress] = []
    drawn(klein_generator, colourful(96, 64, 1), colourful(96, 64, 2), colourful(96, 64, 3), on_progress=reports.append)
    reports = [report for report in reports if report.phase is not Phase.LOAD]
    check_phases(reports, [Phase.ENCODE, Phase.DENOISE, Phase.DECODE])


@pytest.mark.sample(1)
@pytest.mark.parametrize("at", [0.0, 0.3, 0.5])
def test_stopping_between_references(klein_generator: Generator, at: float) -> None:
    """Exceptions and ``cancel`` while one of several references is encoded leave the generator usable."""
    prompt = klein_generator.encode("cat")
    given: dict[str, Any] = {"reference_images": [colourful(96, 64, 1), colourful(96, 64, 2)], **SMALL}
    expected = klein_generator.generate(prompt, **given)

    def fail(progress: Progress) -> None:
        if progress.phase is Phase.ENCODE and progress.fraction >= at:
            raise ZeroDivisionError

    def cancel(progress: Progress) -> None:
        if progress.phase is Phase.ENCODE and progress.fraction >= at:
            klein_generator.cancel()

    for stop, error in ((fail, ZeroDivisionError), (cancel, GenerationCancelled)):
        with pytest.raises(error):
            klein_generator.generate(prompt, on_progress=stop, **given)
        check_usable(klein_generator, prompt, expected, **given)


def test_a_family_that_takes_none_says_which_do(generator: Generator) -> None:
    """Z-Image refuses reference images with the names of those that read them, and goes on."""
    expected = generator.generate("cat", **SMALL)
    for references in (colourful(96, 64), [colourful(96, 64)], []):
        with pytest.raises(SettingsError, match=r"Z-Image takes no reference images; FLUX\.2 Klein"):
            generator.generate("cat", reference_images=references, **SMALL)
    check_usable(generator, "cat", expected, **SMALL)


@pytest.mark.parametrize(
    ("references", "error", "says"),
    [
        ([], SettingsError, "reference_images is empty"),
        ((), SettingsError, "reference_images is empty"),
        ([colourful(64, 64)] * 11, SettingsError, "11 reference images; .* reads 10 at most"),
        ([colourful(64, 64), None], SettingsError, r"reference_images\[1\] must be .* not NoneType"),
        ([None], SettingsError, r"reference_images\[0\] must be .* not NoneType"),
        ([[colourful(64, 64)]], SettingsError, r"reference_images\[0\] must be .* not list"),
        (7, SettingsError, r"reference_images\[0\] must be .* not int"),
        (["missing.png"], ImageNotFoundError, r"reference_images\[0\] 'missing\.png' does not exist"),
        ([colourful(64, 64).astype(np.float32)], SettingsError, r"reference_images\[0\] must be .* not float32"),
    ],
)
def test_references_that_cannot_be_used_are_named(
    klein_generator: Generator, references: object, error: type[Exception], says: str, work: Path
) -> None:
    """None at all, too many, or one that is no picture: an error that says which of them."""
    with pytest.raises(error, match=says):
        klein_generator.generate("cat", reference_images=references, **SMALL)  # type: ignore[arg-type]
    klein_generator.generate("cat", reference_images=colourful(64, 64), **SMALL)


def test_as_many_as_the_family_reads(klein_generator: Generator) -> None:
    """Ten references draw."""
    references = [colourful(64, 64, seed) for seed in range(10)]
    picture = klein_generator.generate("cat", reference_images=references, width=64, height=64, steps=1, seed=1)
    assert pixels(picture).std() > 5
