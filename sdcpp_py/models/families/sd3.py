"""Stable Diffusion 3 and 3.5."""

from __future__ import annotations

from sdcpp_py.models.families.family import Family
from sdcpp_py.models.families.traits import DenoiserTensors, DenoiserTraits, LoraLayers
from sdcpp_py.models.sigmas import sd3_sigmas

_WIDTHS = (1536, 2432)


def _recognise(seen: DenoiserTensors) -> DenoiserTraits | None:
    return _traits(seen) if "joint_blocks" in seen.tops else None


def _recognise_diffusers(seen: DenoiserTensors) -> DenoiserTraits | None:
    named = "transformer_blocks.0.attn.add_q_proj.weight" in seen and "pos_embed" in seen.tops
    return _traits(seen) if named else None


def _traits(seen: DenoiserTensors) -> DenoiserTraits:
    return seen.traits("context_embedder.weight")


def _recognise_lora(lora: LoraLayers) -> int | None:
    if lora.any_has("joint_blocks_"):
        return lora.reads("x_block_attn_qkv")
    width = lora.reads("attn_to_q", "attn_to_k")
    plain = lora.any_has("transformer_blocks_") and not lora.of_flux and not lora.of_unet
    return width if plain and width in _WIDTHS else None


SD3 = Family(
    name="sd3",
    title="Stable Diffusion 3",
    steps=28,
    cfg_scale=4.5,
    width=1024,
    height=1024,
    size_multiple=16,
    pixels_per_latent=8,
    latent_channels=16,
    vae_channels=16,
    vae_of_others=("flux", "taef1"),
    max_tokens=0,
    encoders=("clip_l", "clip_g", "t5xxl"),
    optional_encoders={"t5xxl": "follows long prompts less"},
    sigmas=sd3_sigmas,
    engine_version="SD3.x",
    recognise=_recognise,
    recognise_diffusers=_recognise_diffusers,
    recognise_lora=_recognise_lora,
    pipelines=("StableDiffusion3Pipeline",),
    denoiser_files={0: "sd3.5_medium-Q4_K_M.gguf (city96/stable-diffusion-3.5-medium-gguf)"},
    vae_file="vae/diffusion_pytorch_model.safetensors (stabilityai/stable-diffusion-3.5-medium)",
)
