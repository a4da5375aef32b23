"""Training LoRAs for the tiny model: a few steps, and their files here against PyTorch."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from sdcpp_py import Generator
from sdcpp_py.models.bundled import TINY, bundled_files

from ..reference.reference_model import relative_error

pytestmark = pytest.mark.training

TRAINING = Path(__file__).parents[2] / "training"
PROMPT = "a magenta square left of a large yellow ring on a black background"


def step_of(tiny: Generator, noise: NDArray[np.float32], loras: Any) -> NDArray[np.float32]:
    """The velocity that one step to noise level 0 shows."""
    latent = tiny.generate(PROMPT, width=128, height=128, steps=1, noise=noise, seed=0, return_latent=True, loras=loras)
    assert latent.latent is not None
    step: NDArray[np.float32] = noise - latent.latent
    return step


def reference_step(tiny: Generator, noise: NDArray[np.float32], file: Path, weight: float) -> NDArray[np.float32]:
    """The same of diffusers' model with the file's matrices beside its layers."""
    import torch
    from tiny_model.files import read_denoiser
    from tiny_model.flow import velocity
    from tiny_model.lessons import TextStates
    from tiny_model.lora.adapters import read_lora

    states = torch.tensor(tiny.encode(PROMPT).arrays["crossattn"])[None]
    model = read_denoiser(bundled_files(TINY).diffusion_model)
    read_lora(model, file, weight)
    with torch.inference_mode():
        text = TextStates(states, torch.arange(512), torch.zeros(1, 512))
        step: NDArray[np.float32] = velocity(model, torch.from_numpy(noise)[None], text, torch.ones(1))[0].numpy()
    return step


def test_a_few_steps_write_a_file_that_is_applied(tiny: Generator, tmp_path: Path) -> None:
    """The documented command, cut short, writes a LoRA that does here what it does in diffusers' model.

    The engine multiplies with activations in eight bits where the weights have eight; that is the difference allowed.
    """
    file = tmp_path / "ring.safetensors"
    command = [sys.executable, "-m", "tiny_model.lora", "ring", str(file), "--smoke"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(TRAINING), os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, env=environment, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    noise = np.random.default_rng(2).standard_normal((128, 8, 8), dtype=np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        step = step_of(tiny, noise, [file])
    assert relative_error(step, reference_step(tiny, noise, file, 1.0)) < 0.02
    assert not np.array_equal(step, step_of(tiny, noise, []))


def test_an_untrained_lora_changes_nothing_and_a_step_changes_it_alone() -> None:
    """Narrow matrices begin as nothing beside every layer of the blocks, and are all that a step can change."""
    import torch
    from tiny_model.files import read_denoiser
    from tiny_model.flow import velocity
    from tiny_model.lessons import TextStates
    from tiny_model.lora.adapters import adapt

    torch.manual_seed(0)
    model = read_denoiser(bundled_files(TINY).diffusion_model)
    text = TextStates(torch.randn(1, 5, 96), torch.arange(5), torch.zeros(1, 5))
    noise, level = torch.randn(1, 128, 8, 8), torch.ones(1)
    before = velocity(model, noise, text, level)
    adapted = adapt(model, rank=2)
    after = velocity(model, noise, text, level)
    assert torch.equal(after, before)
    after.square().mean().backward()
    changed = {name for name, parameter in model.named_parameters() if parameter.grad is not None}
    assert changed == {f"{name}.{half}.weight" for name in adapted for half in ("down", "up")}
    assert len(adapted) == 12 + 3 * 2
