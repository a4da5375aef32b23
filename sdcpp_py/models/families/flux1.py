"""FLUX.1: dev and Kontext, schnell, and Fill."""

from __future__ import annotations

from dataclasses import replace

from sdcpp_py.models.families.family import Family, never
from sdcpp_py.models.families.flux import FLUX1_NAMES, FLUX_VAE, has_heads, lora_of_flux
from sdcpp_py.models.families.traits import DenoiserTensors, DenoiserTraits, LoraLayers
from sdcpp_py.models.sigmas import even_sigmas, flux1_sigmas

# By what goes into the denoiser: a patch of the latent; with Fill's mask and the picture around it; what else there is
# (Control, Flex.2) is not supported.
_INPUTS, _INPUTS_OF_FILL = 64, 384
_OTHER_INPUTS = (128, 196)


def _recognise(seen: DenoiserTensors) -> DenoiserTraits | None:
    return _traits(seen) if _is_flux1(seen) and "guidance_in.in_layer.weight" in seen else None


def _recognise_schnell(seen: DenoiserTensors) -> DenoiserTraits | None:
    return _traits(seen) if _is_flux1(seen) and "guidance_in.in_layer.weight" not in seen else None


def _recognise_fill(seen: DenoiserTensors) -> DenoiserTraits | None:
    return _traits(seen) if _has_blocks(seen) and seen.extent("img_in.weight") == _INPUTS_OF_FILL else None


def _has_blocks(seen: DenoiserTensors) -> bool:
    return "double_blocks" in seen.tops and "double_stream_modulation_img.lin.weight" not in seen


def _is_flux1(seen: DenoiserTensors) -> bool:
    other = seen.extent("img_in.weight") in (_INPUTS_OF_FILL, *_OTHER_INPUTS)
    return _has_blocks(seen) and not other and "distilled_guidance_layer.in_proj.weight" not in seen


def _traits(seen: DenoiserTensors) -> DenoiserTraits:
    return seen.traits("txt_in.weight", distilled=True)


def _recognise_diffusers(seen: DenoiserTensors) -> DenoiserTraits | None:
    return _traits_in_diffusers(seen) if seen.has("time_text_embed.guidance_embedder.") else None


def _recognise_schnell_in_diffusers(seen: DenoiserTensors) -> DenoiserTraits | None:
    return None if seen.has("time_text_embed.guidance_embedder.") else _traits_in_diffusers(seen)


def _traits_in_diffusers(seen: DenoiserTensors) -> DenoiserTraits | None:
    others = {"double_stream_modulation_img", "distilled_guidance_layer"}
    if "single_transformer_blocks" not in seen.tops or others & seen.tops:
        return None
    embedder = "context_embedder.weight"
    return seen.traits(embedder, distilled=True)


def _recognise_lora(lora: LoraLayers) -> int | None:
    generation, width = lora_of_flux(lora)
    return width if generation == 1 else None


FLUX1 = Family(
    name="flux1",
    title="FLUX.1",
    steps=20,
    cfg_scale=1.0,
    width=1024,
    height=1024,
    size_multiple=16,
    pixels_per_latent=8,
    latent_channels=16,
    vae_channels=16,
    max_tokens=0,
    encoders=("clip_l", "t5xxl"),
    sigmas=flux1_sigmas,
    guidance=3.5,
    references=4,
    has_heads=has_heads,
    vae_of_others=("sd3",),
    engine_version="Flux",
    recognise=_recognise,
    recognise_diffusers=_recognise_diffusers,
    other_names=FLUX1_NAMES,
    recognise_lora=_recognise_lora,
    loras_of=("flux1-fill", "chroma"),
    pipelines=("FluxPipeline", "FluxKontextPipeline"),
    denoiser_files={0: "flux1-dev-Q4_K_S.gguf (city96/FLUX.1-dev-gguf)"},
    vae_file=FLUX_VAE,
)
# Its files are told from dev's by what they lack: the input for guidance.
FLUX1_SCHNELL = replace(
    FLUX1,
    title="FLUX.1 schnell",
    steps=4,
    guidance=0.0,
    sigmas=even_sigmas,
    references=0,
    recognise=_recognise_schnell,
    recognise_diffusers=_recognise_schnell_in_diffusers,
    recognise_lora=never,
    pipelines=(),
    denoiser_files={0: "flux1-schnell-q4_k.gguf (leejet/FLUX.1-schnell-gguf)"},
)
FLUX1_FILL = replace(
    FLUX1,
    name="flux1-fill",
    title="FLUX.1 Fill",
    steps=28,
    guidance=30.0,
    references=0,
    fills=True,
    engine_version="Flux Fill",
    recognise=_recognise_fill,
    recognise_diffusers=never,
    recognise_lora=never,
    loras_of=("flux1", "chroma"),
    pipelines=("FluxFillPipeline",),
    denoiser_files={0: "flux1-fill-dev-Q4_K_S.gguf (YarvixPA/FLUX.1-Fill-dev-gguf)"},
)
