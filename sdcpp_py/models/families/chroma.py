"""Chroma."""

from __future__ import annotations

from sdcpp_py.models.families.family import Family
from sdcpp_py.models.families.flux import FLUX1_NAMES, FLUX_VAE, has_heads
from sdcpp_py.models.families.traits import DenoiserTensors, DenoiserTraits, LoraLayers


def _recognise(seen: DenoiserTensors) -> DenoiserTraits | None:
    if "double_blocks" not in seen.tops or "distilled_guidance_layer.in_proj.weight" not in seen:
        return None
    return seen.traits("txt_in.weight", distilled=False)


def _recognise_diffusers(seen: DenoiserTensors) -> DenoiserTraits | None:
    if not {"single_transformer_blocks", "distilled_guidance_layer"} <= seen.tops:
        return None
    return seen.traits("context_embedder.weight")


def _recognise_lora(lora: LoraLayers) -> int | None:
    return 0 if lora.any_has("distilled_guidance_layer") else None


CHROMA = Family(
    name="chroma",
    title="Chroma",
    steps=26,
    cfg_scale=4.0,
    scheduler="simple",
    width=1024,
    height=1024,
    size_multiple=16,
    pixels_per_latent=8,
    latent_channels=16,
    vae_channels=16,
    max_tokens=0,
    encoders=("t5xxl",),
    has_heads=has_heads,
    vae_of_others=("sd3",),
    engine_version="Flux",
    recognise=_recognise,
    recognise_diffusers=_recognise_diffusers,
    other_names=FLUX1_NAMES,
    recognise_lora=_recognise_lora,
    loras_of=("flux1", "flux1-fill"),
    pipelines=("ChromaPipeline",),
    denoiser_files={0: "Chroma1-HD-Q4_0.gguf (silveroxides/Chroma1-HD-GGUF)"},
    vae_file=FLUX_VAE,
)
