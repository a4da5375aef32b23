"""Stable Diffusion XL."""

from __future__ import annotations

from dataclasses import replace

from sdcpp_py.models.families.sd1 import SD1
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

_WIDTH = 2048
# Text states of other widths in a U-Net of the diffusers format: Stable Diffusion 1, 2, and the refiner.
_OTHER_WIDTHS = (768, 1024, 1280)


def _recognise(seen: DenoiserTensors) -> DenoiserTraits | None:
    return traits(seen) if is_unet(seen, _WIDTH) and inputs(seen) == PLAIN_INPUTS and has_middle(seen) else None


def _recognise_diffusers(seen: DenoiserTensors) -> DenoiserTraits | None:
    found = traits_in_diffusers(seen)
    return found if found is not None and found.context_width not in _OTHER_WIDTHS and has_middle(seen) else None


def _recognise_lora(lora: LoraLayers) -> int | None:
    return 0 if lora_width(lora) == _WIDTH else None


SDXL = replace(
    SD1,
    name="sdxl",
    title="Stable Diffusion XL",
    steps=25,
    cfg_scale=6.0,
    width=1024,
    height=1024,
    vae_of_others=("mse-840000",),
    encoders=("clip_l", "clip_g"),
    empty_is_nothing=True,
    prompts_have_sizes=True,
    engine_version="SDXL",
    recognise=_recognise,
    recognise_diffusers=_recognise_diffusers,
    recognise_lora=_recognise_lora,
    pipelines=("StableDiffusionXLPipeline",),
    denoiser_files={0: "sd_xl_base_1.0.safetensors (stabilityai/stable-diffusion-xl-base-1.0)"},
    vae_file="sdxl_vae.safetensors (madebyollin/sdxl-vae-fp16-fix)",
)
