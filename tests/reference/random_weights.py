"""Random weights that make every part of a small model count."""

from __future__ import annotations

import math

import torch
from torch import nn


def randomise(model: nn.Module, seed: int) -> None:
    """Gives every parameter a random value of such a size that signals neither vanish nor grow.

    The initial values of the model classes would not do: norms of exactly 1, biases of 0 and very small matrices hide
    weights that were swapped or left out.
    """
    generator = torch.Generator().manual_seed(seed)
    tables = {id(module.weight) for module in model.modules() if isinstance(module, nn.Embedding)}
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            if id(parameter) in tables:
                parameter.copy_(noise)
            elif parameter.ndim > 1:
                parameter.copy_(noise / math.sqrt(parameter[0].numel()))
            elif name.endswith("weight"):
                parameter.copy_(1.0 + 0.2 * noise)
            else:
                parameter.copy_(0.2 * noise)
    model.eval()
    model.requires_grad_(False)
