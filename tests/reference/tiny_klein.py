"""A small random FLUX.2 Klein, as diffusers' pipeline and as files in the naming of the original checkpoint."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from diffusers import Flux2KleinPipeline, Flux2Transformer2DModel
from numpy.typing import NDArray
from tiny_model.gguf_file import write_gguf
from tiny_model.naming import klein_names
from tiny_model.qwen_tokenizer import qwen_tokenizer

from .random_weights import randomise
from .reference_model import Drawing, ModelPaths, ReferenceModel
from .tiny_encoder import HIDDEN_SIZE, export_encoder, tiny_encoder
from .tiny_vae import export_decoder, tiny_flux2_vae
from .write_sigmas import klein_scheduler


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
    write_gguf(paths.diffusion_model, "flux", klein_names(transformer.state_dict()))
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
