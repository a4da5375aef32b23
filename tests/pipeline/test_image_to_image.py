"""Drawing that begins from another picture: how far it goes, what it gives again, and what it costs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sdcpp_py import GenerationCancelled, GenerationSettings, Generator, Phase, Progress, SettingsError, read_png
from sdcpp_py.images.result import GeneratedImage
from sdcpp_py.settings.metadata import from_common_text
from sdcpp_py.synth import SyntheticSet, write, write_set

from ..conftest import open_generator
from ..support.picture_tools import check_limits, check_phases, check_usable, colourful, difference, pixels, shown

SMALL: dict[str, Any] = {"width": 96, "height": 64, "steps": 2, "seed": 1}
SEEDS = range(5)
CIRCLE = ("white", [("circle", "red")])


@pytest.fixture(scope="module")
def circle(tiny: Generator) -> GeneratedImage:
    """A red circle on white."""
    picture = tiny.generate("a red circle on a white background", seed=1)
    assert shown(picture) == CIRCLE
    return picture


@pytest.fixture(params=["generator", "klein_generator"])
def either(request: pytest.FixtureRequest) -> Generator:
    """A generator of each family."""
    opened: Generator = request.getfixturevalue(request.param)
    return opened


@pytest.mark.slow
def test_a_little_strength_stays_near_the_picture(tiny: Generator, circle: GeneratedImage) -> None:
    """At strength 0.1 another shape in the prompt leaves the old one: within 3 of 255 on average, for every seed."""
    for seed in SEEDS:
        drawn = tiny.generate("a blue square on a white background", image=circle, strength=0.1, seed=seed)
        assert shown(drawn) == CIRCLE
        assert difference(drawn, circle) < 3


@pytest.mark.slow
@pytest.mark.parametrize(
    ("prompt", "wanted"),
    [
        ("a blue square on a white background", ("white", [("square", "blue")])),
        ("a purple star on a pink background", ("pink", [("star", "purple")])),
    ],
)
def test_much_strength_follows_the_prompt(tiny: Generator, circle: GeneratedImage, prompt: str, wanted: object) -> None:
    """At strength 0.9 the picture shows what the prompt says, background, colour and shape, for 4 of 5 seeds."""
    right = [shown(tiny.generate(prompt, image=circle, strength=0.9, seed=seed)) == wanted for seed in SEEDS]
    assert sum(right) >= 4


@pytest.mark.slow
def test_more_strength_changes_more(tiny: Generator, circle: GeneratedImage) -> None:
    """The mean difference from the picture rises with the strength."""
    strengths = (0.03, 0.08, 0.2, 0.8)
    differences = [
        np.mean(
            [
                difference(tiny.generate("a blue square on white", image=circle, strength=strength, seed=seed), circle)
                for seed in range(2)
            ]
        )
        for strength in strengths
    ]
    assert differences == sorted(differences), dict(zip(strengths, differences, strict=True))
    assert differences[-1] > 5 * differences[0]


@pytest.mark.slow
def test_full_strength_keeps_nothing(tiny: Generator, circle: GeneratedImage) -> None:
    """At strength 1 the bytes are those that are drawn without a picture."""
    prompt = "a green triangle on a black background"
    assert np.array_equal(
        pixels(tiny.generate(prompt, image=circle, strength=1, seed=3)), pixels(tiny.generate(prompt, seed=3))
    )


def test_the_strength_is_three_quarters_where_none_is_given(generator: Generator) -> None:
    """The default is recorded, and draws what it draws when it is given."""
    picture = generator.generate("cat", image=colourful(96, 64), steps=4, seed=1)
    assert picture.settings.strength == 0.75
    given = generator.generate("cat", image=colourful(96, 64), steps=4, seed=1, strength=0.75)
    assert np.array_equal(pixels(picture), pixels(given))


@pytest.mark.sample(1)
def test_each_family_begins_from_a_picture(either: Generator) -> None:
    """Klein and Z-Image: the same bytes for the same picture and seed, others for others, in the picture's own size."""
    drawings = [
        pixels(either.generate("cat", image=image, strength=0.6, steps=4, seed=seed))
        for image, seed in ((colourful(96, 64), 1), (colourful(96, 64), 1), (colourful(96, 64, 5), 1))
    ]
    assert drawings[0].shape == (64, 96, 3)
    assert drawings[0].std() > 5
    assert np.array_equal(drawings[0], drawings[1])
    assert not np.array_equal(drawings[0], drawings[2])
    other = either.generate("cat", image=colourful(96, 64), strength=0.6, steps=4, seed=2)
    assert not np.array_equal(pixels(other), drawings[0])


