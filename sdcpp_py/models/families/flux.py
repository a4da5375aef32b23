"""What the generations of FLUX have in common: their heads, their VAE, and how their LoRAs differ."""

from __future__ import annotations

import re

from sdcpp_py.models.families.naming import OtherNames
from sdcpp_py.models.families.traits import DenoiserTensors, LoraLayers

FLUX_VAE = "ae.safetensors (Comfy-Org/z_image_turbo)"
"""The VAE of FLUX.1, Chroma and Z-Image to get."""

_NORMS = ("single_blocks.0.norm.key_norm.scale", "double_blocks.0.txt_attn.norm.key_norm.scale")
_BLOCK = re.compile(r"(?:single_transformer_blocks|single_blocks)_(\d+)_")
# Of FLUX: layers, and what they write to what they read, in FLUX.1 and in FLUX.2.
_RATIOS = (
    (("linear1",), (7, 1), (9, 1)),
    (("linear2", "proj_out"), (1, 5), (1, 4)),
    (("img_mlp_0", "txt_mlp_0", "ff_net_0_proj", "ff_context_net_0_proj", "ff_linear_in"), (4, 1), (6, 1)),
    (("img_mlp_2", "txt_mlp_2", "ff_net_2", "ff_context_net_2", "ff_linear_out"), (1, 4), (1, 3)),
)


def attention_names(block: str) -> dict[str, str]:
    """What attention has in a double block of diffusers', and in the original's; but for what it has in one."""
    return {
        f"{block}.attn.norm_q.weight": "double_blocks.{}.img_attn.norm.query_norm.scale",
        f"{block}.attn.norm_k.weight": "double_blocks.{}.img_attn.norm.key_norm.scale",
        f"{block}.attn.norm_added_q.weight": "double_blocks.{}.txt_attn.norm.query_norm.scale",
        f"{block}.attn.norm_added_k.weight": "double_blocks.{}.txt_attn.norm.key_norm.scale",
        f"{block}.attn.to_out.0": "double_blocks.{}.img_attn.proj",
        f"{block}.attn.to_add_out": "double_blocks.{}.txt_attn.proj",
    }


def attention_joined(block: str) -> dict[str, tuple[str, ...]]:
    """What the original has in one: queries, keys and values of the picture, and of the text."""
    return {
        "double_blocks.{}.img_attn.qkv": tuple(f"{block}.attn.to_{letter}" for letter in "qkv"),
        "double_blocks.{}.txt_attn.qkv": tuple(f"{block}.attn.add_{letter}_proj" for letter in "qkv"),
    }


_DOUBLE, _SINGLE = "transformer_blocks.{}", "single_transformer_blocks.{}"
FLUX1_NAMES = OtherNames(
    plain={
        "x_embedder": "img_in",
        "context_embedder": "txt_in",
        **{
            f"time_text_embed.{embedder}_embedder.linear_{number}": f"{own}_in.{layer}_layer"
            for embedder, own in (("timestep", "time"), ("text", "vector"), ("guidance", "guidance"))
            for number, layer in ((1, "in"), (2, "out"))
        },
        "norm_out.linear": "final_layer.adaLN_modulation.1",
        "proj_out": "final_layer.linear",
        f"{_DOUBLE}.norm1.linear": "double_blocks.{}.img_mod.lin",
        f"{_DOUBLE}.norm1_context.linear": "double_blocks.{}.txt_mod.lin",
        **attention_names(_DOUBLE),
        f"{_DOUBLE}.ff.net.0.proj": "double_blocks.{}.img_mlp.0",
        f"{_DOUBLE}.ff.net.2": "double_blocks.{}.img_mlp.2",
        f"{_DOUBLE}.ff_context.net.0.proj": "double_blocks.{}.txt_mlp.0",
        f"{_DOUBLE}.ff_context.net.2": "double_blocks.{}.txt_mlp.2",
        f"{_SINGLE}.norm.linear": "single_blocks.{}.modulation.lin",
        f"{_SINGLE}.attn.norm_q.weight": "single_blocks.{}.norm.query_norm.scale",
        f"{_SINGLE}.attn.norm_k.weight": "single_blocks.{}.norm.key_norm.scale",
        f"{_SINGLE}.proj_out": "single_blocks.{}.linear2",
        # Of Chroma, which has these in place of each block's own modulation.
        "distilled_guidance_layer.layers.{}.linear_1": "distilled_guidance_layer.layers.{}.in_layer",
        "distilled_guidance_layer.layers.{}.linear_2": "distilled_guidance_layer.layers.{}.out_layer",
        "distilled_guidance_layer.norms.{}.weight": "distilled_guidance_layer.norms.{}.scale",
    },
    joined={
        **attention_joined(_DOUBLE),
        "single_blocks.{}.linear1": (
            *(f"{_SINGLE}.attn.to_{letter}" for letter in "qkv"),
            f"{_SINGLE}.proj_mlp",
        ),
    },
    swapped=("final_layer.adaLN_modulation.1",),
)
"""The names of FLUX.1 in diffusers, and of Chroma."""


def has_heads(seen: DenoiserTensors) -> bool:
    """Whether a FLUX has heads: the engine divides by their number, which follows from these; any of them may count."""
    heads = {seen.extent(name) for name in _NORMS if name in seen}
    hidden = seen.extent("txt_in.weight", 0)
    return bool(heads) and all(0 < head <= hidden for head in heads)


def lora_of_flux(lora: LoraLayers) -> tuple[int, int]:
    """Which generation of FLUX a LoRA was made for, 1 or 2, and the width of its denoiser; 0 for what is not told."""
    if not lora.of_flux:
        return 0, 0
    hidden = lora.reads("attn_qkv", "attn_to_q", "linear1", "to_qkv_mlp_proj", "mlp_0")
    for ends, first, second in _RATIOS:
        for name, (reads, writes) in lora.layers.items():
            if reads and name.endswith(ends):
                width = hidden or min(reads, writes)
                for generation, (out, into) in ((1, first), (2, second)):
                    if writes * into == reads * out:
                        return generation, width
    if lora.any_has("to_qkv_mlp_proj", "stream_modulation"):
        return 2, hidden
    if lora.any_has("_img_mod_lin", "_txt_mod_lin", "modulation_lin", "proj_mlp"):
        return 1, hidden
    if hidden > 3072:
        return 2, hidden
    last = max((int(number) for name in lora.names for number in _BLOCK.findall(name)), default=0)
    # Klein 4B has 20 single blocks, FLUX.1 has 38.
    return (1 if last >= 20 else 2 if hidden == 3072 and last else 0), hidden
