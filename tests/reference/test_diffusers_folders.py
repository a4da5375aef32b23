"""The folders that diffusers saves, opened as they are, against the pipelines that saved them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sdcpp_py import Generator

from .reference_model import ReferenceModel, relative_error

pytestmark = pytest.mark.reference

CHANNELS = {"reference_klein": (128, 16), "reference_z_image": (16, 8)}
"""Of the latent, and pixels along one edge of a latent pixel."""


@pytest.mark.parametrize("name", CHANNELS)
def test_a_saved_pipeline_draws_as_itself(request: pytest.FixtureRequest, tmp_path: Path, name: str) -> None:
    """Its denoiser and its encoder are in several files: the same noise gives the pipeline's latent."""
    reference: ReferenceModel = request.getfixturevalue(name)
    pipeline = reference.pipeline
    pipeline.save_config(tmp_path)
    for part in ("transformer", "text_encoder"):
        getattr(pipeline, part).save_pretrained(tmp_path / part, max_shard_size="2MB")
    pipeline.vae.save_pretrained(tmp_path / "vae")
    assert len(list((tmp_path / "transformer").glob("*.safetensors"))) > 1
    channels, pixels = CHANNELS[name]
    noise = np.random.default_rng(3).standard_normal((channels, 128 // pixels, 128 // pixels), dtype=np.float32)
    wanted = reference.draw("a lovely cat", noise, width=128, height=128, steps=2)

    with Generator(tmp_path, device="cpu", isolation="thread") as generator:
        found = generator.generate("a lovely cat", width=128, height=128, steps=2, noise=noise, return_latent=True)

    assert found.latent is not None
    assert relative_error(found.latent, wanted.latent) < 1e-4
