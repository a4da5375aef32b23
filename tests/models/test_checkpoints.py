"""Whole checkpoints of Stable Diffusion 1, 2, XL and their kin: the engine has their sizes fixed, so none are small."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sdcpp_py import EncodedPrompt, Generator
from sdcpp_py._native.library import device_usage
from sdcpp_py.models.families import SD1, SD2, SDXL, SDXS_512, SSD_1B
from sdcpp_py.prompts.cache import SHARED
from sdcpp_py.synth import write

pytestmark = pytest.mark.full_size

FAMILIES = {"sd1": SD1, "sd2": SD2, "sdxl": SDXL, "ssd-1b": SSD_1B, "sdxs-512": SDXS_512}
POOLED = 1280  # of the vector that Stable Diffusion XL reads; sizes are behind it
SMALL: dict[str, Any] = {"width": 64, "height": 64, "steps": 1, "seed": 3}
PICTURE = np.random.default_rng(5).integers(0, 256, (64, 64, 3), np.uint8)


@pytest.fixture(scope="module", params=list(FAMILIES))
def checkpoint(request: pytest.FixtureRequest) -> Iterator[tuple[str, Path]]:
    """A checkpoint of random weights, and its family's name; up to 4 GB, deleted afterwards."""
    path = write(request.param, os.environ["SDCPP_PY_TEST_MODELS"], quant="Q8_0")
    yield request.param, path
    path.unlink()


@pytest.fixture(scope="module")
def generator(checkpoint: tuple[str, Path]) -> Iterator[Generator]:
    """All of it in memory."""
    with Generator(model=checkpoint[1], device="cpu", memory="all") as opened:
        yield opened


def drawn(generator: Generator, prompt: str | EncodedPrompt = "a cat", **settings: Any) -> np.ndarray:
    """A small picture's pixels, guided, whatever the family is drawn with."""
    arguments = {**SMALL, "cfg_scale": 3.0, **settings}
    return np.asarray(generator.generate(prompt, **arguments))


def test_a_checkpoint_draws(generator: Generator, checkpoint: tuple[str, Path]) -> None:
    """One file draws, with its family's defaults; the seed, both prompts and their weight have their effects."""
    assert generator.family == FAMILIES[checkpoint[0]]
    picture = generator.generate("a cat", return_latent=True, **SMALL)
    assert picture.settings.cfg_scale == generator.family.cfg_scale
    assert picture.model == {"family": checkpoint[0], "model": checkpoint[1].name}
    assert np.asarray(picture).std() > 5
    assert picture.latent is not None
    assert np.isfinite(picture.latent).all()
    expected = drawn(generator)
    assert np.array_equal(drawn(generator), expected)
    others = [
        drawn(generator, seed=4), drawn(generator, "a house"), drawn(generator, negative_prompt="dogs"),
        drawn(generator, cfg_scale=2.0), drawn(generator, cfg_scale=1.0),
    ]  # fmt: skip
    assert len({array.tobytes() for array in [expected, *others]}) == len(others) + 1
    assert drawn(generator, width=128).shape == (64, 128, 3)


def test_clip_is_read_some_layers_before_its_end(generator: Generator) -> None:
    """``clip_skip`` chooses the layer; the family's own is the last, or the second last of 2 and XL."""
    own = 1 if generator.family.clip_width == 768 and generator.family.encoders == ("clip_l",) else 2
    states = {skip: generator.encode("a cat", clip_skip=skip).arrays["crossattn"] for skip in (0, 1, 2, 3)}
    assert np.array_equal(states[0], states[own])
    assert len({states[skip].tobytes() for skip in (1, 2, 3)}) == 3
    assert np.array_equal(drawn(generator, clip_skip=own), drawn(generator))
    assert not np.array_equal(drawn(generator, clip_skip=3), drawn(generator))


def test_a_tiny_autoencoder_takes_the_place_of_what_decodes(
    generator: Generator, checkpoint: tuple[str, Path], tmp_path: Path
) -> None:
    """Of a VAE, and of the tiny autoencoder that SDXS-512 has in its checkpoint: the picture is another."""
    with Generator(model=checkpoint[1], vae=write("taesd-4", tmp_path), device="cpu", memory="all") as tiny:
        assert tiny.files.vae_is_tiny
        assert not np.array_equal(drawn(tiny), drawn(generator))
        assert drawn(tiny, image=PICTURE, strength=0.5).std() > 5


