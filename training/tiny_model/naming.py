"""Names of tensors: from diffusers' and transformers' to those of the files that people download."""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch

_DENOISER = {
    "x_embedder": "img_in",
    "context_embedder": "txt_in",
    "time_guidance_embed.timestep_embedder.linear_1": "time_in.in_layer",
    "time_guidance_embed.timestep_embedder.linear_2": "time_in.out_layer",
    "double_stream_modulation_img.linear": "double_stream_modulation_img.lin",
    "double_stream_modulation_txt.linear": "double_stream_modulation_txt.lin",
    "single_stream_modulation.linear": "single_stream_modulation.lin",
    "proj_out": "final_layer.linear",
}
_DOUBLE_BLOCK = {
    "attn.to_out.0.weight": "img_attn.proj.weight",
    "attn.to_add_out.weight": "txt_attn.proj.weight",
    "attn.norm_q.weight": "img_attn.norm.query_norm.scale",
    "attn.norm_k.weight": "img_attn.norm.key_norm.scale",
    "attn.norm_added_q.weight": "txt_attn.norm.query_norm.scale",
    "attn.norm_added_k.weight": "txt_attn.norm.key_norm.scale",
    "ff.linear_in.weight": "img_mlp.0.weight",
    "ff.linear_out.weight": "img_mlp.2.weight",
    "ff_context.linear_in.weight": "txt_mlp.0.weight",
    "ff_context.linear_out.weight": "txt_mlp.2.weight",
}
_JOINED_IN_DOUBLE_BLOCK = {
    "img_attn.qkv.weight": ("attn.to_q.weight", "attn.to_k.weight", "attn.to_v.weight"),
    "txt_attn.qkv.weight": ("attn.add_q_proj.weight", "attn.add_k_proj.weight", "attn.add_v_proj.weight"),
}
_SINGLE_BLOCK = {
    "attn.to_qkv_mlp_proj.weight": "linear1.weight",
    "attn.to_out.weight": "linear2.weight",
    "attn.norm_q.weight": "norm.query_norm.scale",
    "attn.norm_k.weight": "norm.key_norm.scale",
}
_QWEN3_LAYER = {
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def klein_names(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """A ``Flux2Transformer2DModel``'s tensors under the names and in the layout of FLUX.2's own checkpoint."""
    originals: dict[str, torch.Tensor] = {}
    blocks: dict[str, dict[str, torch.Tensor]] = {}
    for name, tensor in tensors.items():
        match = re.fullmatch(r"((?:single_)?transformer_blocks\.\d+)\.(.+)", name)
        if match is not None:
            blocks.setdefault(match[1], {})[match[2]] = tensor
        elif name == "norm_out.linear.weight":
            # diffusers has the scale before the shift, the original the shift before the scale.
            scale, shift = tensor.chunk(2)
            originals["final_layer.adaLN_modulation.1.weight"] = torch.cat([shift, scale])
        else:
            originals[_DENOISER[name.removesuffix(".weight")] + ".weight"] = tensor
    for name, block in blocks.items():
        number = name.rpartition(".")[2]
        if name.startswith("single"):
            originals |= _block(f"single_blocks.{number}.", block, _SINGLE_BLOCK, {})
        else:
            originals |= _block(f"double_blocks.{number}.", block, _DOUBLE_BLOCK, _JOINED_IN_DOUBLE_BLOCK)
    return originals


def _block(
    prefix: str,
    block: dict[str, torch.Tensor],
    renamed: Mapping[str, str],
    joined: Mapping[str, tuple[str, ...]],
) -> dict[str, torch.Tensor]:
    originals = {prefix + name: torch.cat([block.pop(part) for part in parts]) for name, parts in joined.items()}
    return originals | {prefix + renamed[name]: tensor for name, tensor in block.items()}


def diffusers_names(originals: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The inverse of ``klein_names``."""
    tensors = {}
    outside = {original: name for name, original in _DENOISER.items()}
    for name, tensor in originals.items():
        match = re.fullmatch(r"(double|single)_blocks\.(\d+)\.(.+)", name)
        if match is None and name == "final_layer.adaLN_modulation.1.weight":
            shift, scale = tensor.chunk(2)
            tensors["norm_out.linear.weight"] = torch.cat([scale, shift])
        elif match is None:
            tensors[outside[name.removesuffix(".weight")] + ".weight"] = tensor
        elif match[1] == "single":
            tensors[f"single_transformer_blocks.{match[2]}.{_inverse(_SINGLE_BLOCK)[match[3]]}"] = tensor
        elif match[3] in _JOINED_IN_DOUBLE_BLOCK:
            for part, piece in zip(_JOINED_IN_DOUBLE_BLOCK[match[3]], tensor.chunk(3), strict=True):
                tensors[f"transformer_blocks.{match[2]}.{part}"] = piece
        else:
            tensors[f"transformer_blocks.{match[2]}.{_inverse(_DOUBLE_BLOCK)[match[3]]}"] = tensor
    return tensors


def _inverse(names: Mapping[str, str]) -> dict[str, str]:
    return {new: old for old, new in names.items()}


def llama_name(name: str) -> str:
    """llama.cpp's name of a ``Qwen3Model``'s tensor."""
    if name == "embed_tokens.weight":
        return "token_embd.weight"
    if name == "norm.weight":
        return "output_norm.weight"
    match = re.fullmatch(r"layers\.(\d+)\.(.+)\.weight", name)
    if match is None:
        raise KeyError(name)
    return f"blk.{match[1]}.{_QWEN3_LAYER[match[2]]}.weight"


def transformers_name(name: str) -> str:
    """The inverse of ``llama_name``."""
    if name == "token_embd.weight":
        return "embed_tokens.weight"
    if name == "output_norm.weight":
        return "norm.weight"
    _, number, part, _ = name.split(".")
    return f"layers.{number}.{_inverse(_QWEN3_LAYER)[part]}.weight"
