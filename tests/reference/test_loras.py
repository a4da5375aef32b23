"""LoRAs of PEFT in this library against diffusers: random adapters of all linear layers, as diffusers saves them."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sdcpp_py import Generator
from sdcpp_py.models.files import arguments_of
from sdcpp_py.synth import write_set

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


def written(path: Path, pipeline: Any, denoiser: Any, seed: int, **settings: Any) -> Path:
    """A LoRA for all linear layers of a denoiser, saved as diffusers' training scripts do."""
    import torch
    from diffusers.training_utils import _collate_lora_metadata
    from peft import LoraConfig, get_peft_model_state_dict

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
    denoiser.unload_lora()
    return path


@contextlib.contextmanager
def applied(denoiser: Any, loras: Mapping[Path, float]) -> Iterator[None]:
    """LoRAs in diffusers, with their weights."""
    for path in loras:
        denoiser.load_lora_adapter(str(path.parent), weight_name=path.name, adapter_name=path.stem)
    denoiser.set_adapters([path.stem for path in loras], list(loras.values()))
    try:
        yield
    finally:
        denoiser.unload_lora()


@pytest.mark.filterwarnings("ignore:Already found a `peft_config`")  # there are two, and that is meant
def test_latents_are_those_of_diffusers(
    name: str, reference: ReferenceModel, generator: Generator, tmp_path: Path
) -> None:
    """Two LoRAs of different ranks, alphas and weights give the pipeline's latent, and none gives that of before."""
    pipeline, denoiser = reference.pipeline, reference.pipeline.transformer
    loras = {
        written(tmp_path / "one.safetensors", pipeline, denoiser, 1, r=4, lora_alpha=6): 0.8,
        written(tmp_path / "other.safetensors", pipeline, denoiser, 2, r=3, lora_alpha=2, use_rslora=True): -0.5,
    }
    noise = np.random.default_rng(0).standard_normal(NOISE[name], dtype=np.float32)

    def theirs() -> Any:
        return reference.draw(PROMPT, noise, **SIZE).latent

    def ours(**arguments: Any) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # each layer has a place
            return generator.generate(PROMPT, **SIZE, noise=noise, return_latent=True, **arguments).latent

    plain = theirs()
    with applied(denoiser, loras):
        expected = theirs()

    assert relative_error(expected, plain) > 0.1
    assert relative_error(ours(loras=list(loras.items())), expected) < 1e-4
    assert relative_error(ours(), plain) < 1e-4


def test_velocities_of_stable_diffusion_3_are_those_of_diffusers(tmp_path: Path) -> None:
    """One step from the same noise and text states shows what the denoisers gave, without LoRAs and with one."""
    import torch
    from diffusers import StableDiffusion3Pipeline

    from .tiny_sd3 import denoiser_of

    files = write_set("tiny-sd3", tmp_path, quant="F32").files
    denoiser = denoiser_of(files)
    lora = written(tmp_path / "one.safetensors", StableDiffusion3Pipeline, denoiser, 1, r=4, lora_alpha=6)
    # Of float16, to which the engine rounds what a convolution reads.
    noise = np.random.default_rng(0).standard_normal((16, 16, 16)).astype(np.float16).astype(np.float32)
    with Generator(**arguments_of(files), device="cpu", threads=2) as generator, warnings.catch_warnings():
        warnings.simplefilter("error")
        prompt = generator.encode(PROMPT)
        found = {
            loras: generator.generate(
                prompt, width=128, height=128, steps=1, cfg_scale=1, noise=noise, return_latent=True, loras=loras
            ).latent
            for loras in ((), ((lora, 0.8),))
        }
    states, pooled = (torch.from_numpy(np.array(prompt.arrays[name]))[None] for name in ("crossattn", "vector"))

    def theirs() -> Any:
        with torch.inference_mode():
            velocity = denoiser(torch.from_numpy(noise)[None], states, pooled, torch.tensor([1000.0])).sample
        return noise - velocity[0].numpy()

    plain = theirs()
    with applied(denoiser, {lora: 0.8}):
        expected = theirs()
    assert relative_error(expected, plain) > 0.1
    assert relative_error(found[()], plain) < 1e-4
    assert relative_error(found[((lora, 0.8),)], expected) < 1e-4
