"""Families beside FLUX.2 Klein and Z-Image against the engine's own program, where it can draw with a small file.

It has the widths of T5, of Qwen2.5-VL and of most denoisers fixed, and reads those of FLUX.1's from the file. So FLUX.1
is drawn here without T5 on its side, for which it takes zeros as states, and with a T5 of zeros on ours, which gives
them.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sdcpp_py import Generator
from sdcpp_py.models.files import arguments_of
from sdcpp_py.synth import write
from sdcpp_py.synth.flux1 import Flux1
from sdcpp_py.synth.formats import write_gguf
from sdcpp_py.synth.models import ModelShape
from sdcpp_py.synth.t5 import T5

from .test_modes import mask, picture
from .test_pixels import engines_own_kernels, sd_cli

pytestmark = pytest.mark.parity

__all__ = ["engines_own_kernels", "mask", "picture", "sd_cli"]  # fixtures

PROMPT = "a red circle on white"
SIZE = ("-W", "96", "-H", "64", "--steps", "3")
SETTINGS: dict[str, Any] = {"width": 96, "height": 64, "steps": 3, "seed": 42, "scheduler": "discrete"}
SQUARE = ("-W", "64", "-H", "64", "--steps", "2")
_T5_WIDTH = 4096
_FLUX1 = {"hidden": 256, "double": 1, "single": 2, "context": _T5_WIDTH}
DENOISERS = {
    "dev": Flux1(**_FLUX1, guidance=True),
    "schnell": Flux1(**_FLUX1, guidance=False),
    "fill": Flux1(**_FLUX1, guidance=True, image=384),
}


def ignore(_written: int) -> None:
    """Hears how many bytes of a file are written."""


def run_sd_cli(
    sd_cli: Path, files: Mapping[str, Path], *options: object, prompt: str = PROMPT
) -> tuple[np.ndarray, str]:
    """What the program draws with files by role, each of which it takes under the same name, and what it says."""
    command: list[object] = [sd_cli]
    for role, path in files.items():
        command += [f"--{role.replace('_m', '-m')}", path]
    command += ["-p", prompt, "-s", 42, "-t", 2, "-o", "theirs.png", *options]
    result = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=900)
    said = result.stdout + result.stderr
    assert result.returncode == 0, said
    return np.asarray(Image.open("theirs.png")), said


def drawn_by_sd_cli(sd_cli: Path, files: Mapping[str, Path], *options: object) -> np.ndarray:
    """The picture alone."""
    return run_sd_cli(sd_cli, files, *options)[0]


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A CLIP-L and a VAE that the program can read, and a T5 of zeros."""
    folder = tmp_path_factory.mktemp("flux1")
    t5xxl = folder / "t5.gguf"
    write_gguf(t5xxl, ModelShape("t5", T5(hidden=_T5_WIDTH, layers=1, ffn=64), "t5encoder"), "Q4_0", None, ignore)
    return {"clip_l": write("clip-l", folder), "t5xxl": t5xxl, "vae": write("tiny-flux1-vae-wide", folder)}


@pytest.fixture(scope="module", params=list(DENOISERS))
def files(request: pytest.FixtureRequest, parts: dict[str, Path]) -> dict[str, Path]:
    """The files of a FLUX.1 of each kind."""
    path = parts["vae"].with_name(f"{request.param}.gguf")
    write_gguf(path, ModelShape(request.param, DENOISERS[request.param], "flux"), "Q8_0", 0, ignore)
    return {"diffusion_model": path, **parts}


@pytest.fixture(scope="module")
def flux1(files: dict[str, Path]) -> Iterator[Generator]:
    """The same files, open."""
    with Generator(**arguments_of(files), device="cpu", threads=2) as opened:
        yield opened


def assert_flux1_is_the_engines_own(
    sd_cli: Path, files: Mapping[str, Path], flux1: Generator, options: tuple[object, ...], **settings: Any
) -> None:
    theirs = drawn_by_sd_cli(
        sd_cli, {role: path for role, path in files.items() if role != "t5xxl"}, *SIZE, "--cfg-scale", 1, *options
    )
    ours = flux1.generate(PROMPT, **{**SETTINGS, "cfg_scale": 1.0, **settings})
    assert np.array_equal(np.asarray(ours), theirs)
    assert theirs.std() > 5


def test_a_t5_of_zeros_says_nothing(flux1: Generator) -> None:
    """What stands for no T5 at all gives zeros; the prompt is in CLIP's pooled state."""
    encoded = flux1.encode(PROMPT)
    assert encoded.arrays["crossattn"].shape == (256, _T5_WIDTH)
    assert not encoded.arrays["crossattn"].any()
    assert encoded.arrays["vector"].std() > 0


