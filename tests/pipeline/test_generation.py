"""Drawing: real files, the real native library, real pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from sdcpp_py import (
    SAMPLERS,
    SCHEDULERS,
    EncodedPrompt,
    GenerationSettings,
    Generator,
    GeneratorClosedError,
    NativeLibraryError,
    OutputError,
    SettingsError,
    read_png,
)
from sdcpp_py.synth import SyntheticSet
from tests.support.examples import examples

from ..conftest import open_generator

SMALL: dict[str, Any] = {"width": 64, "height": 64, "steps": 2}


def pixels(picture: object) -> np.ndarray:
    return np.asarray(picture)


def test_the_same_seed_gives_the_same_bytes(generator: Generator) -> None:
    """Two pictures with the same settings are equal byte for byte, and another seed gives another picture."""
    first, second, other = (generator.generate("a red circle", seed=seed, **SMALL) for seed in (1, 1, 2))
    assert pixels(first).tobytes() == pixels(second).tobytes()
    assert pixels(first).tobytes() != pixels(other).tobytes()


def test_another_prompt_gives_another_picture(generator: Generator) -> None:
    """The prompt has an effect."""
    first, other = (generator.generate(prompt, seed=1, **SMALL) for prompt in ("a red circle", "two dogs"))
    assert not np.array_equal(pixels(first), pixels(other))


def test_a_picture_is_not_flat(generator: Generator) -> None:
    """The picture has the size that was asked for, three channels, and contrast."""
    picture = generator.generate("a red circle", width=96, height=64, steps=2, seed=1)
    assert pixels(picture).shape == (64, 96, 3)
    assert pixels(picture).dtype == np.uint8
    assert pixels(picture).std() > 5


@pytest.mark.usefixtures("every_cpu")
def test_threads_do_not_change_the_picture(model: SyntheticSet) -> None:
    """One thread and two draw the same bytes."""
    drawn = []
    for threads in (1, 2):
        with open_generator(model, threads=threads) as generator:
            assert generator.threads == threads
            drawn.append(pixels(generator.generate("a red circle", seed=1, **SMALL)).tobytes())
    assert drawn[0] == drawn[1]


@pytest.mark.parametrize(("family", "steps"), [("klein", 4), ("z_image", 8)])
def test_each_family_draws(family: str, steps: int, request: pytest.FixtureRequest) -> None:
    """Each family draws with its own defaults, a picture with contrast, and the same bytes for the same seed."""
    with open_generator(request.getfixturevalue(family)) as generator:
        first, second = (generator.generate("a red circle", width=64, height=64, seed=1) for _ in range(2))
        assert first.settings.steps == steps
        assert pixels(first).std() > 5
        assert np.array_equal(pixels(first), pixels(second))


def test_a_batch_is_the_single_pictures(generator: Generator) -> None:
    """Picture i of a batch is the one that its seed draws alone, and the prompt is encoded once."""
    batch = generator.generate_batch("a red circle", count=3, seed=5, **SMALL)
    assert [picture.seed for picture in batch] == [5, 6, 7]
    assert batch[0].timings["encode"] > 0
    assert batch[1].timings["encode"] == 0
    alone = generator.generate("a red circle", seed=6, **SMALL)
    assert np.array_equal(pixels(batch[1]), pixels(alone))


@pytest.mark.parametrize("count", [0, -1, 1.5, True, 10**9])
def test_a_bad_count_is_refused(generator: Generator, count: object) -> None:
    """``count`` is a whole number, 1 or more."""
    with pytest.raises(SettingsError, match="count"):
        generator.generate_batch("cat", count=count)  # type: ignore[arg-type]


def test_a_random_seed_is_recorded(generator: Generator) -> None:
    """A picture without a given seed says which one it had, and that seed draws it again."""
    picture = generator.generate("a red circle", **SMALL)
    again = generator.generate("a red circle", seed=picture.seed, **SMALL)
    assert np.array_equal(pixels(picture), pixels(again))


def test_a_png_draws_its_picture_again(generator: Generator, work: Path) -> None:
    """The settings inside a saved PNG draw the same picture."""
    picture = generator.generate("a réd circle 猫", seed=2**62, **SMALL)
    picture.save("out.png")
    settings = GenerationSettings.from_png("out.png")
    assert settings == picture.settings
    assert np.array_equal(pixels(generator.generate(settings)), pixels(picture))
    with Image.open("out.png") as read:
        assert np.array_equal(pixels(read), pixels(picture))
    metadata = read_png("out.png")
    assert metadata.model["diffusion_model"] == generator.files.sources["diffusion_model"].name
    assert set(metadata.timings) == {"encode", "denoise", "decode"}


def test_settings_are_taken_and_changed(generator: Generator) -> None:
    """Whole settings are a prompt too, and other arguments replace single ones."""
    settings = GenerationSettings("a red circle", width=64, height=64, steps=2, seed=1)
    assert generator.generate(settings, seed=9).settings == settings.replace(seed=9)


def test_noise_and_latent_carry_a_run(generator: Generator) -> None:
    """Given noise is what is started from, the seed then plays no part, and the latent comes back when asked for."""
    noise = np.random.default_rng(0).standard_normal((16, 8, 12), dtype=np.float32)
    arguments: dict[str, Any] = {"width": 96, "height": 64, "steps": 2, "return_latent": True}
    first, second = (generator.generate("cat", noise=noise, seed=seed, **arguments) for seed in (1, 2))
    assert first.latent is not None
    assert first.latent.shape == noise.shape
    assert first.latent.dtype == np.float32
    assert np.array_equal(first.latent, second.latent)  # type: ignore[arg-type]
    assert generator.generate("cat", seed=1, **SMALL).latent is None


@pytest.mark.parametrize(
    "noise",
    [np.zeros((16, 8, 9)), np.zeros((128, 4, 4)), np.full((16, 8, 8), np.nan), "noise", np.zeros((1, 16, 8, 8))],
)
def test_bad_noise_is_refused(generator: Generator, noise: object) -> None:
    """Noise of another shape, of no numbers or not finite raises SettingsError."""
    with pytest.raises(SettingsError, match="noise must"):
        generator.generate("cat", noise=noise, **SMALL)  # type: ignore[arg-type]


def test_guidance_has_an_effect(generator: Generator) -> None:
    """With cfg_scale above 1 the negative prompt counts; with 1 it does not."""

    def draw(cfg_scale: float, negative: str) -> bytes:
        return pixels(
            generator.generate("cat", negative_prompt=negative, cfg_scale=cfg_scale, seed=1, **SMALL)
        ).tobytes()

    assert draw(1, "dog") == draw(1, "")
    assert draw(3, "dog") != draw(3, "")


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_every_sampler_draws(generator: Generator, sampler: str) -> None:
    """Each sampler that is listed exists in the engine and draws."""
    picture = generator.generate("cat", sampler=sampler, seed=1, width=64, height=64, steps=3)
    assert pixels(picture).shape == (64, 64, 3)


def test_eta_is_the_fresh_noise_of_ancestral_samplers(generator: Generator) -> None:
    """With eta 0, euler_a is euler; it alone reads the value, and its own is 1."""

    def drawn(sampler: str, eta: float | None) -> np.ndarray:
        return pixels(generator.generate("cat", sampler=sampler, eta=eta, seed=1, width=64, height=64, steps=3))

    # The two add up a step in another order, so a pixel may be rounded the other way.
    apart = np.abs(drawn("euler_a", 0).astype(int) - drawn("euler", None))
    assert apart.max() <= 1
    assert np.abs(drawn("euler_a", 0.5).astype(int) - drawn("euler", None)).max() > 10
    assert np.array_equal(drawn("euler_a", 1), drawn("euler_a", None))
    assert not np.array_equal(drawn("euler_a", 0.5), drawn("euler_a", None))
    assert np.array_equal(drawn("euler", 0.5), drawn("euler", None))


def test_a_scheduler_without_noise_levels_for_the_model_is_refused(generator: Generator) -> None:
    """Align Your Steps has levels for Stable Diffusion 1 and XL; for others the engine would compute no numbers."""
    with pytest.raises(SettingsError, match="'ays' has noise levels for Stable Diffusion 1 and XL alone"):
        generator.generate("cat", scheduler="ays", **SMALL)


@pytest.mark.parametrize("scheduler", sorted(set(SCHEDULERS) - {"ays"}))
def test_every_scheduler_draws(generator: Generator, scheduler: str) -> None:
    """Each scheduler that is listed exists in the engine and draws."""
    picture = generator.generate("cat", scheduler=scheduler, seed=1, **SMALL)
    assert pixels(picture).shape == (64, 64, 3)


def test_the_engines_own_schedule_is_another(generator: Generator) -> None:
    """``scheduler="discrete"`` is the engine's own and draws another picture than the reference's sigmas."""
    reference, discrete = (
        generator.generate("cat", scheduler=name, seed=1, width=64, height=64, steps=4)
        for name in ("reference", "discrete")
    )
    assert not np.array_equal(pixels(reference), pixels(discrete))


@pytest.mark.sample(1)
@pytest.mark.parametrize("family", ["generator", "klein_generator"])
def test_tiles_draw_nearly_the_same(family: str, request: pytest.FixtureRequest) -> None:
    """Decoding in tiles gives a picture of the same size that differs little."""
    opened: Generator = request.getfixturevalue(family)
    whole = opened.generate("cat", seed=1, width=256, height=128, steps=1)
    tiled = opened.generate("cat", seed=1, width=256, height=128, steps=1, vae_tile_size=128)
    assert pixels(tiled).shape == pixels(whole).shape
    assert np.abs(pixels(tiled).astype(int) - pixels(whole).astype(int)).mean() < 40


def test_kleins_latent_has_its_own_shape(klein_generator: Generator) -> None:
    """Klein's latent has 128 channels and a cell for 16x16 pixels."""
    noise = np.random.default_rng(0).standard_normal((128, 4, 6), dtype=np.float32)
    picture = klein_generator.generate("cat", noise=noise, width=96, height=64, steps=1, return_latent=True)
    assert picture.latent is not None
    assert picture.latent.shape == (128, 4, 6)


