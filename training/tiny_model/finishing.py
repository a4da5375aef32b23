"""The decoder's last lessons: the denoiser's own latents, to be decoded to the pictures that were meant.

Noise that knows the picture makes this possible: what the denoiser should have drawn from it is known to the pixel. A
decoder that has seen what its denoiser does to an edge puts the edge back.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from diffusers import Flux2Transformer2DModel

from sdcpp_py.models.families import FLUX2_KLEIN

from .autoencoder import Autoencoder, as_input, reconstruction_loss, unpatchify
from .coupling import noise_for
from .descent import OneCycle
from .flow import sample
from .lessons import Canvas, Lesson
from .world.rendering import draw_scene

_log = logging.getLogger(__name__)


@dataclass
class Draft:
    """Scenes of one size, with what the denoiser made of them: float16 latents (batch, 128, rows, columns)."""

    canvas: Canvas
    latents: torch.Tensor

    def pictures(self, rows: torch.Tensor) -> np.ndarray:
        """What some of the latents should show, uint8 of shape (batch, height, width, 3)."""
        jitter = self.canvas.jitter.double().numpy()
        return np.stack([draw_scene(self.canvas.scenes[row], jitter[row], *self.canvas.size) for row in rows.tolist()])


def draft(
    model: Flux2Transformer2DModel, canvases: Sequence[Canvas], lessons: Sequence[Lesson], *, steps: int = 4
) -> list[Draft]:
    """What the denoiser draws in a few steps from the captions of ``lessons``, which belong to ``canvases``."""
    drafts = []
    for canvas, lesson in zip(canvases, lessons, strict=True):
        noise = noise_for(lesson.jitter, *canvas.latents.shape[1:])
        latents = sample(model, lesson.text, noise, FLUX2_KLEIN.sigmas(steps, *canvas.size))
        drafts.append(Draft(canvas, latents.half()))
    return drafts


def finish_decoder(
    model: Autoencoder, drafts: Sequence[Draft], *, steps: int, batch: int, seed: int, peak: float
) -> None:
    """Trains the decoder alone, half on drafts and half on noisy latents of the encoder, which it must not forget.

    Args:
        model: is changed, its encoder is not.
        drafts: what the denoiser made.
        steps, peak: of AdamW, with one cycle of learning rates.
        batch: drafts in each step.
        seed: of everything random.
    """
    torch.manual_seed(seed)
    random = np.random.default_rng(seed)
    model.eval().to(memory_format=torch.channels_last)
    cycle = OneCycle(model.decoder.parameters(), peak=peak, steps=steps, warm_up=0.1, betas=(0.9, 0.99))
    begun = time.monotonic()
    for step in range(steps):
        chosen = drafts[int(random.integers(len(drafts)))]
        rows = torch.randperm(len(chosen.latents))[: 2 * batch]
        pictures = as_input(chosen.pictures(rows)).contiguous(memory_format=torch.channels_last)
        made = unpatchify(chosen.latents[rows[:batch]].float())
        with torch.no_grad():
            true = model.encode(pictures[batch:])
        latents = torch.cat([made, model.disturbed(true)])
        difference = model.decode(latents.contiguous(memory_format=torch.channels_last)) - pictures
        cycle.step(reconstruction_loss(difference))
        if step % 100 == 0 or step == steps - 1:
            error = 255 * difference[:batch].abs().mean().item()
            _log.info("decoder step %d: error %.2f, %.0f s", step, error, time.monotonic() - begun)
