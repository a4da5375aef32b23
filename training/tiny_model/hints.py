"""What the denoiser's first blocks should find out, said to them directly.

To draw an outline, a place in the picture must know where it lies, where the shape lies, and what the noise stands for.
Nothing but attention can tell it: RoPE gives differences of positions, never positions. The flow's loss rewards all
that only when everything after it works as well, and a small network does not get there. So while it is trained, linear
readers behind its first two blocks ask for these numbers, and are thrown away afterwards: auxiliary losses on hidden
layers, as in deeply supervised nets (Lee et al. 2015).
"""

from __future__ import annotations

from typing import Any

import torch
from diffusers import Flux2Transformer2DModel
from torch import nn
from torch.nn import functional

from .world.scenes import JITTERS

PATCH = 16
"""Pixels of a token's edge."""
_LARGEST_JITTER = 1.5
_FAR = 2.0  # radii from a shape's centre; farther away, how far is all the same


class Hints(nn.Module):
    """The readers: of the place, and of the noise, behind the double block; of shapes behind the first single block."""

    def __init__(self, model: Flux2Transformer2DModel) -> None:
        super().__init__()
        width = model.x_embedder.weight.shape[0]
        self.place_and_noise = nn.Linear(width, 4 + JITTERS)
        self.noise_and_shapes = nn.Linear(width, JITTERS + 8)
        self._inner: dict[str, torch.Tensor] = {}
        model.transformer_blocks[0].register_forward_hook(self._keep("double", 1))
        model.single_transformer_blocks[0].register_forward_hook(self._keep("single", None))

    def _keep(self, name: str, part: int | None) -> Any:
        def hook(block: nn.Module, inputs: Any, output: Any) -> None:
            self._inner[name] = output if part is None else output[part]

        return hook

    def loss(self, rows: int, columns: int, jitter: torch.Tensor, shapes: torch.Tensor) -> torch.Tensor:
        """Squared errors of what is read from the model's last run.

        Args:
            rows, columns: of the latents.
            jitter: (batch, ``JITTERS``).
            shapes: (batch, 2, 3), centre and radius in pixels; a radius of 0: there is none.

        Returns:
            One error for each of the batch.
        """
        places = _places(rows, columns)
        asked = _about_places(places, rows, columns).expand(len(jitter), -1, -1)
        noise = jitter.clamp(-_LARGEST_JITTER, _LARGEST_JITTER)[:, None].expand(-1, rows * columns, -1)
        near, there = _about_shapes(places, shapes)
        first = self._read(self.place_and_noise, "double", rows * columns) - torch.cat([asked, noise], dim=-1)
        second = self._read(self.noise_and_shapes, "single", rows * columns) - torch.cat([noise, near], dim=-1)
        seen = torch.cat([torch.ones_like(noise), there], dim=-1)
        return first.square().mean((1, 2)) + (second.square() * seen).mean((1, 2))

    def _read(self, reader: nn.Linear, name: str, tokens: int) -> torch.Tensor:
        states = self._inner.pop(name)[:, -tokens:]
        return reader(functional.layer_norm(states, states.shape[-1:]))


def _places(rows: int, columns: int) -> torch.Tensor:
    """(x, y) of each token's middle, in pixels."""
    y, x = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    return PATCH * (torch.stack([x, y], dim=-1).flatten(0, 1) + 0.5)


def _about_places(places: torch.Tensor, rows: int, columns: int) -> torch.Tensor:
    """Where each token lies: in pixels from the corner, and as a share of the picture; with variances of about 1."""
    share = places / torch.tensor([columns * PATCH, rows * PATCH])
    return torch.cat([places / 32 - 2, 3.4 * (share - 0.5)], dim=-1)


def _about_shapes(places: torch.Tensor, shapes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """How far each token is from both shapes, in pixels and in radii, and where that can be asked."""
    offset = places[None, :, None] - shapes[:, None, :, :2]  # batch, tokens, shapes, (x, y)
    radius = shapes[:, None, :, 2:]
    there = (radius > 0).float().expand_as(offset)
    radii = (offset / radius.clamp(min=1)).clamp(-_FAR, _FAR)
    return torch.cat([offset / 32, radii], dim=-1).flatten(2), torch.cat([there, there], dim=-1).flatten(2)
