"""Names of layers that the engine's own list lacks: those of diffusers for FLUX.2, and diffusers' with underscores."""

from __future__ import annotations

import re

# A layer in diffusers, flattened, and what FLUX.2's own files call it.
_FLUX2 = (
    (r"single_transformer_blocks_(\d+)_attn_to_qkv_mlp_proj", r"single_blocks.\1.linear1"),
    (r"single_transformer_blocks_(\d+)_attn_to_out", r"single_blocks.\1.linear2"),
    (r"(?<!single_)transformer_blocks_(\d+)_ff_linear_in", r"double_blocks.\1.img_mlp.0"),
    (r"(?<!single_)transformer_blocks_(\d+)_ff_linear_out", r"double_blocks.\1.img_mlp.2"),
    (r"(?<!single_)transformer_blocks_(\d+)_ff_context_linear_in", r"double_blocks.\1.txt_mlp.0"),
    (r"(?<!single_)transformer_blocks_(\d+)_ff_context_linear_out", r"double_blocks.\1.txt_mlp.2"),
    (r"double_stream_modulation_(img|txt)_linear", r"double_stream_modulation_\1.lin"),
    (r"single_stream_modulation_linear", r"single_stream_modulation.lin"),
    (r"time_guidance_embed_timestep_embedder_linear_1", r"time_in.in_layer"),
    (r"time_guidance_embed_timestep_embedder_linear_2", r"time_in.out_layer"),
    (r"time_guidance_embed_guidance_embedder_linear_1", r"guidance_in.in_layer"),
    (r"time_guidance_embed_guidance_embedder_linear_2", r"guidance_in.out_layer"),
)
# Of Z-Image, with underscores. The engine finds them behind this prefix alone.
_Z_IMAGE = (
    (r"(layers|(?:noise|context)_refiner)_(\d+)_attention_to_([qkv])", r"diffusion_model.\1.\2.attention.to_\3"),
    (r"(layers|(?:noise|context)_refiner)_(\d+)_attention_to_out_0", r"diffusion_model.\1.\2.attention.to_out.0"),
)
_ENDS = tuple((re.compile(pattern + r"\Z"), name) for pattern, name in _FLUX2 + _Z_IMAGE)


# The engine reads names with underscores behind the other prefix alone.
_UNDERSCORES, _READ = "lora_transformer_", "lora_unet_"


def scale_is_first(key: str, layer: str, outputs: int, inputs: int) -> bool:
    """Whether a LoRA's layer writes scale and shift of a modulation, and the model's layer shift and scale.

    It is so in diffusers for the last modulation of a FLUX and of Stable Diffusion 3, and there for the text's in the
    last block, the only one of its kind that writes no more than these two.

    Args:
        key: what the LoRA calls the layer.
        layer: what the engine calls it.
        outputs, inputs: of the model's weight.
    """
    flat = key.replace(".", "_")
    if layer.endswith("final_layer.adaLN_modulation.1"):
        return flat.endswith("norm_out_linear")
    of_text = layer.endswith("context_block.adaLN_modulation.1") and flat.endswith("norm1_context_linear")
    return of_text and outputs == 2 * inputs


def alias_of(key: str) -> str | None:
    """What the engine finds a layer by that a LoRA calls otherwise; None where that is no such name."""
    flat = key.replace(".", "_")
    for pattern, name in _ENDS:
        match = pattern.search(flat)
        if match:
            return match.expand(name)
    return _READ + key.removeprefix(_UNDERSCORES) if key.startswith(_UNDERSCORES) else None
