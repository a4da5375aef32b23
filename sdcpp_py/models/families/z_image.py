"""Z-Image and Z-Image-Turbo."""

from __future__ import annotations

from sdcpp_py.models.families.family import Family, LanguageModel
from sdcpp_py.models.families.flux import FLUX_VAE
from sdcpp_py.models.families.naming import OtherNames
from sdcpp_py.models.families.traits import DenoiserTensors, DenoiserTraits, LoraLayers
from sdcpp_py.models.sigmas import z_image_sigmas

_BLOCKS = ("layers.{}", "noise_refiner.{}", "context_refiner.{}")
_NAMES = OtherNames(
    plain={
        "all_x_embedder.2-1": "x_embedder",
        "all_final_layer.2-1.linear": "final_layer.linear",
        "all_final_layer.2-1.adaLN_modulation.{}": "final_layer.adaLN_modulation.{}",
        **{
            f"{block}.attention.norm_{letter}": f"{block}.attention.{letter}_norm"
            for block in _BLOCKS
            for letter in "qk"
        },
        **{f"{block}.attention.to_out.0": f"{block}.attention.out" for block in _BLOCKS},
    },
    joined={f"{block}.attention.qkv": tuple(f"{block}.attention.to_{letter}" for letter in "qkv") for block in _BLOCKS},
)


def _recognise(seen: DenoiserTensors) -> DenoiserTraits | None:
    return _traits(seen) if "cap_embedder.0.weight" in seen else None


def _recognise_diffusers(seen: DenoiserTensors) -> DenoiserTraits | None:
    return _traits(seen) if "cap_embedder" in seen.tops and "layers.0.attention.to_q.weight" in seen else None


def _traits(seen: DenoiserTensors) -> DenoiserTraits:
    return seen.traits("cap_embedder.1.weight")


def _recognise_lora(lora: LoraLayers) -> int | None:
    if not lora.any_has("layers_0_attention_", "layers_0_feed_forward_", "layers_0_adaLN_modulation_"):
        return None
    return lora.reads("attention_to_q", "attention_qkv")


Z_IMAGE = Family(
    name="z-image",
    title="Z-Image",
    steps=8,
    cfg_scale=1.0,
    width=512,
    height=512,
    size_multiple=16,
    pixels_per_latent=8,
    latent_channels=16,
    vae_channels=16,
    max_tokens=512,
    encoders=("llm",),
    language_model=LanguageModel("qwen3", widths=(2560,), layers=35),
    sigmas=z_image_sigmas,
    vae_of_others=("sd3",),
    engine_version="Z-Image",
    recognise=_recognise,
    recognise_diffusers=_recognise_diffusers,
    other_names=_NAMES,
    recognise_lora=_recognise_lora,
    pipelines=("ZImagePipeline",),
    denoiser_files={0: "z_image_turbo-Q4_K.gguf (leejet/Z-Image-Turbo-GGUF)"},
    vae_file=FLUX_VAE,
)