@pytest.mark.sample(1)
def test_a_batch_is_the_single_pictures(either: Generator) -> None:
    """Picture i of a batch from a picture is the one that its seed draws alone, and the picture is encoded once."""
    given: dict[str, Any] = {"image": colourful(96, 64), "strength": 0.5, "steps": 2}
    batch = either.generate_batch(["a cat", "a dog"], count=2, seed=5, **given)
    assert batch[0].timings["encode"] > 0
    assert [picture.timings["encode"] for picture in batch[1:]] == [0, 0, 0]
    for picture in batch:
        alone = either.generate(picture.settings.prompt, seed=picture.seed, **given)
        assert np.array_equal(pixels(picture), pixels(alone))


def test_other_settings_count_too(generator: Generator) -> None:
    """Guidance with a negative prompt, a sampler and the engine's own schedule each draw another picture."""
    given: dict[str, Any] = {"image": colourful(96, 64), "strength": 0.7, "steps": 4, "seed": 1}
    changes: list[dict[str, Any]] = [
        {},
        {"cfg_scale": 3, "negative_prompt": "dog"},
        {"sampler": "heun"},
        {"scheduler": "discrete"},
    ]
    drawn = {pixels(generator.generate("cat", **given, **change)).tobytes() for change in changes}
    assert len(drawn) == len(changes)


def test_steps_are_run_in_proportion(generator: Generator) -> None:
    """As many steps are run as the rest of the way has, rounded up, and never none: Z-Image's middle is at 0.75."""
    for steps, strength, run in ((4, 0.01, 1), (4, 0.75, 2), (4, 0.76, 3), (10, 0.3, 2), (1, 0.5, 1), (4, 1.0, 4)):
        reports: list[Progress] = []
        given: dict[str, Any] = {"strength": strength, "steps": steps, "on_progress": reports.append}
        generator.generate("cat", image=colourful(64, 64), **given)
        assert {report.steps for report in reports if report.phase is Phase.DENOISE} == {run}


def test_given_noise_takes_the_seeds_place(tiny: Generator, circle: GeneratedImage) -> None:
    """With noise and a picture the seed plays no part, and both the noise and the picture count."""
    noises = [np.random.default_rng(seed).standard_normal((128, 8, 8), dtype=np.float32) for seed in (0, 1)]
    given: dict[str, Any] = {"strength": 0.2, "return_latent": True}

    def latent(image: object, noise: np.ndarray, seed: int) -> np.ndarray:
        return tiny.generate("a red circle", image=image, noise=noise, seed=seed, **given).latent  # type: ignore

    first = latent(circle, noises[0], 1)
    assert np.array_equal(first, latent(circle, noises[0], 2))
    assert not np.array_equal(first, latent(circle, noises[1], 1))
    assert not np.array_equal(first, latent(colourful(128, 128), noises[0], 1))
    with pytest.raises(SettingsError, match="noise must have shape"):
        latent(colourful(64, 64), noises[0], 1)


def test_the_png_remembers(klein_generator: Generator, work: Path) -> None:
    """Strength and guidance are in both texts of the PNG, are read back of ours, and draw the picture again."""
    image = colourful(96, 64)
    picture = klein_generator.generate("cat", image=image, strength=0.35, guidance=2.5, steps=4, seed=9)
    picture.save("out.png")
    settings = GenerationSettings.from_png("out.png")
    assert settings == picture.settings == read_png("out.png").settings
    assert (settings.strength, settings.guidance, settings.width, settings.height) == (0.35, 2.5, 96, 64)
    with Image.open("out.png") as read:
        text = read.info["parameters"]
    assert "Denoising strength: 0.35" in text
    # Other tools write it for pictures that began from nothing too, and so it is not read.
    assert from_common_text(text).settings == settings.replace(strength=1)
    assert np.array_equal(pixels(klein_generator.generate(settings, image=image)), pixels(picture))
    with pytest.raises(SettingsError, match="there is no init image"):
        klein_generator.generate(settings)


@pytest.mark.parametrize("batch", [False, True])
def test_whole_settings_keep_their_size_and_strength(generator: Generator, batch: bool) -> None:
    """Settings given as a prompt decide, and neither the picture's size nor the default strength takes their place."""
    settings = GenerationSettings("cat", width=64, height=64, steps=4, seed=1, strength=0.4)
    given: dict[str, Any] = {"image": colourful(96, 64), "resize": "cover"}
    picture = generator.generate_batch([settings], **given)[0] if batch else generator.generate(settings, **given)
    assert picture.settings == settings
    if not batch:
        assert generator.generate(settings, strength=0.5, **given).settings == settings.replace(strength=0.5)


