"""Names of layers that the engine's own list lacks: those of diffusers for FLUX.2."""

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
)
_ENDS = tuple((re.compile(pattern + r"\Z"), name) for pattern, name in _FLUX2)


def alias_of(key: str) -> str | None:
    """What FLUX.2's own files call a layer that a LoRA calls as diffusers does; None where that is no such name."""
    flat = key.replace(".", "_")
    for pattern, name in _ENDS:
        match = pattern.search(flat)
        if match:
            return match.expand(name)
    return None