@pytest.mark.usefixtures("work")
def test_flux1_is_the_engines_own(sd_cli: Path, files: dict[str, Path], flux1: Generator) -> None:
    """FLUX.1 dev, schnell and Fill draw sd-cli's pixels from nothing, and with guidance of both kinds."""
    assert_flux1_is_the_engines_own(sd_cli, files, flux1, ("--guidance", flux1.family.guidance))
    if flux1.family.guidance:
        assert_flux1_is_the_engines_own(sd_cli, files, flux1, ("--guidance", 7.5), guidance=7.5)
    guided = ("--guidance", flux1.family.guidance, "--cfg-scale", 2.5, "-n", "dogs")
    assert_flux1_is_the_engines_own(sd_cli, files, flux1, guided, cfg_scale=2.5, negative_prompt="dogs")


def test_flux1_image_to_image_is_the_engines_own(
    sd_cli: Path, files: dict[str, Path], flux1: Generator, picture: Path
) -> None:
    """From a picture too; Fill reads it beside what it draws."""
    options = ("-i", picture, "--strength", 0.7, "--guidance", flux1.family.guidance)
    assert_flux1_is_the_engines_own(sd_cli, files, flux1, options, image=picture, strength=0.7)


@pytest.mark.parametrize("cfg_scale", [1.0, 2.5])
def test_flux1_inpainting_is_the_engines_own(
    sd_cli: Path, files: dict[str, Path], flux1: Generator, picture: Path, mask: Path, cfg_scale: float
) -> None:
    """Fill reads picture and mask, the others mask the latent: the same pixels, where those outside are the VAE's."""
    options = ("-i", picture, "--mask", mask, "--strength", 1, "--guidance", flux1.family.guidance)
    guided = ("--cfg-scale", cfg_scale, "-n", "dogs")
    assert_flux1_is_the_engines_own(
        sd_cli, files, flux1, options + guided, image=picture, mask=mask, keep_unmasked=False, strength=1.0,
        cfg_scale=cfg_scale, negative_prompt="dogs",
    )  # fmt: skip


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("files", ["dev"], indirect=True)
def test_kontext_is_the_engines_own(
    sd_cli: Path, files: dict[str, Path], flux1: Generator, picture: Path, count: int
) -> None:
    """FLUX.1 dev, of whose kind Kontext is, reads reference images as sd-cli does."""
    options = ("-r", picture) * count
    assert_flux1_is_the_engines_own(sd_cli, files, flux1, options, reference_images=[picture] * count)


@pytest.fixture(scope="module", params=["sd1", "sd2", "sdxl", "ssd-1b", "sdxs-512"])
def checkpoint(request: pytest.FixtureRequest) -> Iterator[Path]:
    """A whole checkpoint of random weights."""
    path = write(request.param, os.environ["SDCPP_PY_TEST_MODELS"], quant="Q8_0")
    yield path
    path.unlink()


@pytest.fixture(scope="module")
def whole(checkpoint: Path) -> Iterator[Generator]:
    """The same, open."""
    with Generator(model=checkpoint, device="cpu", threads=2) as opened:
        yield opened


@pytest.mark.full_size
@pytest.mark.parametrize("negative", ["", "dogs"])
@pytest.mark.usefixtures("work")
def test_a_checkpoint_is_the_engines_own(sd_cli: Path, checkpoint: Path, whole: Generator, negative: str) -> None:
    """Whole checkpoints draw sd-cli's pixels, guided away from something or from nothing."""
    options = ("--cfg-scale", whole.family.cfg_scale, "--sampling-method", whole.family.sampler, "-n", negative)
    theirs = drawn_by_sd_cli(sd_cli, {"model": checkpoint}, *SQUARE, *options)
    ours = whole.generate(PROMPT, negative_prompt=negative, width=64, height=64, steps=2, seed=42)
    assert np.array_equal(np.asarray(ours), theirs)


@pytest.mark.full_size
@pytest.mark.parametrize("masked", [False, True])
def test_a_checkpoint_draws_from_pictures_as_the_engine_does(
    sd_cli: Path, checkpoint: Path, whole: Generator, picture: Path, mask: Path, masked: bool
) -> None:
    """Image to image, and inpainting by masking the latent."""
    for path in (picture, mask):
        Image.open(path).crop((0, 0, 64, 64)).save(path)
    options = ("-i", picture, "--strength", 0.6, *(("--mask", mask) if masked else ()))
    options += ("--sampling-method", whole.family.sampler)
    theirs = drawn_by_sd_cli(sd_cli, {"model": checkpoint}, *SQUARE, "--steps", 4, "--cfg-scale", 5, *options)
    ours = whole.generate(
        PROMPT, image=picture, mask=mask if masked else None, keep_unmasked=False, strength=0.6, steps=4, seed=42,
        cfg_scale=5.0,
    )  # fmt: skip
    assert np.array_equal(np.asarray(ours), theirs)
