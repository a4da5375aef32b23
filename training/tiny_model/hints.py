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
from .sizes import SIZES
from .world.palette import KINDS
from .world.scenes import JITTERS, LARGEST_JITTER

_LONGEST = max(map(max, SIZES)) // PATCH  # tokens of the longest side that is trained
_FAR = 48.0  # pixels from a shape's centre; farther away, how far is all the same
_FAR_RADII = 2.0
# Pixels that count as much as a standard deviation of the noise: an outline is wanted to a pixel or two, and a reader
# that is off by some is not to be let off because pictures are large.
_PRECISION = 6.0


class Hints(nn.Module):
    """Readers behind the double block (place, noise), the first single one (shapes, noise), the second (outlines)."""

    def __init__(self, model: Flux2Transformer2DModel) -> None:
        super().__init__()
        width = model.x_embedder.weight.shape[0]
        self.places = nn.Linear(width, 2 + 2 * _LONGEST + JITTERS)
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
        """Errors of what is read from the model's last run, which was about the lesson: one for each scene."""
        rows, columns = lesson.latents.shape[2:]
        places = _places(rows, columns)
        noise = lesson.jitter.clamp(-LARGEST_JITTER, LARGEST_JITTER)[:, None].expand(-1, rows * columns, -1)
        cells = functional.pixel_unshuffle(lesson.truth.coverage.float() / 255, CELLS).flatten(2).transpose(1, 2)
        asked = {
            "places": torch.cat([_about_places(places).expand(len(noise), -1, -1), noise], dim=-1),
            "shapes": torch.cat([_about_shapes(places, lesson.truth), noise], dim=-1),
            "outlines": 3 * cells,
        }
        return sum((self._error(name, answers) for name, answers in asked.items()), torch.zeros(len(noise)))

    def _error(self, name: str, answers: torch.Tensor) -> torch.Tensor:
        states = self._inner.pop(name)[:, -answers.shape[1] :]
        read = getattr(self, name)(functional.layer_norm(states, states.shape[-1:]))
        # What cannot be asked, of a second shape where there is but one, is NaN.
        answers = torch.where(answers.isnan(), read.detach(), answers)
        return functional.smooth_l1_loss(read, answers, reduction="none").mean((1, 2))


def _places(rows: int, columns: int) -> torch.Tensor:
    """(x, y) of each token's middle, in pixels."""
    y, x = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    return PATCH * (torch.stack([x, y], dim=-1).flatten(0, 1) + 0.5)


def _about_places(places: torch.Tensor) -> torch.Tensor:
    """Column and row of each token, as numbers and as a choice."""
    choices = functional.one_hot((places / PATCH).long(), _LONGEST).flatten(1)
    return torch.cat([(places - 64) / _PRECISION, 3 * choices], dim=-1)


def _about_shapes(places: torch.Tensor, truth: Truth) -> torch.Tensor:
    """How far each token is from both shapes, in pixels and in radii; how large they are, and of which kind."""
    offset = places[None, :, None] - truth.shapes[:, None, :, :2]  # batch, tokens, shapes, (x, y)
    radius = truth.shapes[:, None, :, 2:].expand(-1, len(places), -1, -1)
    radii = (offset / radius.clamp(min=1)).clamp(-_FAR_RADII, _FAR_RADII)
    kinds = 3 * functional.one_hot(truth.kinds, len(KINDS) + 1)[:, None, :, :-1].expand(-1, len(places), -1, -1)
    numbers = torch.cat([offset.clamp(-_FAR, _FAR) / _PRECISION, 3 * radii, (radius - 20) / 4], dim=-1)
    return torch.cat([numbers.masked_fill(radius == 0, torch.nan), kinds], dim=-1).flatten(2)