def test_encode_gives_the_states(generator: Generator, klein_generator: Generator) -> None:
    """``encode`` gives 512 tokens' states of three layers for Klein, and one layer's of the prompt for Z-Image."""
    for opened, shape in ((klein_generator, (512, 192)), (generator, (11, 64))):
        encoded = opened.encode("a red circle")
        assert isinstance(encoded, EncodedPrompt)
        assert encoded.arrays["crossattn"].shape == shape
        assert np.isfinite(encoded.arrays["crossattn"]).all()


def test_a_prompt_with_too_many_tokens_is_refused(generator: Generator) -> None:
    """More tokens than the model was trained to read raise SettingsError."""
    with pytest.raises(SettingsError, match="more than 512 tokens"):
        generator.generate("cat " * 700, **SMALL)


@pytest.mark.slow
def test_a_prompt_of_hundreds_of_tokens_is_drawn(generator: Generator) -> None:
    """Nearly as many as the model was trained to read."""
    generator.generate("cat " * 490, **SMALL)


@pytest.mark.sample(5)
@pytest.mark.parametrize(
    "prompt",
    [
        "",
        " ",
        "((a:1.5)",
        "[[",
        "\\",
        "a\r\n\tb",
        "🐈" * 50,
        "\u202e",
        "🏴\U000e0067\U000e0062\U000e007f",
        "\U0010fffd",
    ],
)
def test_odd_prompts_are_drawn(generator: Generator, prompt: str) -> None:
    """Empty prompts, unbalanced brackets, and characters of every plane are drawn."""
    assert pixels(generator.generate(prompt, seed=1, **SMALL)).shape == (64, 64, 3)


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=60))
@settings(max_examples=examples(150))
def test_any_unicode_is_encoded(generator: Generator, prompt: str) -> None:
    """Whatever Unicode a prompt holds, the text encoder's states are finite, one row a token."""
    states = generator.encode(prompt).arrays["crossattn"]
    assert np.isfinite(states).all()
    assert states.shape[0] >= 8  # the template alone


