"""Ways of drawing with pictures, against the engine's own program: image to image, inpainting, editing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sdcpp_py.synth import SyntheticSet, write, write_set

from ..conftest import open_generator
from .test_pixels import draw_with_sd_cli, engines_own_kernels, sd_cli

pytestmark = pytest.mark.parity

__all__ = ["engines_own_kernels", "sd_cli"]  # fixtures

SIZE = ("-W", "96", "-H", "64", "--steps", "4")
SETTINGS: dict[str, Any] = {"width": 96, "height": 64, "steps": 4, "seed": 42, "scheduler": "discrete"}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> SyntheticSet:
    """A Klein whose VAE sd-cli can encode with."""
    folder = tmp_path_factory.mktemp("klein")
    files = write_set("tiny-klein", folder, quant="Q8_0")
    return SyntheticSet(files.diffusion_model, files.text_encoder, write("tiny-flux2-vae-wide", folder))


@pytest.fixture
def picture(work: Path) -> Path:
    """A picture of 96x64 pixels on disk."""
    rows, columns = np.mgrid[0:64, 0:96]
    Image.fromarray(np.stack([2 * columns, 3 * rows, (columns * rows) % 255], -1).astype(np.uint8)).save("in.png")
    return Path("in.png")


@pytest.fixture
def mask(work: Path) -> Path:
    """A mask of 96x64 pixels on disk, white in an ellipse."""
    rows, columns = np.mgrid[0:64, 0:96]
    inside = ((columns - 40) / 30) ** 2 + ((rows - 30) / 17) ** 2 < 1
    Image.fromarray((255 * inside).astype(np.uint8)).save("mask.png")
    return Path("mask.png")


@pytest.mark.parametrize("strength", [0.3, 0.6, 1.0])
@pytest.mark.parametrize("guided", [False, True])
def test_image_to_image_is_the_engines_own(
    sd_cli: Path, files: SyntheticSet, picture: Path, strength: float, guided: bool
) -> None:
    """From the same picture, with the engine's own schedule, the same strength gives sd-cli's pixels."""
    cfg = 2.5 if guided else 1.0
    theirs = draw_with_sd_cli(
        sd_cli, files, Path("out.png"), *SIZE, "-i", str(picture), "--strength", str(strength), "--cfg-scale", str(cfg)
    )
    with open_generator(files, threads=2) as generator:
        ours = generator.generate("a red circle on white", image=picture, strength=strength, cfg_scale=cfg, **SETTINGS)
    assert np.array_equal(np.asarray(ours), theirs)


def test_inpainting_by_latent_masking_is_the_engines_own(
    sd_cli: Path, files: SyntheticSet, picture: Path, mask: Path
) -> None:
    """Under the same mask, the same picture is drawn, where the pixels outside are left to the VAE."""
    theirs = draw_with_sd_cli(
        sd_cli, files, Path("out.png"), *SIZE, "-i", str(picture), "--mask", str(mask), "--strength", "0.8",
        "--cfg-scale", "1",
    )  # fmt: skip
    with open_generator(files, threads=2) as generator:
        ours = generator.generate(
            "a red circle on white", image=picture, mask=mask, strength=0.8, keep_unmasked=False, **SETTINGS
        )
    assert np.array_equal(np.asarray(ours), theirs)


@pytest.mark.parametrize("count", [1, 2])
def test_editing_is_the_engines_own(sd_cli: Path, files: SyntheticSet, picture: Path, count: int) -> None:
    """The same reference images give sd-cli's pixels."""
    theirs = draw_with_sd_cli(
        sd_cli, files, Path("out.png"), *SIZE, *(["-r", str(picture)] * count), "--cfg-scale", "1"
    )
    with open_generator(files, threads=2) as generator:
        ours = generator.generate("a red circle on white", reference_images=[picture] * count, **SETTINGS)
    assert np.array_equal(np.asarray(ours), theirs)
