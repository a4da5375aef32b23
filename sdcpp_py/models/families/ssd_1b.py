"""SSD-1B: Stable Diffusion XL distilled to half of its blocks."""

from __future__ import annotations

from dataclasses import replace

from sdcpp_py.models.families.family import never
from sdcpp_py.models.families.sdxl import SDXL
from sdcpp_py.models.families.traits import DenoiserTensors, DenoiserTraits
from sdcpp_py.models.families.unet import PLAIN_INPUTS, has_middle, inputs, is_unet, traits, traits_in_diffusers

_WIDTH = 2048
# Transformer blocks that Vega, which was distilled further, does not have.
_DEEPER = "output_blocks.3.1.transformer_blocks.1."
_DEEPER_IN_DIFFUSERS = "up_blocks.1.attentions.0.transformer_blocks.1."


def _recognise(seen: DenoiserTensors) -> DenoiserTraits | None:
    small = is_unet(seen, _WIDTH) and inputs(seen) == PLAIN_INPUTS and not has_middle(seen)
    return traits(seen) if small and seen.has(_DEEPER) else None


def _recognise_diffusers(seen: DenoiserTensors) -> DenoiserTraits | None:
    found = traits_in_diffusers(seen)
    small = found is not None and found.context_width == _WIDTH and not has_middle(seen)
    return found if small and seen.has(_DEEPER_IN_DIFFUSERS) else None


SSD_1B = replace(
    SDXL,
    name="ssd-1b",
    title="SSD-1B",
    cfg_scale=9.0,
    sampler="euler",
    engine_version="SDXL (SSD1B)",
    recognise=_recognise,
    recognise_diffusers=_recognise_diffusers,
    recognise_lora=never,  # by its layers, a LoRA for it is one for Stable Diffusion XL
    loras_of=("sdxl",),
    pipelines=(),
    denoiser_files={0: "SSD-1B-A1111.safetensors (segmind/SSD-1B)"},
)
