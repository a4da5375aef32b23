"""What the generations of FLUX have in common: their heads, their VAE, and how their LoRAs differ."""

from __future__ import annotations

import re

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
