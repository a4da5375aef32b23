"""Every family that has a small set draws from its files: FLUX.1, Fill, Chroma, Stable Diffusion 3, Qwen-Image."""

from __future__ import annotations

import gc
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sdcpp_py import EncodedPrompt, Generator, OutOfMemoryError
from sdcpp_py._native.library import device_usage
from sdcpp_py.memory.plan import Stay
from sdcpp_py.models.families import CHROMA, FLUX1, FLUX1_FILL, FLUX1_SCHNELL, QWEN_IMAGE, SD3, Family
from sdcpp_py.models.files import arguments_of
from sdcpp_py.synth import SyntheticSet, write_set

FAMILIES: Mapping[str, Family] = {
    "tiny-flux1": FLUX1,
    "tiny-flux1-schnell": FLUX1_SCHNELL,
    "tiny-flux1-fill": FLUX1_FILL,
    "tiny-chroma": CHROMA,
    "tiny-sd3": SD3,
    "tiny-qwen-image": QWEN_IMAGE,
}
SMALL: dict[str, Any] = {"width": 64, "height": 64, "steps": 1, "seed": 3}
PICTURE = np.random.default_rng(5).integers(0, 256, (64, 96, 3), np.uint8)
MASK = np.zeros((64, 96), np.uint8)
MASK[16:48, 32:80] = 255


@dataclass(frozen=True)
class Opened:
    """A generator over a tiny set, and what it is."""

    name: str
    files: SyntheticSet
    generator: Generator

    @property
    def family(self) -> Family:
        """What it has to be recognised as."""
        return FAMILIES[self.name]

    def open(self, **arguments: Any) -> Generator:
        """Another generator over the same files."""
        return Generator(**arguments_of(self.files.files), device="cpu", **arguments)

    def draw(self, prompt: str | EncodedPrompt = "a cat", **settings: Any) -> np.ndarray:
        """The pixels of a small picture of the open generator."""
        return drawn(self.generator, prompt, **settings)


def drawn(generator: Generator, prompt: str | EncodedPrompt = "a cat", **settings: Any) -> np.ndarray:
    """The pixels of a small picture."""
    return np.asarray(generator.generate(prompt, **{**SMALL, **settings}))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("families")


@pytest.fixture(scope="module", params=list(FAMILIES))
def opened(request: pytest.FixtureRequest, folder: Path) -> Iterator[Opened]:
    """Each family in turn, with all of it in memory."""
    files = write_set(request.param, folder, quant="Q8_0")
    with Generator(**arguments_of(files.files), device="cpu", memory="all") as generator:
        yield Opened(request.param, files, generator)


@pytest.mark.sample(3)
def test_a_family_draws(opened: Opened) -> None:
    """Files are recognised, and draw with the family's defaults a picture that is not flat, of any size."""
    assert opened.generator.family == opened.family
    picture = opened.generator.generate("a cat", **SMALL)
    settings = picture.settings
    assert (settings.cfg_scale, settings.guidance, settings.sampler, settings.scheduler) == (
        opened.family.cfg_scale, opened.family.guidance, opened.family.sampler, opened.family.scheduler
    )  # fmt: skip
    assert picture.model["family"] == opened.family.name
    assert np.asarray(picture).std() > 5
    wide = opened.generator.generate("a cat", width=112, height=64, seed=3, steps=2, return_latent=True)
    assert np.asarray(wide).shape == (64, 112, 3)
    assert np.asarray(wide).std() > 5
    assert wide.latent is not None
    assert wide.latent.shape == opened.family.latent_shape(112, 64)
    assert np.isfinite(wide.latent).all()


@pytest.mark.sample(1)
def test_what_is_asked_for_changes_the_picture(opened: Opened) -> None:
    """The same settings give the same bytes, in another generator too, and each other setting gives other ones."""
    base: dict[str, Any] = {"cfg_scale": 2.0, "negative_prompt": "a dog", "steps": 2}
    settings: list[dict[str, Any]] = [
        {}, {"seed": 4}, {"negative_prompt": "a house"}, {"cfg_scale": 3.0}, {"cfg_scale": 1.0}, {"steps": 3},
    ]  # fmt: skip
    if opened.family.guidance:
        settings.append({"guidance": opened.family.guidance / 2})
    pictures = [opened.draw(**{**base, **changed}) for changed in settings]
    pictures.append(opened.draw("a house by the sea", **base))
    assert len({picture.tobytes() for picture in pictures}) == len(pictures)
    with opened.open(cache_prompts=False) as other:
        assert np.array_equal(drawn(other, **base), pictures[0])


def test_guidance_is_for_those_that_take_it(opened: Opened) -> None:
    """FLUX.1 dev and Fill were distilled with guidance; to others it is nothing."""
    little, much = (opened.draw(guidance=guidance, cfg_scale=1.0) for guidance in (2.0, 20.0))
    assert np.array_equal(little, much) == (not opened.family.guidance)


@pytest.mark.sample(3)
def test_text_encoders_come_in_any_order(opened: Opened) -> None:
    """What a file is says which encoder it is: every order draws the same picture."""
    expected = opened.draw()
    arguments = arguments_of(opened.files.files)
    for order in itertools.permutations(arguments.pop("text_encoder")):
        with Generator(**arguments, text_encoder=order, device="cpu") as generator:
            assert np.array_equal(drawn(generator), expected)


