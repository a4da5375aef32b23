"""SDXS-512-DreamShaper: Stable Diffusion 1 distilled to a third of its U-Net, and to one step."""

from __future__ import annotations

from dataclasses import replace

from sdcpp_py.models.families.family import never
from sdcpp_py.models.families.sd1 import SD1
from sdcpp_py.models.families.traits import DenoiserTensors, DenoiserTraits
from sdcpp_py.models.families.unet import PLAIN_INPUTS, has_middle, inputs, is_unet, traits, traits_in_diffusers

_WIDTH = 768
# Attention at full resolution, which other U-Nets with fewer blocks have.
_LAST = "output_blocks.7.1."
_LAST_IN_DIFFUSERS = "up_blocks.2.attentions."


def _recognise(seen: DenoiserTensors) -> DenoiserTraits | None:
    small = is_unet(seen, _WIDTH) and inputs(seen) == PLAIN_INPUTS and not has_middle(seen)
    return replace(traits(seen), distilled=True) if small and not seen.has(_LAST) else None


def _recognise_diffusers(seen: DenoiserTensors) -> DenoiserTraits | None:
    found = traits_in_diffusers(seen)
    if found is None or found.context_width != _WIDTH or has_middle(seen) or seen.has(_LAST_IN_DIFFUSERS):
        return None
    return replace(found, distilled=True)


SDXS_512 = replace(
    SD1,
    name="sdxs-512",
    title="SDXS-512-DreamShaper",
    steps=1,  # it was trained for this one, and without guidance
    cfg_scale=1.0,
    sampler="euler",
    vae_make="taesd",
    engine_version="SDXS (512-DS)",
    recognise=_recognise,
    recognise_diffusers=_recognise_diffusers,
    recognise_lora=never,  # by its layers, a LoRA for it is one for Stable Diffusion 1
    loras_of=("sd1",),
    pipelines=(),
    denoiser_files={0: "sdxs.safetensors (akleine/sdxs-512)"},
    vae_file="diffusion_pytorch_model.safetensors (madebyollin/taesd)",
)
