"""The denoiser: a FLUX.2 Klein of width 256, with one double and three single blocks, trained by rectified flow."""

from __future__ import annotations

import copy
import itertools
import logging
import math
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from diffusers import Flux2Transformer2DModel
from torch import nn

from .coupling import noise_for
from .hints import Hints
from .lessons import Lesson, TextStates, shuffled
from .muon import Muon
from .text_encoder import CONTEXT_WIDTH

LATENT_CHANNELS = 128
_HINTS = 0.2  # what their errors count beside the velocity's
_log = logging.getLogger(__name__)


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


def random_sigmas(count: int) -> torch.Tensor:
    """Noise levels to train at.

    Most are pure noise, in which nothing is visible: there the caption alone says what to draw, and a model that knows
    it there knows it everywhere. At lower levels it is easier to clean up what shows already; a model that mostly sees
    those learns just that, and draws blobs. A quarter lies where few steps look (FLUX.2's shifts put all but the last
    of them above 0.6), the rest anywhere: image to image begins anywhere.
    """
    kind = torch.rand(count)
    sigma = torch.where(kind < 0.25, 0.6 + 0.4 * torch.rand(count), 0.02 + 0.96 * torch.rand(count))
    return torch.where(kind > 0.4, torch.ones(count), sigma)


def flow_loss(model: Flux2Transformer2DModel, lesson: Lesson, hints: Hints) -> torch.Tensor:
    """Squared error of the velocity on straight lines from noise to latents, and of the hints at pure noise."""
    latents = lesson.latents.float()
    sigma = random_sigmas(len(latents))
    noise = noise_for(lesson.jitter, *latents.shape[1:])
    # Image to image adds noise that knows nothing of the picture.
    stranger = (torch.rand(len(latents)) < 0.2) & (sigma < 0.9)
    noise = torch.where(stranger[:, None, None, None], torch.randn_like(noise), noise)
    level = sigma[:, None, None, None]
    guess = velocity(model, (1 - level) * latents + level * noise, lesson.text, sigma)
    missed = hints.loss(lesson) * (sigma == 1)
    return (guess - (noise - latents)).square().mean() + _HINTS * missed.mean()


class DenoiserTraining:
    """A training that can be stopped, saved and taken up again.

    Args:
        lessons: what is learned from.
        steps: of the whole training; the learning rate falls to 0 over the second half of them.
        batch: scenes in each step, some of one lesson.
        seed: of all that is random.
    """

    def __init__(self, lessons: list[Lesson], *, steps: int, batch: int, seed: int, peak: float = 2e-3) -> None:
        torch.manual_seed(seed)
        self.model = small_klein()
        scale = torch.cat([lesson.text.states.float().flatten(0, 1) for lesson in lessons[:20]]).std()
        with torch.no_grad():
            self.model.context_embedder.weight.div_(scale)
        self.average = copy.deepcopy(self.model).requires_grad_(False)
        self.hints = Hints(self.model)
        self.steps, self.batch, self.step_index = steps, batch, 0
        self.peaks = (2 * peak, 0.4 * peak)
        self._lessons = shuffled(lessons, np.random.default_rng(seed))
        hidden = [
            parameter
            for name, parameter in self.model.named_parameters()
            if parameter.ndim == 2 and "transformer_blocks" in name
        ]
        chosen = {id(parameter) for parameter in hidden}
        rest = [parameter for parameter in self.model.parameters() if id(parameter) not in chosen]
        rest += self.hints.parameters()
        self.optimizers = [
            Muon(hidden, lr=self.peaks[0]),
            torch.optim.AdamW(rest, lr=self.peaks[1], betas=(0.9, 0.98), weight_decay=0.0),
        ]
        self.loss = 1.0

    def rate(self) -> float:
        """The share of the peak learning rate for this step."""
        warm = min(1.0, (self.step_index + 1) / 100)
        left = 1 - self.step_index / self.steps
        return warm * min(1.0, 2 * left)

    def run(self, steps: int) -> None:
        """Takes this many steps."""
        begun = time.monotonic()
        for index in range(steps):
            for optimizer, peak in zip(self.optimizers, self.peaks, strict=True):
                for group in optimizer.param_groups:
                    group["lr"] = peak * self.rate()
            lesson = next(self._lessons)
            loss = flow_loss(self.model, lesson.pick(torch.randperm(len(lesson.latents))[: self.batch]), self.hints)
            self.model.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
            for optimizer in self.optimizers:
                optimizer.step()
            self.step_index += 1
            self._remember()
            self.loss = 0.98 * self.loss + 0.02 * loss.item()
            if index % 50 == 0 or index == steps - 1:
                spent = time.monotonic() - begun
                _log.info("denoiser step %d: loss %.4f, %.0f s", self.step_index, self.loss, spent)

    def state_dict(self) -> dict[str, Any]:
        """All that another object needs to go on from here."""
        return {
            "step": self.step_index,
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "hints": self.hints.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "random": torch.get_rng_state(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on where ``state`` was taken."""
        self.step_index = state["step"]
        self.model.load_state_dict(state["model"])
        self.average.load_state_dict(state["average"])
        self.hints.load_state_dict(state["hints"])
        for optimizer, kept in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(kept)
        torch.set_rng_state(state["random"])

    @torch.no_grad()
    def _remember(self) -> None:
        keep = min(0.998, (1 + self.step_index) / (10 + self.step_index))
        for average, parameter in zip(self.average.parameters(), self.model.parameters(), strict=True):
            average.lerp_(parameter, 1 - keep)


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
