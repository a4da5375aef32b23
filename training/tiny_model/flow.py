"""The denoiser's network, a FLUX.2 Klein of width 256 with one double and three single blocks, and running it."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import torch
from diffusers import Flux2Transformer2DModel
from torch import nn

from .lessons import TextStates
from .text_encoder import CONTEXT_WIDTH

LATENT_CHANNELS = 128


def small_klein() -> Flux2Transformer2DModel:
    """Diffusers' model in this denoiser's sizes, begun so that it hands its input on: velocity is nearly noise."""
    model = Flux2Transformer2DModel(
        in_channels=LATENT_CHANNELS,
        num_layers=1,
        num_single_layers=3,
        attention_head_dim=128,
        num_attention_heads=2,
        joint_attention_dim=CONTEXT_WIDTH,
        mlp_ratio=3.0,
        axes_dims_rope=(32, 32, 32, 32),
        rope_theta=2000,
        guidance_embeds=False,
    )
    with torch.no_grad():
        nn.init.orthogonal_(model.x_embedder.weight)
        model.proj_out.weight.copy_(model.x_embedder.weight.T / math.sqrt(2))
        for modulation in (
            model.double_stream_modulation_img,
            model.double_stream_modulation_txt,
            model.single_stream_modulation,
        ):
            modulation.linear.weight.mul_(0.1)
        model.norm_out.linear.weight.zero_()
    return model


@dataclass(frozen=True)
class Positions:
    """RoPE positions as FLUX.2 counts them: (time, row, column, token)."""

    text: torch.Tensor
    image: torch.Tensor


def positions_of(text: torch.Tensor, rows: int, columns: int) -> Positions:
    """Positions of the text tokens at ``text`` and of a latent of rows x columns."""
    zeros = torch.zeros_like(text)
    row, column = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    flat = torch.zeros(rows * columns, dtype=torch.int64)
    return Positions(
        torch.stack([zeros, zeros, zeros, text], dim=-1),
        torch.stack([flat, row.flatten(), column.flatten(), flat], dim=-1),
    )


def velocity(
    model: Flux2Transformer2DModel, latents: torch.Tensor, text: TextStates, sigma: torch.Tensor
) -> torch.Tensor:
    """What the model says of noisy latents (batch, 128, rows, columns) at the noise levels (batch,)."""
    count, channels, rows, columns = latents.shape
    positions = positions_of(text.positions, rows, columns)
    bias = torch.cat([text.bias, torch.zeros(count, rows * columns)], dim=1)
    flat = model(
        hidden_states=latents.flatten(2).transpose(1, 2),
        encoder_hidden_states=text.states.float(),
        timestep=sigma,
        img_ids=positions.image,
        txt_ids=positions.text,
        joint_attention_kwargs={"attention_mask": bias[:, None, None, :]},
        return_dict=False,
    )[0]
    return flat.transpose(1, 2).reshape(count, channels, rows, columns)


@torch.no_grad()
def sample(
    model: Flux2Transformer2DModel, text: TextStates, noise: torch.Tensor, sigmas: tuple[float, ...]
) -> torch.Tensor:
    """Latents of Euler's method along the noise levels, the last of which is 0."""
    latents = noise
    for now, after in itertools.pairwise(sigmas):
        level = torch.full((len(latents),), now)
        latents = latents + (after - now) * velocity(model, latents, text, level)
    return latents