def test_brackets_are_text(generator: Generator) -> None:
    """Brackets in a prompt are text, as in the reference pipelines, and not weights of words."""
    plain, bracketed, weighted = (
        len(generator.encode(prompt).arrays["crossattn"]) for prompt in ("a red cat", "a (red) cat", "a (red:1.3) cat")
    )
    assert plain < bracketed < weighted


@pytest.mark.timing
def test_a_long_word_is_no_trap(generator: Generator) -> None:
    """The longest prompt that is taken at all, without a single space, is answered in seconds."""
    import random
    import time

    word = "".join(random.Random(0).choices("abcdefghijklmnopqrstuvwxyz", k=8192))
    began = time.process_time()
    with pytest.raises(SettingsError, match="tokens"):
        generator.generate(word, **SMALL)
    assert time.process_time() - began < 30


def test_a_closed_generator_says_so(model: SyntheticSet) -> None:
    """After close every call raises GeneratorClosedError, a RuntimeError; closing twice is fine."""
    generator = open_generator(model)
    with generator as entered:
        assert entered is generator
    generator.close()
    for call in (lambda: generator.generate("cat"), lambda: generator.encode("cat"), generator.__enter__):
        with pytest.raises(GeneratorClosedError) as caught:
            call()
        assert isinstance(caught.value, RuntimeError)
    assert "closed" in repr(generator)