def encoded_for_a_picture(path: Path, folder: Path, prompt: str, negative: str) -> tuple[EncodedPrompt, EncodedPrompt]:
    """What the text encoders make of two prompts for a small picture, as a cache's folder keeps it."""
    SHARED.clear()
    with Generator(model=path, device="cpu", memory="all", cache_dir=folder) as generator:
        drawn(generator, prompt, negative_prompt=negative)
    kept = {encoded.prompt: encoded for encoded in map(EncodedPrompt.load, folder.iterdir())}
    return kept[prompt], kept[negative]


def test_an_empty_negative_prompt_is_what_the_family_takes_it_for(
    generator: Generator, checkpoint: tuple[str, Path], tmp_path: Path
) -> None:
    """Stable Diffusion XL was trained with zeros for it; the others with what the text encoder makes of no words."""
    _, empty = encoded_for_a_picture(checkpoint[1], tmp_path, "a cat", "")
    said = replace(empty, prompt="not empty")
    nothing = replace(said, arrays={**empty.arrays, "crossattn": np.zeros_like(empty.arrays["crossattn"])})
    taken, other = (nothing, said) if generator.family.empty_is_nothing else (said, nothing)
    expected = drawn(generator, negative_prompt="")
    assert np.array_equal(drawn(generator, negative_prompt=taken), expected)
    assert not np.array_equal(drawn(generator, negative_prompt=other), expected)


@pytest.mark.parametrize("text", ["a cat", "a cat " * 100])
def test_an_encoded_prompt_is_kept_and_drawn_from(
    generator: Generator, checkpoint: tuple[str, Path], tmp_path: Path, text: str
) -> None:
    """A prompt of several chunks too: what a folder keeps of it for a picture draws that picture.

    Encoded with no picture in mind, it is the same but for Stable Diffusion XL, which reads the picture's size from
    its prompts: it is the model's own then.
    """
    prompt, _ = encoded_for_a_picture(checkpoint[1], tmp_path, text, "dogs")
    assert np.array_equal(drawn(generator, prompt), drawn(generator, text))
    apart = generator.encode(text)
    assert np.array_equal(apart.arrays["crossattn"], prompt.arrays["crossattn"])
    if generator.family.prompts_have_sizes:
        ours, its = (states.arrays["vector"] for states in (prompt, apart))
        assert np.array_equal(ours[:POOLED], its[:POOLED])
        assert not np.array_equal(ours[POOLED:], its[POOLED:])
        sized = generator.encode(text, width=64, height=64)
        assert np.array_equal(ours, sized.arrays["vector"])


def test_a_checkpoint_draws_from_pictures(generator: Generator) -> None:
    """Less strength stays nearer to the picture, and under a mask only what is white changes."""
    weak, strong = (drawn(generator, image=PICTURE, strength=strength, steps=4) for strength in (0.3, 1.0))
    assert not np.array_equal(weak, strong)
    mask = np.zeros((64, 64), np.uint8)
    mask[16:48, 16:48] = 255
    filled = drawn(generator, image=PICTURE, mask=mask)
    assert np.array_equal(filled[mask == 0], PICTURE[mask == 0])
    assert not np.array_equal(filled[mask == 255], PICTURE[mask == 255])


def test_a_checkpoint_draws_the_same_in_little_memory(checkpoint: tuple[str, Path], generator: Generator) -> None:
    """Its parts come one after the other, or block by block, out of one file; the plan's peak is not passed.

    Stable Diffusion 2's kind is then found out with weights that are not all in memory.
    """
    settings = {"prompt": "a cat in little memory", "negative_prompt": "dogs"}
    expected = drawn(generator, **settings)
    held = device_usage("cpu").bytes
    plan = generator.plan(width=64, height=64, prompt="a cat in little memory")
    least, most = plan.least("cpu"), plan.peak("cpu")
    for limit in (least, (least + most) // 2):
        device_usage("cpu", reset=True)
        with Generator(model=checkpoint[1], device="cpu", memory=limit, cache_prompts=False) as tight:
            assert np.array_equal(drawn(tight, **settings), expected)
        assert device_usage("cpu").most_bytes - held <= limit
