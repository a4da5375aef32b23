"""Training the denoiser: rectified flow, with hints for its inner blocks, then learning from its own drafts."""

from __future__ import annotations

import copy
import logging
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from diffusers import Flux2Transformer2DModel
from torch import nn

from .coupling import noise_for
from .flow import small_klein, velocity
from .hints import Hints
from .lessons import Lesson, shuffled
from .muon import Muon
from .rollouts import rollout_losses

_HINTS = 0.2  # what their errors count beside the velocity's
_log = logging.getLogger(__name__)


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
        rollouts: how many of the steps, the last ones, learn from the model's own drafts.
        seed: of all that is random.
    """

    def __init__(
        self, lessons: list[Lesson], *, steps: int, batch: int, rollouts: int, seed: int, peak: float = 2e-3
    ) -> None:
        torch.manual_seed(seed)
        self.model = small_klein()
        scale = torch.cat([lesson.text.states.float().flatten(0, 1) for lesson in lessons[:20]]).std()
        with torch.no_grad():
            self.model.context_embedder.weight.div_(scale)
        self.average = copy.deepcopy(self.model).requires_grad_(False)
        self.hints = Hints(self.model)
        self.steps, self.batch, self.rollouts, self.step_index = steps, batch, rollouts, 0
        self.peaks = (2 * peak, 0.4 * peak)
        self._losses = self._all_losses(shuffled(lessons, np.random.default_rng(seed)))
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
            loss = next(self._losses)
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

    def _all_losses(self, lessons: Iterator[Lesson]) -> Iterator[torch.Tensor]:
        """What to descend, step by step. Some of the lessons stay ordinary to the end, for image to image."""
        for lesson in lessons:
            some = lesson.pick(torch.randperm(len(lesson.latents))[: self.batch])
            if self.step_index < self.steps - self.rollouts or torch.rand(()) < 0.25:
                yield flow_loss(self.model, some, self.hints)
            else:
                yield from rollout_losses(self.model, some, self.hints, _HINTS)

    @torch.no_grad()
    def _remember(self) -> None:
        keep = min(0.998, (1 + self.step_index) / (10 + self.step_index))
        for average, parameter in zip(self.average.parameters(), self.model.parameters(), strict=True):
            average.lerp_(parameter, 1 - keep)
