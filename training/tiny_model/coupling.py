"""Which noise becomes which picture.

Rectified flow draws straight lines from noise to pictures and learns their mean velocity. Where any noise may lead to
any picture, lines cross, the mean is a blur, and many steps (or a distillation) are needed to get around it. Here the
pictures are made by procedure, so the choice that is left when the caption is known, the jitter of places and sizes,
can be read off the noise itself: mean values of its first channels. Then lines hardly cross, and a few steps, even one,
follow them. Seeds still differ, and every picture is still as likely as before: the mean of n standard normal numbers
times sqrt(n) is standard normal.

Idea: stochastic interpolants with data-dependent couplings (Albergo et al. 2023), flow matching with optimal-transport
couplings (Tong et al. 2023, Pooladian et al. 2023).
"""

from __future__ import annotations

import torch

from .world.scenes import JITTERS


def jitter_of(noise: torch.Tensor) -> torch.Tensor:
    """The jitter that noise stands for: (batch, channels, rows, columns) to (batch, ``JITTERS``)."""
    cells = noise.shape[2] * noise.shape[3]
    return noise[:, :JITTERS].mean(dim=(2, 3)) * cells**0.5


def noise_for(jitter: torch.Tensor, channels: int, rows: int, columns: int) -> torch.Tensor:
    """Standard normal noise of shape (batch, channels, rows, columns) that stands for jitter (batch, ``JITTERS``)."""
    noise = torch.randn(len(jitter), channels, rows, columns)
    correction = (jitter - jitter_of(noise)) / (rows * columns) ** 0.5
    noise[:, :JITTERS] += correction[:, :, None, None]
    return noise
