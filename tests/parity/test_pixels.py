"""The library against the engine's own program, built from the same source over the same CPU module."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sdcpp_py.synth import SyntheticSet, write_set

from ..conftest import open_generator
from ..support.native_kernels import using_kernels

pytestmark = pytest.mark.parity


@pytest.fixture(scope="module")
def sd_cli() -> Path:
    """The program, whose place the environment names (docs/testing.md says how to build it)."""
    path = Path(os.environ["SDCPP_PY_SD_CLI"])
    assert path.is_file(), f"SDCPP_PY_SD_CLI names {path}, which is not there"
    return path


@pytest.fixture(autouse=True)
def engines_own_kernels() -> Iterator[None]:
    """Our kernels switched off: the VAE's convolutions round differently (see ``test_kernels``)."""
    with using_kernels("off"):
        yield


def draw_with_sd_cli(sd_cli: Path, files: SyntheticSet, output: Path, *options: str) -> np.ndarray:
    command = [sd_cli, "--diffusion-model", files.diffusion_model, "--llm", files.text_encoder, "--vae", files.vae]
    command += ["-p", "a red circle on white", "-s", "42", "-t", "2", "-o", output, *options]
    result = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=900)
    assert result.returncode == 0, result.stdout + result.stderr
    return np.asarray(Image.open(output))


def assert_same_pixels(
    sd_cli: Path, files: SyntheticSet, width: int, height: int, guided: bool, tmp_path: Path
) -> None:
    cfg_scale = 2.5 if guided else 1.0
    theirs = draw_with_sd_cli(
        sd_cli, files, tmp_path / "theirs.png", "-W", str(width), "-H", str(height), "--steps", "4",
        "--cfg-scale", str(cfg_scale), "-n", "dogs",
    )  # fmt: skip
    with open_generator(files, threads=2) as generator:
        ours = generator.generate(
            "a red circle on white", negative_prompt="dogs", width=width, height=height, steps=4, seed=42,
            cfg_scale=cfg_scale, scheduler="discrete",
        )  # fmt: skip
    assert np.array_equal(np.asarray(ours), theirs)


@pytest.mark.parametrize("size", [(64, 64), (128, 96)])
@pytest.mark.parametrize("guided", [False, True])
def test_pixels_are_the_engines_own(
    sd_cli: Path, klein: SyntheticSet, size: tuple[int, int], guided: bool, tmp_path: Path
) -> None:
    """With the engine's own schedule, the same files, seed, size and steps give sd-cli's pixels byte for byte."""
    assert_same_pixels(sd_cli, klein, *size, guided, tmp_path)


@pytest.mark.full_size
@pytest.mark.parametrize("family", ["z-image-turbo", "klein-4b"])
@pytest.mark.parametrize("guided", [False, True])
def test_pixels_are_the_engines_own_at_full_size(sd_cli: Path, family: str, guided: bool, tmp_path: Path) -> None:
    """The same of models of full size; Z-Image only so, since sd-cli knows it in no other size."""
    files = write_set(family, os.environ["SDCPP_PY_TEST_MODELS"], quant="Q4_K")
    assert_same_pixels(sd_cli, files, 64, 64, guided, tmp_path)


def test_custom_sigmas_are_the_engines_too(sd_cli: Path, klein: SyntheticSet, tmp_path: Path) -> None:
    """The reference's sigmas, given to sd-cli as custom sigmas, give the same pixels."""
    with open_generator(klein, threads=2) as generator:
        ours = generator.generate("a red circle on white", width=64, height=64, steps=4, seed=42)
        schedule = generator.family.sigmas
        assert schedule is not None
        sigmas = np.array(schedule(4, 64, 64), np.float32)
    given = ",".join(f"{sigma:.9g}" for sigma in sigmas)
    theirs = draw_with_sd_cli(
        sd_cli, klein, tmp_path / "theirs.png", "-W", "64", "-H", "64", "--steps", "4", "--cfg-scale", "1",
        "--sigmas", given,
    )  # fmt: skip
    assert np.array_equal(np.asarray(ours), theirs)