@pytest.mark.sample(1)
def test_a_family_draws_from_a_picture(opened: Opened) -> None:
    """Image to image: with little strength nearer to the picture than with all, and not as from nothing."""
    settings: dict[str, Any] = {"width": 96, "steps": 4, "image": PICTURE, "cfg_scale": 1.0}
    pictures = [opened.draw(**settings, strength=strength) for strength in (0.1, 0.5)]
    pictures.append(opened.draw(width=96, steps=4, cfg_scale=1.0))
    assert len({picture.tobytes() for picture in pictures}) == 3
    assert {picture.shape for picture in pictures} == {PICTURE.shape}
    latents = [
        opened.generator.generate("a cat", return_latent=True, **{**SMALL, **settings, "strength": strength}).latent
        for strength in (0.02, 0.1, 0.5)
    ]
    near, far = (np.abs(latents[0] - latent).mean() for latent in latents[1:])  # type: ignore[operator]
    assert near < far


@pytest.mark.sample(1)
def test_a_family_fills_a_hole(opened: Opened) -> None:
    """Under a mask, what is white is drawn anew, and what is black keeps its bytes, in FLUX.1 Fill and the others."""
    filled = opened.draw(width=96, image=PICTURE, mask=MASK)
    assert np.array_equal(filled[MASK == 0], PICTURE[MASK == 0])
    assert np.abs(filled[MASK == 255].astype(float) - PICTURE[MASK == 255]).mean() > 5
    assert not np.array_equal(opened.draw("a dog", width=96, image=PICTURE, mask=MASK), filled)


@pytest.mark.slow
def test_fill_reads_what_is_around_the_hole(folder: Path) -> None:
    """FLUX.1 Fill sees the picture around the hole, and not what the mask covers."""
    other, hidden = 255 - PICTURE, PICTURE.copy()
    hidden[MASK == 255] = 0
    files = write_set("tiny-flux1-fill", folder, quant="Q8_0")
    with Generator(**arguments_of(files.files), device="cpu") as generator:

        def hole(image: np.ndarray, mask: np.ndarray = MASK) -> np.ndarray:
            """What is drawn in the mask's middle, before the VAE, which would see the rest of the picture again."""
            drawn = generator.generate("a cat", image=image, mask=mask, return_latent=True, steps=1, seed=3)
            assert drawn.latent is not None
            return drawn.latent[:, 2:6, 4:10]

        expected = hole(PICTURE)
        assert np.array_equal(hole(hidden), expected)
        assert not np.array_equal(hole(other), expected)
        assert not np.array_equal(hole(PICTURE, np.maximum(MASK, np.roll(MASK, 16, 1))), expected)


@pytest.fixture
def held() -> int:
    """Bytes that open generators hold on the device."""
    gc.collect()
    return device_usage("cpu").bytes


@pytest.mark.sample(1)
def test_the_picture_does_not_depend_on_the_limit(opened: Opened, held: int) -> None:
    """Resident, staged or block by block, with guidance: the same bytes, and never more allocated than planned."""
    prompt = "a cat within limits"
    settings: dict[str, Any] = {"cfg_scale": 2.0, "negative_prompt": "a dog", "steps": 2}
    expected = opened.draw(prompt, **settings)
    before = opened.generator.plan(width=64, height=64, prompt=prompt)
    least, most = before.least("cpu"), before.peak("cpu")
    stays = set()
    for limit in (least, (least + most) // 2, most):
        device_usage("cpu", reset=True)
        with opened.open(memory=limit, cache_prompts=False) as generator:
            plan = generator.plan(width=64, height=64, prompt=prompt)
            assert plan.fits
            assert plan.peak("cpu") <= limit
            stays |= {part.stay for part in plan.parts}
            assert np.array_equal(drawn(generator, prompt, **settings), expected)
            assert generator.plan(width=64, height=64, prompt=prompt) == plan
        assert device_usage("cpu").most_bytes <= limit + held
    assert len(stays) > 1
    with pytest.raises(OutOfMemoryError, match="needs at least"):
        opened.open(memory="1MiB")


@pytest.mark.sample(1)
def test_a_denoiser_comes_block_by_block(opened: Opened, held: int) -> None:
    """From an encoded prompt, with the least room for the denoiser, every step reads it anew: the same picture."""
    prompt, nothing = opened.generator.encode("a cat in a narrow room"), opened.generator.encode("")
    settings: dict[str, Any] = {"cfg_scale": 2.0, "negative_prompt": nothing, "steps": 2}
    expected = opened.draw(prompt, **settings)
    plan = opened.generator.plan(width=64, height=64, prompt=prompt)
    device_usage("cpu", reset=True)
    limit = plan.least("cpu")
    with opened.open(memory=limit) as generator:
        assert Stay.RESIDENT not in {part.stay for part in generator.plan(width=64, height=64, prompt=prompt).parts}
        assert np.array_equal(drawn(generator, prompt, **settings), expected)
    assert device_usage("cpu").most_bytes <= limit + held


@pytest.mark.sample(2)
def test_a_plan_tells_what_is_allocated(opened: Opened, held: int) -> None:
    """With all in memory, what is allocated at the most is what the plan says, within a hundredth."""
    plan = opened.generator.plan(width=96, height=64, prompt="a cat that was planned")
    for part in plan.parts:
        assert part.stay is Stay.RESIDENT
        assert opened.generator.weight_bytes[part.need.name] == pytest.approx(part.need.weights, rel=0.02)
    device_usage("cpu", reset=True)
    opened.draw("a cat that was planned", width=96, cfg_scale=1.0)
    own = sum(opened.generator.weight_bytes.values())
    assert device_usage("cpu").most_bytes - held + own == pytest.approx(plan.peak("cpu"), rel=0.02)
    assert opened.generator.plan(width=96, height=64, prompt="a cat that was planned") == plan
