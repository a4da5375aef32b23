"""Stable Diffusion 2 and Turbo."""

from __future__ import annotations

from dataclasses import replace

from sdcpp_py.models.families.sd1 import SD1
from sdcpp_py.models.families.traits import DenoiserTensors, DenoiserTraits, LoraLayers
from sdcpp_py.models.families.unet import has_middle, inputs, is_unet, lora_width, traits, traits_in_diffusers

_WIDTH = 1024
_INPUTS_OF_INPAINTING = 9


def _recognise(seen: DenoiserTensors) -> DenoiserTraits | None:
    plain = is_unet(seen, _WIDTH) and inputs(seen) != _INPUTS_OF_INPAINTING
    return traits(seen) if plain and has_middle(seen) else None


def _recognise_diffusers(seen: DenoiserTensors) -> DenoiserTraits | None:
    found = traits_in_diffusers(seen)
    return found if found is not None and found.context_width == _WIDTH and has_middle(seen) else None


def _recognise_lora(lora: LoraLayers) -> int | None:
    return 0 if lora_width(lora) == _WIDTH else None


SD2 = replace(
    SD1,
    name="sd2",
    title="Stable Diffusion 2",
    clip_width=1024,  # the engine keeps its OpenCLIP in CLIP-L's place
    engine_version="SD 2.x",
    recognise=_recognise,
    recognise_diffusers=_recognise_diffusers,
    recognise_lora=_recognise_lora,
    pipelines=(),
    denoiser_files={0: "sd_turbo-f16-q8_0.gguf (Green-Sky/SD-Turbo-GGUF)"},
)
