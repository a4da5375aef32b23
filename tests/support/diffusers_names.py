"""Small models in the names and shapes that diffusers has: the other way from how they are read.

Written by what diffusers' own scripts do to the originals, piece by piece, and not from the tables of the package, so
that both can be held against each other. ``tests/reference`` holds the package against diffusers itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from tests.support.stored_tensors import Stored, Tensors, rows

_NORMS = {"query_norm": "q", "key_norm": "k"}


def swapped(tensor: Stored) -> Stored:
    """With the second half of the rows first."""
    half = tensor.shape[0] // 2
    return Stored(tensor.dtype, tensor.shape, rows(tensor, half, 2 * half).data + rows(tensor, 0, half).data)


def cut(tensor: Stored, names: Sequence[str], sizes: Sequence[int]) -> dict[str, Stored]:
    """A tensor's rows under several names."""
    found, begin = {}, 0
    for name, size in zip(names, sizes, strict=True):
        found[name] = rows(tensor, begin, begin + size)
        begin += size
    assert begin == tensor.shape[0]
    return found


def flux(tensors: Tensors) -> dict[str, Stored]:
    """FLUX.1, FLUX.2 and Chroma."""
    two = "double_stream_modulation_img.lin.weight" in tensors
    hidden = tensors["img_in.weight"].shape[0]
    found: dict[str, Stored] = {}
    for name, tensor in tensors.items():
        double = re.fullmatch(r"double_blocks\.(\d+)\.(img|txt)_(.+?)\.?(weight|bias|scale)", name)
        single = re.fullmatch(r"single_blocks\.(\d+)\.(.+?)\.?(weight|bias|scale)", name)
        if double:
            found |= _double(tensor, f"transformer_blocks.{double[1]}", double[2], double[3], double[4], hidden, two)
        elif single:
            found |= _single(tensor, f"single_transformer_blocks.{single[1]}", single[2], single[3], hidden, two)
        elif name.startswith("final_layer.adaLN_modulation.1"):
            found[name.replace("final_layer.adaLN_modulation.1", "norm_out.linear")] = swapped(tensor)
        else:
            found[_outside(name, two)] = tensor
    return found


def _outside(name: str, two: bool) -> str:
    time = "time_guidance_embed" if two else "time_text_embed"
    for pattern, replacement in (
        (r"^img_in", "x_embedder"),
        (r"^txt_in", "context_embedder"),
        (r"^time_in", f"{time}.timestep_embedder"),
        (r"^vector_in", f"{time}.text_embedder"),
        (r"^guidance_in", f"{time}.guidance_embedder"),
        (r"(_embedder)\.in_layer", r"\1.linear_1"),
        (r"(_embedder)\.out_layer", r"\1.linear_2"),
        (r"^final_layer\.linear", "proj_out"),
        (r"modulation(_img|_txt|)\.lin\.", r"modulation\1.linear."),
        (r"(layers\.\d+)\.in_layer", r"\1.linear_1"),
        (r"(layers\.\d+)\.out_layer", r"\1.linear_2"),
        (r"(norms\.\d+)\.scale", r"\1.weight"),
    ):
        name = re.sub(pattern, replacement, name)
    return name


def _double(tensor: Stored, block: str, stream: str, layer: str, end: str, hidden: int, two: bool) -> dict[str, Stored]:
    text = stream == "txt"
    if layer == "attn.qkv":
        names = [f"{block}.attn.add_{x}_proj.{end}" if text else f"{block}.attn.to_{x}.{end}" for x in "qkv"]
        return cut(tensor, names, [hidden] * 3)
    if layer.startswith("attn.norm."):
        letter = _NORMS[layer.removeprefix("attn.norm.")]
        return {f"{block}.attn.norm_{'added_' * text}{letter}.weight": tensor}
    inner = ("linear_in", "linear_out") if two else ("net.0.proj", "net.2")
    context = "_context" * text
    own = {
        "attn.proj": "attn.to_add_out" if text else "attn.to_out.0",
        "mod.lin": f"norm1{context}.linear",
        "mlp.0": f"ff{context}.{inner[0]}",
        "mlp.2": f"ff{context}.{inner[1]}",
    }[layer]
    return {f"{block}.{own}.{end}": tensor}


def _single(tensor: Stored, block: str, layer: str, end: str, hidden: int, two: bool) -> dict[str, Stored]:
    if layer.startswith("norm."):
        return {f"{block}.attn.norm_{_NORMS[layer.removeprefix('norm.')]}.weight": tensor}
    if two:
        own = {"linear1": "attn.to_qkv_mlp_proj", "linear2": "attn.to_out"}[layer]
        return {f"{block}.{own}.{end}": tensor}
    if layer == "linear1":
        names = [*(f"{block}.attn.to_{x}.{end}" for x in "qkv"), f"{block}.proj_mlp.{end}"]
        return cut(tensor, names, [hidden] * 3 + [tensor.shape[0] - 3 * hidden])
    return {f"{block}.{ {'linear2': 'proj_out', 'modulation.lin': 'norm.linear'}[layer] }.{end}": tensor}


