"""Qwen-Image."""

from __future__ import annotations

from sdcpp_py.models.families.family import Family, LanguageModel
from sdcpp_py.models.families.traits import DenoiserTensors, DenoiserTraits, LoraLayers
from sdcpp_py.models.sigmas import qwen_image_sigmas


def _recognise(seen: DenoiserTensors) -> DenoiserTraits | None:
    if "transformer_blocks.0.img_mod.1.weight" not in seen:
        return None
    return seen.traits("txt_in.weight")


def _recognise_lora(lora: LoraLayers) -> int | None:
    if lora.any_has("_img_mlp_net_", "_img_mod_1", "_txt_mlp_net_"):
        return lora.reads("attn_to_q")
    width = lora.reads("attn_to_q", "attn_to_k")
    plain = lora.any_has("transformer_blocks_") and not lora.of_flux and not lora.of_unet
    return width if plain and width == 3072 else None


QWEN_IMAGE = Family(
    name="qwen-image",
    title="Qwen-Image",
    steps=20,
    cfg_scale=2.5,
    width=1024,
    height=1024,
    size_multiple=16,
    pixels_per_latent=8,
    latent_channels=16,
    vae_channels=16,
    vae_make="wan",
    max_tokens=0,
    encoders=("llm",),
    language_model=LanguageModel("qwen2.5", widths=(3584,), layers=28, all_layers=True),
    sigmas=qwen_image_sigmas,
    engine_version="Qwen Image",
    recognise=_recognise,
    recognise_lora=_recognise_lora,
    pipelines=("QwenImagePipeline",),
    denoiser_files={0: "Qwen_Image-Q4_K_M.gguf (QuantStack/Qwen-Image-GGUF)"},
    vae_file="qwen_image_vae.safetensors (Comfy-Org/Qwen-Image_ComfyUI)",
)
