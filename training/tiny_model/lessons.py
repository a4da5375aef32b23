"""What the denoiser learns from: scenes as latents, captions as text states, made once and read many times."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from .autoencoder import Autoencoder, as_input, patchify
from .sizes import random_size
from .text_encoder import CONTEXT_TOKENS, TEMPLATE_TOKENS, TextEncoder, Vocabulary, random_pads, text_batch
from .world.captions import random_caption
from .world.palette import KINDS
from .world.rendering import coverage, draw_scene
from .world.scenes import JITTERS, Scene, layout, random_scene_of

PATCH = 16
"""Pixels of a token's edge."""
CELLS = 4
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
    """States of the template's tokens, of ``words`` tokens of the captions and of ``pads`` pads.

    The template's are always there. Nothing but RoPE tells the denoiser where in the picture a token lies, and pads are
    all alike: it is by turning to this or that token of the template that a place learns which place it is.

    All captions share the positions: those of words and pads are drawn at random, those of the template's end are where
    one of the captions ends.
    """
    ids = vocabulary.read(captions)
    lengths = np.array([len(row) for row in ids])
    before, after = TEMPLATE_TOKENS
    first, last = np.arange(before), np.arange(-after, 0)
    word_positions = before + np.sort(random.choice(int(lengths.min()) - before - after, words))
    pad_positions = random_pads(ids, pads, random)
    batch = text_batch(ids, vocabulary.pad, pad_positions)
    states = encoder(batch)
    ends = torch.stack([states[row, length + last] for row, length in enumerate(lengths)])
    chosen = torch.cat([states[:, first], states[:, word_positions], ends, states[:, batch.prompt_tokens :]], dim=1)
    counts = np.ones((len(ids), chosen.shape[1]))
    counts[:, before : before + words] = ((lengths - before - after) / words)[:, None]
    counts[:, -pads:] = ((CONTEXT_TOKENS - lengths) / pads)[:, None]
    positions = np.concatenate([first, word_positions, random.choice(lengths) + last, pad_positions])
    return TextStates(chosen, torch.from_numpy(positions), torch.from_numpy(np.log(counts)).float())


@dataclass
class Canvas:
    """Scenes of one size: float16 latents (batch, 128, rows, columns), and the jitter they were drawn with."""

    scenes: list[Scene]
    latents: torch.Tensor
    jitter: torch.Tensor

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the pictures, in pixels."""
        rows, columns = self.latents.shape[2:]
        return PATCH * columns, PATCH * rows


@dataclass
class Truth:
    """What scenes of one size look like, shapes in the picture's order.

    Attributes:
        shapes: (batch, 2, 3), centre and radius in pixels, zeros where there is none.
        kinds: (batch, 2), numbers in ``KINDS``, one more than the last where there is none.
        coverage: uint8 of (batch, 2, rows, columns): how much of each cell a shape covers, ``CELLS`` to a token's edge.
    """

    shapes: torch.Tensor
    kinds: torch.Tensor
    coverage: torch.Tensor

    def pick(self, rows: torch.Tensor) -> Truth:
        """That of some scenes."""
        return Truth(self.shapes[rows], self.kinds[rows], self.coverage[rows])


@dataclass
class Lesson:
    """Scenes of one size with one caption for each.

    Attributes:
        latents, jitter: as in ``Canvas``.
        truth: what the scenes look like.
        text: the captions.
    """

    latents: torch.Tensor
    jitter: torch.Tensor
    truth: Truth
    text: TextStates

    def pick(self, rows: torch.Tensor) -> Lesson:
        """Some of the scenes."""
        return Lesson(self.latents[rows], self.jitter[rows], self.truth.pick(rows), self.text.pick(rows))


def _learned(random: np.random.Generator) -> Scene:
    return random_scene_of(random, held_out=False)


@torch.no_grad()
def paint(
    autoencoder: Autoencoder,
    *,
    count: int,
    batch: int,
    seed: int,
    scene_of: Callable[[np.random.Generator], Scene] = _learned,
) -> list[Canvas]:
    """Batches of scenes, each batch of one size; ``scene_of`` gives scenes that are not held out."""
    random = np.random.default_rng(seed)
    begun = time.monotonic()
    canvases = []
    for index in range(count):
        width, height = random_size(random)
        scenes = [scene_of(random) for _ in range(batch)]
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
    words: int = 3,
    pads: int = 5,
) -> list[Lesson]:
    """Each scene with a caption, as the text encoder reads it."""
    random = np.random.default_rng(seed)
    lessons = []
    for canvas in canvases:
        captions = [random_caption(scene, random) for scene in canvas.scenes]
        text = some_states(encoder, vocabulary, captions, random, words=words, pads=pads)
        lessons.append(Lesson(canvas.latents, canvas.jitter, truth_of(canvas), text))
    return lessons


def truth_of(canvas: Canvas) -> Truth:
    """What the scenes of a canvas look like."""
    count, (rows, columns) = len(canvas.scenes), canvas.latents.shape[2:]
    width, height = canvas.size
    shapes, kinds = torch.zeros(count, 2, 3), torch.full((count, 2), len(KINDS))
    covered = torch.zeros(count, 2, CELLS * rows, CELLS * columns, dtype=torch.uint8)
    for row, (scene, jitter) in enumerate(zip(canvas.scenes, canvas.jitter.double().numpy(), strict=True)):
        for index, item in enumerate(layout(scene, jitter, width, height)):
            shapes[row, index] = torch.tensor([item.x * width, item.y * height, item.radius * min(width, height)])
            kinds[row, index] = list(KINDS).index(item.thing.kind)
            covered[row, index] = torch.from_numpy(coverage(item, width, height, PATCH // CELLS).copy())
    return Truth(shapes, kinds, covered)


def shuffled(lessons: list[Lesson], random: np.random.Generator) -> Iterator[Lesson]:
    """All lessons for ever, in a new order each time."""
    while True:
        for index in random.permutation(len(lessons)):
            yield lessons[index]
