"""The training itself: a few steps of everything, and the properties that it stands on."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdcpp_py import Generator

pytestmark = pytest.mark.training

TRAINING = Path(__file__).parents[2] / "training"


def test_a_few_steps_of_everything_give_files_that_draw(tmp_path: Path) -> None:
    """The documented command, cut short, writes three files that the library opens and draws with."""
    from tiny_model.recipe import SMOKE

    command = [sys.executable, "-m", "tiny_model", str(tmp_path / "out"), "--work", str(tmp_path / "work"), "--smoke"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(TRAINING), os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, env=environment, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    files = [tmp_path / "out" / name for name in ("denoiser.gguf", "qwen3.gguf", "autoencoder.safetensors")]
    with Generator(*files, device="cpu") as generator:
        assert generator.generate("a red circle", seed=1).image.size == (128, 128)
    again = subprocess.run(command, capture_output=True, text=True, timeout=600, env=environment, cwd=tmp_path)
    assert f"taken up at step {SMOKE.denoiser_steps}" in again.stderr


@given(seed=st.integers(0, 2**31), rows=st.integers(2, 12), columns=st.integers(2, 12))
def test_noise_stands_for_the_jitter_it_was_made_for(seed: int, rows: int, columns: int) -> None:
    """Noise made for a jitter gives that jitter back, for any size of latent."""
    import torch
    from tiny_model.coupling import jitter_of, noise_for

    torch.manual_seed(seed)
    jitter = torch.randn(3, 6)
    noise = noise_for(jitter, 128, rows, columns)
    assert torch.allclose(jitter_of(noise), jitter, atol=1e-5)


def test_coupled_noise_is_as_normal_as_any() -> None:
    """Noise made for random jitter has mean 0, variance 1 and no correlation between cells."""
    import torch
    from tiny_model.coupling import noise_for

    torch.manual_seed(0)
    noise = noise_for(torch.randn(4000, 6), 6, 4, 4)
    assert abs(noise.mean()) < 0.01
    assert abs(noise.var() - 1) < 0.02
    assert abs((noise[:, 0, 0, 0] * noise[:, 0, 3, 3]).mean()) < 0.06


def test_noise_of_the_engine_gives_any_jitter(tmp_path: Path) -> None:
    """What Generator draws from a seed is standard normal too, so that seeds reach all places."""
    import torch
    from tiny_model.coupling import jitter_of

    noise = torch.from_numpy(np.random.default_rng(0).standard_normal((500, 128, 8, 8), dtype=np.float32))
    jitter = jitter_of(noise)
    assert abs(jitter.mean()) < 0.06
    assert abs(jitter.std() - 1) < 0.06


@given(rows=st.integers(2, 40), columns=st.integers(2, 40), seed=st.integers(0, 2**31))
def test_muon_makes_updates_orthogonal(rows: int, columns: int, seed: int) -> None:
    """All singular values of an update lie near 1, whatever the gradient's are."""
    import torch
    from tiny_model.muon import orthogonal

    torch.manual_seed(seed)
    matrices = [torch.randn(rows, columns), torch.randn(columns, rows), torch.randn(rows, 3)]
    for matrix, update in zip(matrices, orthogonal(matrices), strict=True):
        assert update.shape == matrix.shape
        values = torch.linalg.svdvals(update)
        large = torch.linalg.svdvals(matrix / matrix.norm()) > 0.05
        assert (values[large] > 0.5).all()
        assert (values < 1.4).all()


def test_names_go_there_and_back() -> None:
    """A denoiser's tensors, renamed for the file and back, are the same; likewise the text encoder's names."""
    import torch
    from tiny_model.flow import small_klein
    from tiny_model.naming import diffusers_names, klein_names, llama_name, transformers_name

    tensors = small_klein().state_dict()
    again = diffusers_names(klein_names(tensors))
    assert again.keys() == tensors.keys()
    assert all(torch.equal(again[name], tensor) for name, tensor in tensors.items())
    for name in (
        "embed_tokens.weight",
        "norm.weight",
        "layers.3.self_attn.q_norm.weight",
        "layers.27.mlp.up_proj.weight",
    ):
        assert transformers_name(llama_name(name)) == name


def test_widening_changes_nothing() -> None:
    """The autoencoder with its silent channels encodes and decodes as the one that was trained."""
    import torch
    from tiny_model.autoencoder import Autoencoder, from_format, widened

    torch.manual_seed(0)
    narrow = Autoencoder().eval()
    for parameter in narrow.parameters():
        torch.nn.init.normal_(parameter, std=0.05)
    wide = from_format(widened(narrow.state_dict()))
    pictures = torch.rand(1, 3, 32, 48)
    with torch.inference_mode():
        latents = narrow.encode(pictures)
        assert torch.allclose(wide.encode(pictures), latents, atol=1e-5)
        assert torch.allclose(wide.decode(latents), narrow.decode(latents), atol=1e-5)
