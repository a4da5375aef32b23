"""AdamW along one cycle of learning rates: how everything but the denoiser is trained."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn


class OneCycle:
    """Steps down a loss: the learning rate rises to ``peak`` and falls to nothing (Smith and Topin 2018).

    Args:
        parameters: what is changed.
        peak: the highest learning rate.
        steps: of the whole cycle.
        warm_up: the share of them in which the rate rises.
        betas, weight_decay: AdamW's.
    """

    def __init__(
        self,
        parameters: Iterable[torch.Tensor],
        *,
        peak: float,
        steps: int,
        warm_up: float,
        betas: tuple[float, float],
        weight_decay: float = 0.0,
    ) -> None:
        self._parameters = list(parameters)
        self._optimizer = torch.optim.AdamW(self._parameters, lr=peak, weight_decay=weight_decay, betas=betas)
        self._schedule = torch.optim.lr_scheduler.OneCycleLR(
            self._optimizer, peak, total_steps=steps, pct_start=warm_up
        )

    def step(self, loss: torch.Tensor) -> None:
        """One step, by a gradient whose norm is bounded to 1."""
        self._optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self._parameters, 1.0)
        self._optimizer.step()
        self._schedule.step()