@pytest.mark.parametrize("batch", [False, True])
def test_settings_of_strength_1_do_not_ignore_the_image(generator: Generator, work: Path, batch: bool) -> None:
    """Settings of a picture that began from nothing take the default strength with an image; 1 has to be said."""
    generator.generate("cat", **SMALL).save("nothing.png")
    settings = GenerationSettings.from_png("nothing.png")
    assert settings.strength == 1

    def drawn(**given: Any) -> GeneratedImage:
        return generator.generate_batch([settings], **given)[0] if batch else generator.generate(settings, **given)

    image = colourful(96, 64)
    picture = drawn(image=image)
    assert picture.settings == settings.replace(strength=0.75)
    assert not np.array_equal(pixels(picture), pixels(drawn()))
    assert drawn(image=image, strength=1).settings == settings
    white = np.full((64, 96), 255, np.uint8)
    assert drawn(image=image, mask=white).settings == settings


def test_what_begins_from_nothing_names_no_strength(generator: Generator, work: Path) -> None:
    """A picture that was drawn from the prompt alone has strength 1, and no word of it in the common text."""
    generator.generate("cat", **SMALL).save("out.png")
    assert GenerationSettings.from_png("out.png").strength == 1
    with Image.open("out.png") as read:
        assert "Denoising" not in read.info["parameters"]


@pytest.mark.slow
def test_tiles_encode_nearly_the_same(generator: Generator) -> None:
    """A picture that is encoded and decoded in tiles comes out nearly as in one piece."""
    given: dict[str, Any] = {"image": colourful(256, 128), "strength": 0.1, "steps": 1, "seed": 1}
    whole, tiled = (generator.generate("cat", vae_tile_size=tile, **given) for tile in (0, 128))
    assert pixels(tiled).shape == pixels(whole).shape
    assert 0 < difference(tiled, whole) < 40


@pytest.mark.slow
@pytest.mark.parametrize("family", ["klein", "z_image"])
def test_limits_of_memory_do_not_change_the_picture(family: str, request: pytest.FixtureRequest) -> None:
    """Whatever the limit, a picture begins from another one with the same bytes, and the limit is kept to."""
    files: SyntheticSet = request.getfixturevalue(family)
    check_limits(files, "cat", image=colourful(128, 128), strength=0.6, width=128, height=128, steps=2, seed=5)


def test_progress_with_a_picture(tmp_path: Path) -> None:
    """Load, encode, denoise and decode, each from 0 to 1, where a picture is encoded after the prompt."""
    files = write_set("tiny-z-image", tmp_path, quant="Q8_0", seed=11)  # that no other generator has in memory
    reports: list[Progress] = []
    with open_generator(files, on_progress=reports.append) as generator:
        check_phases(reports, [Phase.LOAD])
        for phases in ([Phase.ENCODE, Phase.DENOISE, Phase.DECODE],) * 2:  # the second time the prompt is known
            reports.clear()
            generator.generate("cat", image=colourful(96, 64), on_progress=reports.append)
            check_phases([report for report in reports if report.phase is not Phase.LOAD], phases)


def test_a_batch_reports_its_encoding_once(generator: Generator) -> None:
    """In a batch, prompts and picture are one phase, before the first picture."""
    reports: list[Progress] = []
    given: dict[str, Any] = {"image": colourful(96, 64), "steps": 2, "on_progress": reports.append}
    generator.generate_batch(["a sparrow", "a heron"], **given)
    rest = [Phase.DENOISE, Phase.DECODE]
    check_phases([report for report in reports if report.phase is not Phase.LOAD], [Phase.ENCODE, *rest, *rest])


class Whim(Exception):
    """An exception of the user's own."""


@pytest.mark.sample(4)
@pytest.mark.parametrize("at", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("cancels", [False, True])
def test_stopping_while_a_picture_is_encoded(either: Generator, at: float, cancels: bool) -> None:
    """``cancel`` and exceptions of ``on_progress`` end the run, and the next picture is right."""
    prompt = either.encode("cat")  # so that all of the phase is the picture's
    given: dict[str, Any] = {"image": colourful(96, 64), "strength": 0.5, "steps": 2, "seed": 1}
    expected = either.generate(prompt, **given)

    def stop(progress: Progress) -> None:
        if progress.phase is Phase.ENCODE and progress.fraction >= at:
            if not cancels:
                raise Whim
            either.cancel()

    with pytest.raises(GenerationCancelled if cancels else Whim):
        either.generate(prompt, on_progress=stop, **given)
    check_usable(either, prompt, expected, **given)


def test_a_vae_without_encoder_says_so(klein: SyntheticSet, tmp_path: Path) -> None:
    """A VAE that lacks its encoder draws from prompts; a picture or reference is refused, and it goes on drawing."""
    vae = write("tiny-flux2-vae-decoder", tmp_path)
    with open_generator(SyntheticSet(klein.diffusion_model, klein.text_encoder, vae)) as generator:
        expected = generator.generate("cat", **SMALL)
        for name in ("image", "reference_images"):
            given: dict[str, Any] = {name: colourful(96, 64), **SMALL}
            with pytest.raises(SettingsError, match="this VAE has no encoder"):
                generator.generate("cat", **given)
        check_usable(generator, "cat", expected, **SMALL)
