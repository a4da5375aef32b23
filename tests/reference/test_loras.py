"""LoRAs of PEFT in this library against diffusers: random adapters of all linear layers, as diffusers saves them."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sdcpp_py import Generator

from .reference_model import ReferenceModel, relative_error

pytestmark = pytest.mark.reference

PROMPT = "a lovely cat on a windowsill"
SIZE: dict[str, int] = {"width": 128, "height": 128, "steps": 2}
# Latents of noise: channels, rows, columns.
NOISE = {"klein": (128, 8, 8), "z_image": (16, 16, 16)}


@pytest.fixture(params=list(NOISE))
def name(request: pytest.FixtureRequest) -> str:
    """The model's."""
    found: str = request.param
    return found


@pytest.fixture
def reference(request: pytest.FixtureRequest, name: str) -> ReferenceModel:
    """A small model in diffusers."""
    found: ReferenceModel = request.getfixturevalue(f"reference_{name}")
    return found


@pytest.fixture
def generator(request: pytest.FixtureRequest, name: str) -> Generator:
    """The same in this library."""
    found: Generator = request.getfixturevalue(f"{name}_generator")
    return found


def written(path: Path, pipeline: Any, seed: int, **settings: Any) -> Path:
    """A LoRA for all linear layers of the denoiser, saved as diffusers' training scripts do."""
    import torch
    from diffusers.training_utils import _collate_lora_metadata
    from peft import LoraConfig, get_peft_model_state_dict

    denoiser = pipeline.transformer
    layers = [name for name, module in denoiser.named_modules() if isinstance(module, torch.nn.Linear)]
    denoiser.add_adapter(LoraConfig(target_modules=layers, init_lora_weights=False, **settings))
    numbers = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter_name, parameter in denoiser.named_parameters():
            if ".lora_" in parameter_name:
                parameter.copy_(0.5 * torch.randn(parameter.shape, generator=numbers) / parameter.shape[1] ** 0.5)
    pipeline.save_lora_weights(
        path.parent,
        transformer_lora_layers=get_peft_model_state_dict(denoiser),
        weight_name=path.name,
        **_collate_lora_metadata({"transformer": denoiser}),
    )
    pipeline.unload_lora_weights()  # the wrappers about the layers too
    return path


@pytest.mark.filterwarnings("ignore:Already found a `peft_config`")  # there are two, and that is meant
def test_latents_are_those_of_diffusers(
    name: str, reference: ReferenceModel, generator: Generator, tmp_path: Path
) -> None:
    """Two LoRAs of different ranks, alphas and weights give the pipeline's latent, and none gives that of before."""
    pipeline = reference.pipeline
    loras = {
        written(tmp_path / "one.safetensors", pipeline, 1, r=4, lora_alpha=6): 0.8,
        written(tmp_path / "other.safetensors", pipeline, 2, r=3, lora_alpha=2, use_rslora=True): -0.5,
    }
    noise = np.random.default_rng(0).standard_normal(NOISE[name], dtype=np.float32)

    def theirs() -> Any:
        return reference.draw(PROMPT, noise, **SIZE).latent

    def ours(**arguments: Any) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # each layer has a place
            return generator.generate(PROMPT, **SIZE, noise=noise, return_latent=True, **arguments).latent

    plain = theirs()
    for path in loras:
        pipeline.load_lora_weights(path.parent, weight_name=path.name, adapter_name=path.stem)
    pipeline.set_adapters([path.stem for path in loras], list(loras.values()))
    try:
        expected = theirs()
    finally:
        pipeline.unload_lora_weights()

    assert relative_error(expected, plain) > 0.1
    assert relative_error(ours(loras=list(loras.items())), expected) < 1e-4
    assert relative_error(ours(), plain) < 1e-4
