"""Stable Diffusion 1."""

from __future__ import annotations

from sdcpp_py.models.families.family import Family
from sdcpp_py.models.families.traits import DenoiserTensors, DenoiserTraits, LoraLayers
from sdcpp_py.models.families.unet import (
    PLAIN_INPUTS,
    has_middle,
    inputs,
    is_unet,
    lora_width,
    traits,
    traits_in_diffusers,
)

SD_VAE = "vae-ft-mse-840000-ema-pruned.safetensors (stabilityai/sd-vae-ft-mse-original)"
_WIDTH = 768


def _recognise(seen: DenoiserTensors) -> DenoiserTraits | None:
    return traits(seen) if is_unet(seen, _WIDTH) and inputs(seen) == PLAIN_INPUTS and has_middle(seen) else None


def _recognise_diffusers(seen: DenoiserTensors) -> DenoiserTraits | None:
    found = traits_in_diffusers(seen)
    return found if found is not None and found.context_width == _WIDTH and has_middle(seen) else None


def _recognise_lora(lora: LoraLayers) -> int | None:
    return 0 if lora_width(lora) == _WIDTH else None


SD1 = Family(
    name="sd1",
    title="Stable Diffusion 1",
    steps=20,
    cfg_scale=7.0,
    sampler="euler_a",
    scheduler="discrete",
    width=512,
    height=512,
    size_multiple=64,
    pixels_per_latent=8,
    latent_channels=4,
    vae_channels=4,
    vae_of_others=("sdxl",),
    max_tokens=0,
    encoders=("clip_l",),
    whole_only=True,
    engine_version="SD 1.x",
    recognise=_recognise,
    recognise_diffusers=_recognise_diffusers,
    recognise_lora=_recognise_lora,
    pipelines=("StableDiffusionPipeline",),
    denoiser_files={0: "v1-5-pruned-emaonly.safetensors (stable-diffusion-v1-5/stable-diffusion-v1-5)"},
    vae_file=SD_VAE,
)
