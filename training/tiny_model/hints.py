"""What the denoiser's inner blocks should find out, said to them directly.

To draw an outline, a place in the picture must know where it lies, which shape lies where, and what the noise stands
for. Nothing but attention can tell it: RoPE gives differences of positions, never positions. The flow's loss rewards
all that only when everything after it works as well, and a small network does not get there. So while it is trained,
linear readers behind its blocks ask for these things, and are thrown away afterwards: auxiliary losses on hidden
layers, as in deeply supervised nets (Lee et al. 2015).
"""

from __future__ import annotations

from typing import Any

import torch
from diffusers import Flux2Transformer2DModel
from torch import nn
from torch.nn import functional

from .lessons import CELLS, PATCH, Lesson, Truth
from .world.palette import KINDS
from .world.scenes import JITTERS

_LARGEST_JITTER = 1.5
_FAR = 2.0  # radii from a shape's centre; farther away, how far is all the same


class Hints(nn.Module):
    """Readers behind the double block (place, noise), the first single one (shapes, noise), the second (outlines)."""

    def __init__(self, model: Flux2Transformer2DModel) -> None:
        super().__init__()
        width = model.x_embedder.weight.shape[0]
        self.places = nn.Linear(width, 4 + JITTERS)
        self.shapes = nn.Linear(width, JITTERS + 2 * (2 + 2 + 1 + len(KINDS)))
        self.outlines = nn.Linear(width, 2 * CELLS**2)
        self._inner: dict[str, torch.Tensor] = {}
        model.transformer_blocks[0].register_forward_hook(self._keep("places", 1))
        model.single_transformer_blocks[0].register_forward_hook(self._keep("shapes", None))
        model.single_transformer_blocks[1].register_forward_hook(self._keep("outlines", None))

    def _keep(self, name: str, part: int | None) -> Any:
        def hook(block: nn.Module, inputs: Any, output: Any) -> None:
            self._inner[name] = output if part is None else output[part]

        return hook

    def loss(self, lesson: Lesson) -> torch.Tensor:
        """Squared errors of what is read from the model's last run, which was about the lesson: one for each scene."""
        rows, columns = lesson.latents.shape[2:]
        tokens = rows * columns
        places = _places(rows, columns)
        noise = lesson.jitter.clamp(-_LARGEST_JITTER, _LARGEST_JITTER)[:, None].expand(-1, tokens, -1)
        asked = torch.cat([_about_places(places, rows, columns).expand(len(noise), -1, -1), noise], dim=-1)
        total = (self._read("places", tokens) - asked).square().mean((1, 2))
        answers = torch.cat([_about_shapes(places, lesson.truth), noise], dim=-1)
        # What cannot be asked, of a second shape where there is but one, is NaN.
        errors = torch.where(answers.isnan(), 0.0, self._read("shapes", tokens) - answers.nan_to_num())
        total = total + errors.square().mean((1, 2))
        cells = functional.pixel_unshuffle(lesson.truth.coverage.float() / 255, CELLS).flatten(2).transpose(1, 2)
        return total + (self._read("outlines", tokens) - 3 * cells).square().mean((1, 2))

    def _read(self, name: str, tokens: int) -> torch.Tensor:
        states = self._inner.pop(name)[:, -tokens:]
        answers: torch.Tensor = getattr(self, name)(functional.layer_norm(states, states.shape[-1:]))
        return answers


def _places(rows: int, columns: int) -> torch.Tensor:
    """(x, y) of each token's middle, in pixels."""
    y, x = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    return PATCH * (torch.stack([x, y], dim=-1).flatten(0, 1) + 0.5)


def _about_places(places: torch.Tensor, rows: int, columns: int) -> torch.Tensor:
    """Where each token lies: in pixels from the corner, and as a share of the picture; with variances of about 1."""
    share = places / torch.tensor([columns * PATCH, rows * PATCH])
    return torch.cat([places / 32 - 2, 3.4 * (share - 0.5)], dim=-1)


def _about_shapes(places: torch.Tensor, truth: Truth) -> torch.Tensor:
    """How far each token is from both shapes, in pixels and in radii; how large they are, and of which kind."""
    offset = places[None, :, None] - truth.shapes[:, None, :, :2]  # batch, tokens, shapes, (x, y)
    radius = truth.shapes[:, None, :, 2:].expand(-1, len(places), -1, -1)
    missing = radius == 0
    radii = (offset / radius.clamp(min=1)).clamp(-_FAR, _FAR)
    kinds = 2.5 * functional.one_hot(truth.kinds, len(KINDS) + 1)[:, None, :, :-1].expand(-1, len(places), -1, -1)
    numbers = torch.cat([offset / 32, radii, (radius - 20) / 8], dim=-1).masked_fill(missing, torch.nan)
    return torch.cat([numbers, kinds], dim=-1).flatten(2)
