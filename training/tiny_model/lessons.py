"""What the denoiser learns from: scenes as latents, captions as text states, made once and read many times."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from .autoencoder import Autoencoder, as_input, patchify
from .sizes import random_size
from .text_encoder import CONTEXT_TOKENS, TextEncoder, Vocabulary, random_pads, text_batch
from .world.captions import random_caption
from .world.rendering import draw_scene
from .world.scenes import JITTERS, Scene, random_scene_of

_log = logging.getLogger(__name__)


@dataclass
class TextStates:
    """Some of the 512 text states of several captions.

    Training on all 512 would cost eight times as much as the picture does, and nearly all of them are pads. A few are
    taken instead, and attention counts each for as many as it stands for.

    Attributes:
        states: (batch, tokens, 96).
        positions: (tokens,), the same for all captions.
        bias: (batch, tokens), the logarithm of how many states each stands for.
    """

    states: torch.Tensor
    positions: torch.Tensor
    bias: torch.Tensor

    def pick(self, rows: torch.Tensor) -> TextStates:
        """Those of some captions."""
        return TextStates(self.states[rows], self.positions, self.bias[rows])


@torch.no_grad()
def some_states(
    encoder: TextEncoder,
    vocabulary: Vocabulary,
    captions: list[str],
    random: np.random.Generator,
    *,
    words: int,
    pads: int,
) -> TextStates:
    """States of ``words`` tokens of the prompts and of ``pads`` pads, at random positions that all captions share."""
    ids = vocabulary.read(captions)
    lengths = np.array([len(row) for row in ids])
    shortest = int(lengths.min())
    pad_positions = random_pads(ids, pads, random)
    word_positions = np.sort(random.choice(shortest, min(words, shortest), replace=False))
    batch = text_batch(ids, vocabulary.pad, pad_positions)
    states = encoder(batch)
    chosen = torch.cat([states[:, word_positions], states[:, batch.prompt_tokens :]], dim=1)
    counts = np.concatenate(
        [
            np.repeat((lengths / len(word_positions))[:, None], len(word_positions), axis=1),
            np.repeat(((CONTEXT_TOKENS - lengths) / pads)[:, None], pads, axis=1),
        ],
        axis=1,
    )
    positions = torch.from_numpy(np.concatenate([word_positions, pad_positions]))
    return TextStates(chosen, positions, torch.from_numpy(np.log(counts)).float())


@dataclass
class Canvas:
    """Scenes of one size: float16 latents (batch, 128, rows, columns), and the jitter they were drawn with."""

    scenes: list[Scene]
    latents: torch.Tensor
    jitter: torch.Tensor


@dataclass
class Lesson:
    """Scenes of one size with one caption for each."""

    latents: torch.Tensor
    jitter: torch.Tensor
    text: TextStates

    def pick(self, rows: torch.Tensor) -> Lesson:
        """Some of the scenes."""
        return Lesson(self.latents[rows], self.jitter[rows], self.text.pick(rows))


@torch.no_grad()
def paint(autoencoder: Autoencoder, *, count: int, batch: int, seed: int) -> list[Canvas]:
    """Batches of scenes that are not held out, each batch of one size."""
    random = np.random.default_rng(seed)
    begun = time.monotonic()
    canvases = []
    for index in range(count):
        width, height = random_size(random)
        scenes = [random_scene_of(random, held_out=False) for _ in range(batch)]
        jitter = random.standard_normal((batch, JITTERS))
        pictures = np.stack([draw_scene(s, j, width, height) for s, j in zip(scenes, jitter, strict=True)])
        latents = patchify(autoencoder.encode(as_input(pictures).contiguous(memory_format=torch.channels_last)))
        canvases.append(Canvas(scenes, latents.half(), torch.from_numpy(jitter).float()))
        if index % 100 == 0:
            _log.info("scenes painted: %d of %d batches, %.0f s", index, count, time.monotonic() - begun)
    return canvases


def caption(
    canvases: Sequence[Canvas],
    encoder: TextEncoder,
    vocabulary: Vocabulary,
    *,
    seed: int,
    words: int = 6,
    pads: int = 10,
) -> list[Lesson]:
    """Each scene with a caption, as the text encoder reads it."""
    random = np.random.default_rng(seed)
    lessons = []
    for canvas in canvases:
        captions = [random_caption(scene, random) for scene in canvas.scenes]
        text = some_states(encoder, vocabulary, captions, random, words=words, pads=pads)
        lessons.append(Lesson(canvas.latents, canvas.jitter, text))
    return lessons


def shuffled(lessons: list[Lesson], random: np.random.Generator) -> Iterator[Lesson]:
    """All lessons for ever, in a new order each time."""
    while True:
        for index in random.permutation(len(lessons)):
            yield lessons[index]