def z_image(tensors: Tensors) -> dict[str, Stored]:
    """Z-Image."""
    found: dict[str, Stored] = {}
    for name, tensor in tensors.items():
        if name.endswith(".attention.qkv.weight"):
            block, third = name.removesuffix("qkv.weight"), tensor.shape[0] // 3
            found |= cut(tensor, [f"{block}to_{x}.weight" for x in "qkv"], [third] * 3)
            continue
        for pattern, replacement in (
            (r"^x_embedder", "all_x_embedder.2-1"),
            (r"^final_layer", "all_final_layer.2-1"),
            (r"attention\.([qk])_norm", r"attention.norm_\1"),
            (r"attention\.out\.", "attention.to_out.0."),
        ):
            name = re.sub(pattern, replacement, name)
        found[name] = tensor
    return found


def sd3(tensors: Tensors) -> dict[str, Stored]:
    """Stable Diffusion 3 and 3.5."""
    last = max(int(match[1]) for name in tensors if (match := re.match(r"joint_blocks\.(\d+)\.", name)))
    found: dict[str, Stored] = {}
    for name, tensor in tensors.items():
        block = re.fullmatch(r"joint_blocks\.(\d+)\.(x|context)_block\.(.+)\.(weight|bias)", name)
        if block:
            found |= _joint(
                tensor, f"transformer_blocks.{block[1]}", block[2], block[3], block[4], int(block[1]) == last
            )
        elif name.startswith("final_layer.adaLN_modulation.1"):
            found[name.replace("final_layer.adaLN_modulation.1", "norm_out.linear")] = swapped(tensor)
        else:
            for pattern, replacement in (
                (r"^pos_embed$", "pos_embed.pos_embed"),
                (r"^x_embedder\.proj", "pos_embed.proj"),
                (r"^t_embedder", "time_text_embed.timestep_embedder"),
                (r"^y_embedder", "time_text_embed.text_embedder"),
                (r"mlp\.0", "linear_1"),
                (r"mlp\.2", "linear_2"),
                (r"^final_layer\.linear", "proj_out"),
            ):
                name = re.sub(pattern, replacement, name)
            found[name] = tensor
    return found


def _joint(tensor: Stored, block: str, stream: str, layer: str, end: str, last: bool) -> dict[str, Stored]:
    text = stream == "context"
    attention, _, inner = layer.partition(".")
    if inner == "qkv":
        names = [f"add_{x}_proj" if text else f"to_{x}" for x in "qkv"]
        third = tensor.shape[0] // 3
        return cut(tensor, [f"{block}.{attention}.{name}.{end}" for name in names], [third] * 3)
    if inner in ("ln_q", "ln_k"):
        return {f"{block}.{attention}.norm_{'added_' * text}{inner[-1]}.{end}": tensor}
    if inner == "proj":
        return {f"{block}.{attention}.{'to_add_out' if text else 'to_out.0'}.{end}": tensor}
    context = "_context" * text
    if layer == "adaLN_modulation.1":
        return {f"{block}.norm1{context}.linear.{end}": swapped(tensor) if text and last else tensor}
    return {f"{block}.ff{context}.{ {'mlp.fc1': 'net.0.proj', 'mlp.fc2': 'net.2'}[layer] }.{end}": tensor}


def vae(tensors: Tensors) -> dict[str, Stored]:
    """A VAE of Stable Diffusion or FLUX, whose attention has matrices for convolutions of 1x1."""
    found: dict[str, Stored] = {}
    for name, tensor in tensors.items():
        up = re.match(r"decoder\.up\.(\d)", name)
        if up:
            name = name.replace(up[0], f"decoder.up_blocks.{3 - int(up[1])}")
        for pattern, replacement in (
            (r"encoder\.down\.", "encoder.down_blocks."),
            (r"\.block\.(\d)", r".resnets.\1"),
            (r"\.upsample\.", ".upsamplers.0."),
            (r"\.downsample\.", ".downsamplers.0."),
            (r"nin_shortcut", "conv_shortcut"),
            (r"norm_out", "conv_norm_out"),
            (r"mid\.block_(\d)", lambda match: f"mid_block.resnets.{int(match[1]) - 1}"),
            (r"mid\.attn_1\.norm", "mid_block.attentions.0.group_norm"),
            (r"mid\.attn_1\.([qkv])\.", r"mid_block.attentions.0.to_\1."),
            (r"mid\.attn_1\.proj_out", "mid_block.attentions.0.to_out.0"),
        ):
            name = re.sub(pattern, replacement, name)
        matrix = ".attentions.0." in name and len(tensor.shape) == 4
        found[name] = Stored(tensor.dtype, tensor.shape[:2], tensor.data) if matrix else tensor
    return found


_QWEN3 = {
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}


def qwen(tensors: Tensors) -> dict[str, Stored]:
    """A Qwen in the names of transformers."""
    found: dict[str, Stored] = {}
    for name, tensor in tensors.items():
        layer = re.fullmatch(r"blk\.(\d+)\.(.+)\.(weight|bias)", name)
        if layer:
            name = f"model.layers.{layer[1]}.{_QWEN3[layer[2]]}.{layer[3]}"
        name = name.replace("token_embd.", "model.embed_tokens.").replace("output_norm.", "model.norm.")
        found[name] = tensor
    return found


DENOISERS: dict[str, Callable[[Tensors], dict[str, Stored]]] = {
    "tiny-klein": flux,
    "tiny-z-image": z_image,
    "tiny-flux1": flux,
    "tiny-flux1-schnell": flux,
    "tiny-flux1-fill": flux,
    "tiny-chroma": flux,
    "tiny-sd3": sd3,
}
