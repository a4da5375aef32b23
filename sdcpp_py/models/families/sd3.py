"""Stable Diffusion 3 and 3.5."""

from __future__ import annotations

from sdcpp_py.models.families.family import Family
from sdcpp_py.models.families.naming import OtherNames
from sdcpp_py.models.families.traits import DenoiserTensors, DenoiserTraits, LoraLayers
from sdcpp_py.models.sigmas import sd3_sigmas

_WIDTHS = (1536, 2432)
_BLOCK, _X, _CONTEXT = "transformer_blocks.{}", "joint_blocks.{}.x_block", "joint_blocks.{}.context_block"
_NAMES = OtherNames(
    plain={
        **{
            f"time_text_embed.{embedder}_embedder.linear_{number}": f"{own}_embedder.mlp.{layer}"
            for embedder, own in (("timestep", "t"), ("text", "y"))
            for number, layer in ((1, 0), (2, 2))
        },
        "pos_embed.pos_embed": "pos_embed",
        "pos_embed.proj": "x_embedder.proj",
        "norm_out.linear": "final_layer.adaLN_modulation.1",
        "proj_out": "final_layer.linear",
        f"{_BLOCK}.norm1.linear": f"{_X}.adaLN_modulation.1",
        f"{_BLOCK}.norm1_context.linear": f"{_CONTEXT}.adaLN_modulation.1",
        **{
            f"{_BLOCK}.{attention}.norm_{letter}.weight": f"{_X}.{attention}.ln_{letter}.weight"
            for attention in ("attn", "attn2")
            for letter in "qk"
        },
        **{f"{_BLOCK}.attn.norm_added_{letter}.weight": f"{_CONTEXT}.attn.ln_{letter}.weight" for letter in "qk"},
        **{f"{_BLOCK}.{attention}.to_out.0": f"{_X}.{attention}.proj" for attention in ("attn", "attn2")},
        f"{_BLOCK}.attn.to_add_out": f"{_CONTEXT}.attn.proj",
        f"{_BLOCK}.ff.net.0.proj": f"{_X}.mlp.fc1",
        f"{_BLOCK}.ff.net.2": f"{_X}.mlp.fc2",
        f"{_BLOCK}.ff_context.net.0.proj": f"{_CONTEXT}.mlp.fc1",
        f"{_BLOCK}.ff_context.net.2": f"{_CONTEXT}.mlp.fc2",
    },
    joined={
        **{
            f"{_X}.{attention}.qkv": tuple(f"{_BLOCK}.{attention}.to_{letter}" for letter in "qkv")
            for attention in ("attn", "attn2")
        },
        f"{_CONTEXT}.attn.qkv": tuple(f"{_BLOCK}.attn.add_{letter}_proj" for letter in "qkv"),
    },
    swapped=("final_layer.adaLN_modulation.1",),
    # Where the text goes no further, its norm is of another kind.
    swapped_in_last=(f"{_CONTEXT}.adaLN_modulation.1",),
)


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
    other_names=_NAMES,
    recognise_lora=_recognise_lora,
    pipelines=("StableDiffusion3Pipeline",),
    denoiser_files={0: "sd3.5_medium-Q4_K_M.gguf (city96/stable-diffusion-3.5-medium-gguf)"},
    vae_file="vae/diffusion_pytorch_model.safetensors (stabilityai/stable-diffusion-3.5-medium)",
)