def test_an_unknown_device_is_refused_with_the_known_ones(klein: SyntheticSet) -> None:
    """A device that is not there raises NativeLibraryError that lists those that are."""
    with pytest.raises(NativeLibraryError, match="cpu"):
        Generator(klein.diffusion_model, klein.text_encoder, klein.vae, device="vulkan99")


@pytest.mark.parametrize("threads", [0, -1, 1.5, True, 10**6])
def test_bad_threads_are_refused(klein: SyntheticSet, threads: object) -> None:
    """``threads`` is a whole number from 1 to 1024."""
    with pytest.raises(SettingsError, match="threads"):
        open_generator(klein, threads=threads)


def test_saving_says_what_is_wrong(generator: Generator, work: Path) -> None:
    """A missing folder, a folder as the file, and an unknown suffix each raise OutputError, an OSError."""
    picture = generator.generate("cat", seed=1, **SMALL)
    (work / "folder.png").mkdir()
    for target, says in (
        ("no/such/out.png", "does not exist"),
        ("folder.png", "is a folder"),
        ("out.xyz", ".xyz"),
        ("a\0b.png", "NUL"),
    ):
        with pytest.raises(OutputError, match=says) as caught:
            picture.save(target)
        assert isinstance(caught.value, OSError)
    assert [path.name for path in work.iterdir()] == ["folder.png"]


def test_other_formats_are_written(generator: Generator, work: Path) -> None:
    """The suffix decides the format."""
    picture = generator.generate("cat", seed=1, **SMALL)
    for name, kind in (("a.jpg", "JPEG"), ("a.webp", "WEBP")):
        picture.save(name)
        with Image.open(name) as read:
            assert read.format == kind


def test_a_picture_shows_itself_in_a_notebook(generator: Generator) -> None:
    """``_repr_png_`` gives a PNG, and ``__array__`` the pixels."""
    picture = generator.generate("cat", seed=1, **SMALL)
    assert picture._repr_png_().startswith(b"\x89PNG")
    assert np.asarray(picture, dtype=np.float32).dtype == np.float32


def test_weights_are_accounted_for(generator: Generator) -> None:
    """The memory of each part's weights is told."""
    assert set(generator.weight_bytes) == {"text_encoder", "diffusion_model", "vae"}
    assert all(size > 1_000_000 for size in generator.weight_bytes.values())
