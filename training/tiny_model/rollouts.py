"""Learning from its own drafts: the denoiser runs as it will run, and is told at each step what it should have said.

On straight lines from noise to pictures, what already shows at a middling noise level is right, and a denoiser learns
to trust it and to clean it up. When it draws, what shows there is its own draft, faults and all. Since the noise says
which picture was meant (``coupling``), the picture is known for its own drafts as well: every step can mend what the
steps before it drew wrong, and four steps are four times as deep as one.

Idea: learning on the states that the learner itself reaches (Ross, Gordon and Bagnell 2011, "DAgger").
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import torch
from diffusers import Flux2Transformer2DModel
from torch import nn

from sdcpp_py.models.families import FLUX2_KLEIN

from .coupling import noise_for
from .flow import velocity
from .hints import Hints
from .lessons import PATCH, Lesson, TextStates

STEPS = (4, 4, 4, 4, 3, 6)
"""How many steps a run has, one of these at random: four are the model's own."""


def rollout_losses(
    model: Flux2Transformer2DModel, lesson: Lesson, hints: Hints, hints_weight: float
) -> Iterator[torch.Tensor]:
    """Squared errors of the latents that the model expects at each step of a run of its own, and of the first's hints.

    The model may be changed between one loss and the next.
    """
    for now, loss in run_losses(model, lesson.latents, lesson.jitter, lesson.text):
        yield loss + hints_weight * hints.loss(lesson).mean() if now == 1 else loss


def run_losses(
    model: nn.Module, latents: torch.Tensor, jitter: torch.Tensor, text: TextStates
) -> Iterator[tuple[float, torch.Tensor]]:
    """Each noise level of a run of the model's own, with the squared error of the latents that it expects there."""
    latents = latents.float()
    rows, columns = latents.shape[2:]
    steps = STEPS[int(torch.randint(len(STEPS), ()))]
    noisy = noise_for(jitter, *latents.shape[1:])
    for now, after in itertools.pairwise(FLUX2_KLEIN.sigmas(steps, PATCH * columns, PATCH * rows)):
        guess = velocity(model, noisy, text, torch.full((len(latents),), now))
        yield now, (noisy - now * guess - latents).square().mean()
        noisy = (noisy + (after - now) * guess).detach()
