"""FLUX.2 Klein."""

from __future__ import annotations

from sdcpp_py.models.families.family import Family, LanguageModel
from sdcpp_py.models.families.flux import has_heads, lora_of_flux
from sdcpp_py.models.families.traits import DenoiserTensors, DenoiserTraits, LoraLayers
from sdcpp_py.models.sigmas import flux2_sigmas

WIDEST = 4096
"""The width of Klein 9B; a FLUX.2 that is wider is dev."""


def _recognise(seen: DenoiserTensors) -> DenoiserTraits | None:
    of_dev = "single_blocks.47.linear1.weight" in seen
    if "double_stream_modulation_img.lin.weight" not in seen or of_dev or not has_heads(seen):
        return None
    return seen.traits("txt_in.weight")


def _recognise_diffusers(seen: DenoiserTensors) -> DenoiserTraits | None:
    if not {"single_transformer_blocks", "double_stream_modulation_img"} <= seen.tops:
        return None
    traits = seen.traits("context_embedder.weight")
    return traits if traits.hidden_size <= WIDEST else None


def _recognise_lora(lora: LoraLayers) -> int | None:
    generation, width = lora_of_flux(lora)
    return width if generation == 2 and width <= WIDEST else None


FLUX2_KLEIN = Family(
    name="flux2-klein",
    title="FLUX.2 Klein",
    steps=4,
    cfg_scale=1.0,
    width=512,
    height=512,
    size_multiple=16,
    pixels_per_latent=16,
    latent_channels=128,
    vae_channels=32,
    max_tokens=512,
    encoders=("llm",),
    language_model=LanguageModel("qwen3", widths=(2560, 4096), layers=27),
    context_layers=3,
    context_tokens=512,
    sigmas=flux2_sigmas,
    references=10,
    has_heads=has_heads,
    engine_version="Flux.2 klein",
    recognise=_recognise,
    recognise_diffusers=_recognise_diffusers,
    recognise_lora=_recognise_lora,
    pipelines=("Flux2KleinPipeline",),
    distilled_word="klein",
    denoiser_files={
        0: "flux-2-klein-4b-Q4_0.gguf (leejet/FLUX.2-klein-4B-GGUF)",
        4096: "flux-2-klein-9b-Q4_0.gguf (leejet/FLUX.2-klein-9B-GGUF)",
    },
    vae_file="flux2-vae.safetensors (Comfy-Org/flux2-dev)",
)
