"""A small random FLUX.2 Klein, as diffusers' pipeline and as files in the naming of the original checkpoint."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from diffusers import Flux2KleinPipeline, Flux2Transformer2DModel
from numpy.typing import NDArray

from .gguf_file import write_gguf
from .qwen_tokenizer import qwen_tokenizer
from .random_weights import randomise
from .reference_model import Drawing, ModelPaths, ReferenceModel
from .tiny_encoder import HIDDEN_SIZE, export_encoder, tiny_encoder
from .tiny_vae import export_decoder, tiny_flux2_vae
from .write_sigmas import klein_scheduler

_RENAMED = {
    "x_embedder": "img_in",
    "context_embedder": "txt_in",
    "time_guidance_embed.timestep_embedder.linear_1": "time_in.in_layer",
    "time_guidance_embed.timestep_embedder.linear_2": "time_in.out_layer",
    "double_stream_modulation_img.linear": "double_stream_modulation_img.lin",
    "double_stream_modulation_txt.linear": "double_stream_modulation_txt.lin",
    "single_stream_modulation.linear": "single_stream_modulation.lin",
    "proj_out": "final_layer.linear",
}
_RENAMED_IN_DOUBLE = {
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
_JOINED_IN_DOUBLE = {
    "img_attn.qkv.weight": ("attn.to_q.weight", "attn.to_k.weight", "attn.to_v.weight"),
    "txt_attn.qkv.weight": ("attn.add_q_proj.weight", "attn.add_k_proj.weight", "attn.add_v_proj.weight"),
}
_RENAMED_IN_SINGLE = {
    "attn.to_qkv_mlp_proj.weight": "linear1.weight",
    "attn.to_out.weight": "linear2.weight",
    "attn.norm_q.weight": "norm.query_norm.scale",
    "attn.norm_k.weight": "norm.key_norm.scale",
}


def tiny_klein(folder: Path) -> ReferenceModel:
    """Makes the model and writes its files into ``folder``."""
    transformer = Flux2Transformer2DModel(
        in_channels=128,
        num_layers=1,
        num_single_layers=2,
        attention_head_dim=128,
        num_attention_heads=2,
        joint_attention_dim=3 * HIDDEN_SIZE,
        mlp_ratio=3.0,
        axes_dims_rope=(32, 32, 32, 32),
        rope_theta=2000,
        guidance_embeds=False,
    )
    randomise(transformer, seed=1)
    encoder, vae = tiny_encoder(layers=28, seed=2), tiny_flux2_vae(seed=3)
    paths = ModelPaths.inside(folder)
    write_gguf(paths.diffusion_model, "flux", original_tensors(transformer.state_dict()))
    export_encoder(encoder, paths.text_encoder)
    export_decoder(vae, paths.vae)
    pipeline = Flux2KleinPipeline(
        scheduler=klein_scheduler(),
        vae=vae,
        text_encoder=encoder,
        tokenizer=qwen_tokenizer(),
        transformer=transformer,
        is_distilled=True,
    )
    pipeline.set_progress_bar_config(disable=True)
    return ReferenceModel(pipeline, paths, encode, draw)


def original_tensors(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The transformer's tensors under the original's names and in its layout."""
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
            originals[_RENAMED[name.removesuffix(".weight")] + ".weight"] = tensor
    for name, block in blocks.items():
        number = name.rpartition(".")[2]
        if name.startswith("single"):
            originals |= _original_block(f"single_blocks.{number}.", block, _RENAMED_IN_SINGLE, {})
        else:
            originals |= _original_block(f"double_blocks.{number}.", block, _RENAMED_IN_DOUBLE, _JOINED_IN_DOUBLE)
    return originals


def _original_block(
    prefix: str,
    block: dict[str, torch.Tensor],
    renamed: Mapping[str, str],
    joined: Mapping[str, tuple[str, ...]],
) -> dict[str, torch.Tensor]:
    originals = {prefix + name: torch.cat([block.pop(part) for part in parts]) for name, parts in joined.items()}
    return originals | {prefix + renamed[name]: tensor for name, tensor in block.items()}


def encode(pipeline: Flux2KleinPipeline, prompt: str) -> NDArray[np.float32]:
    """The states that the pipeline hands to its transformer, of shape (512, width)."""
    with torch.inference_mode():
        states, _ = pipeline.encode_prompt(prompt=prompt)
    return states[0].numpy()


def draw(
    pipeline: Flux2KleinPipeline, prompt: str, noise: NDArray[np.float32], width: int, height: int, steps: int
) -> Drawing:
    """What the pipeline draws from this noise."""
    packed: list[torch.Tensor] = []

    def remember(_pipeline: object, _step: int, _time: object, tensors: dict[str, torch.Tensor]) -> dict[str, object]:
        packed.append(tensors["latents"])
        return {}

    picture = pipeline(
        prompt=prompt,
        width=width,
        height=height,
        num_inference_steps=steps,
        guidance_scale=1.0,
        latents=torch.from_numpy(noise)[None],
        output_type="np",
        callback_on_step_end=remember,
    ).images[0]
    latent = packed[-1][0].T.reshape(noise.shape)
    return Drawing(latent.numpy(), picture, pipeline.scheduler.sigmas.numpy(), len(packed))
