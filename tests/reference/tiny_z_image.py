"""A small random Z-Image, as diffusers' pipeline and as files in the naming of the original checkpoint."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from diffusers import ZImagePipeline, ZImageTransformer2DModel
from diffusers.models.transformers.transformer_z_image import ADALN_EMBED_DIM, TimestepEmbedder
from numpy.typing import NDArray
from tiny_model.gguf_file import write_gguf
from tiny_model.qwen_tokenizer import qwen_tokenizer

from .random_weights import randomise
from .reference_model import Drawing, ModelPaths, ReferenceModel
from .tiny_encoder import HIDDEN_SIZE, export_encoder, tiny_encoder
from .tiny_vae import export_decoder, tiny_flux_vae
from .write_sigmas import z_image_scheduler

# Three heads of 128. The engine rounds the feed-forward width up to a multiple of 256 and diffusers does not; with this
# width, as with the real model's 3840, there is nothing to round.
WIDTH = 384
# The pipeline pads to as many tokens, and cuts the padding off again before the denoiser sees it; 512 takes longer.
PADDED_TOKENS = 96
_RENAMED = (
    (r"all_x_embedder\.2-1\.", "x_embedder."),
    (r"all_final_layer\.2-1\.", "final_layer."),
    (r"attention\.norm_([qk])\.", r"attention.\1_norm."),
    (r"attention\.to_out\.0\.", "attention.out."),
)


def tiny_z_image(folder: Path) -> ReferenceModel:
    """Makes the model and writes its files into ``folder``."""
    transformer = ZImageTransformer2DModel(
        in_channels=16,
        dim=WIDTH,
        n_layers=2,
        n_refiner_layers=1,
        n_heads=WIDTH // 128,
        n_kv_heads=WIDTH // 128,
        cap_feat_dim=HIDDEN_SIZE,
    )
    # diffusers always gives the time embedding 1024 hidden units, the engine no more than the model is wide.
    transformer.t_embedder = TimestepEmbedder(ADALN_EMBED_DIM, mid_size=WIDTH)
    randomise(transformer, seed=4)
    encoder, vae = tiny_encoder(layers=36, seed=5), tiny_flux_vae(seed=6)
    paths = ModelPaths.inside(folder)
    write_gguf(paths.diffusion_model, "lumina2", original_tensors(transformer.state_dict()))
    export_encoder(encoder, paths.text_encoder)
    export_decoder(vae, paths.vae)
    pipeline = ZImagePipeline(
        scheduler=z_image_scheduler(),
        vae=vae,
        text_encoder=encoder,
        tokenizer=qwen_tokenizer(),
        transformer=transformer,
    )
    pipeline.set_progress_bar_config(disable=True)
    return ReferenceModel(pipeline, paths, encode, draw)


def original_tensors(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The transformer's tensors under the original's names, query, key and value in one."""
    originals: dict[str, torch.Tensor] = {}
    for name, tensor in tensors.items():
        if name.endswith(("attention.to_k.weight", "attention.to_v.weight")):
            continue
        if name.endswith("attention.to_q.weight"):
            prefix = name.removesuffix("to_q.weight")
            parts = [tensors[f"{prefix}to_{part}.weight"] for part in "qkv"]
            originals[prefix + "qkv.weight"] = torch.cat(parts)
        else:
            for pattern, replacement in _RENAMED:
                name = re.sub(pattern, replacement, name)
            originals[name] = tensor
    return originals


def encode(pipeline: ZImagePipeline, prompt: str) -> NDArray[np.float32]:
    """The states that the pipeline hands to its transformer, of shape (tokens, width)."""
    with torch.inference_mode():
        states, _ = pipeline.encode_prompt(prompt, do_classifier_free_guidance=False, max_sequence_length=PADDED_TOKENS)
    return states[0].numpy()


def draw(
    pipeline: ZImagePipeline, prompt: str, noise: NDArray[np.float32], width: int, height: int, steps: int
) -> Drawing:
    """What the pipeline draws from this noise."""
    latents: list[torch.Tensor] = []

    def remember(_pipeline: object, _step: int, _time: object, tensors: dict[str, torch.Tensor]) -> dict[str, object]:
        latents.append(tensors["latents"])
        return {}

    picture = pipeline(
        prompt=prompt,
        width=width,
        height=height,
        num_inference_steps=steps,
        guidance_scale=0.0,
        latents=torch.from_numpy(noise)[None],
        output_type="np",
        max_sequence_length=PADDED_TOKENS,
        callback_on_step_end=remember,
    ).images[0]
    return Drawing(latents[-1][0].numpy(), picture, pipeline.scheduler.sigmas.numpy(), len(latents))
