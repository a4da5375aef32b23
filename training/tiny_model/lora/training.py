"""Training a LoRA for the package's own denoiser, whose text encoder and autoencoder stay as they are.

The encoder knows the words of the world and no others: the embedding of any other token is 0. But a caption that calls
a shape "magenta" says no known colour where one belongs, and that shows in the states, as it does where the kind is
missing. So the denoiser alone can be taught what is meant there; and whatever other unknown word stands in that place
is taken for the same.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch

from sdcpp_py.models.bundled import TINY, bundled_files

from ..autoencoder import TRAINED_CHANNELS
from ..descent import OneCycle
from ..files import read_autoencoder, read_denoiser, read_text_encoder
from ..lessons import Canvas, TextStates, paint, some_states
from ..recipe import SEEDS
from ..rollouts import run_losses
from ..text_encoder import TextEncoder, Vocabulary, make_vocabulary, trained_part
from ..world.captions import random_caption
from ..world.novelties import random_novel_scene
from ..world.scenes import Scene, random_scene_of
from .adapters import adapt, write_lora

_ORDINARY = 0.25  # of the scenes: what the model knows, it should go on drawing
_WORDS, _PADS = 3, 5  # text states of each kind, as in the denoiser's own training
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LoraRecipe:
    """How long a LoRA is trained.

    Attributes:
        rank: of the matrices.
        canvases, scenes: batches of scenes that it learns from, and how many are in one.
        vocabulary_captions: captions whose words the text encoder knows.
        steps, batch, peak: of AdamW with one cycle of learning rates.
    """

    rank: int
    canvases: int
    scenes: int
    vocabulary_captions: int
    steps: int
    batch: int
    peak: float


FULL = LoraRecipe(rank=6, canvases=24, scenes=48, vocabulary_captions=30_000, steps=600, batch=16, peak=5e-3)
SMOKE = LoraRecipe(rank=2, canvases=2, scenes=4, vocabulary_captions=200, steps=6, batch=2, peak=5e-3)
"""A few steps: that it runs, and that the file loads."""


@dataclass(frozen=True)
class LoraLesson:
    """Scenes of one size with one caption for each; latents and jitter as in ``Canvas``."""

    latents: torch.Tensor
    jitter: torch.Tensor
    text: TextStates


def train_lora(word: str, recipe: LoraRecipe, path: Path, *, seed: int = 0) -> None:
    """Trains a LoRA that draws what a new word says, and writes it.

    Args:
        word: a colour or a kind of shape, of ``NOVELTIES``.
        recipe: how long.
        path: where to.
        seed: of scenes, captions, noise, and of what the matrices begin with.
    """
    torch.manual_seed(seed)
    random = np.random.default_rng(seed)
    model = read_denoiser(bundled_files(TINY).diffusion_model)
    adapted = adapt(model, recipe.rank)
    lessons = _lessons(word, recipe, random, seed)
    parameters = [layer for one in adapted.values() for layer in (one.down.weight, one.up.weight)]
    cycle = OneCycle(parameters, peak=recipe.peak, steps=recipe.steps, warm_up=0.1, betas=(0.9, 0.98))
    begun, step, mean = time.monotonic(), 0, None
    while step < recipe.steps:
        lesson = lessons[int(random.integers(len(lessons)))]
        some = torch.randperm(len(lesson.latents))[: recipe.batch]
        for _, loss in run_losses(model, lesson.latents[some], lesson.jitter[some], lesson.text.pick(some)):
            if step == recipe.steps:
                break
            cycle.step(loss)
            mean = loss.item() if mean is None else 0.95 * mean + 0.05 * loss.item()
            step += 1
            if step % 25 == 0 or step == recipe.steps:
                _log.info("%s step %d: loss %.4f, %.0f s", word, step, mean, time.monotonic() - begun)
    write_lora(adapted, path, word)


def _lessons(word: str, recipe: LoraRecipe, random: np.random.Generator, seed: int) -> list[LoraLesson]:
    files = bundled_files(TINY)
    # The package's own vocabulary: what is not in it, the encoder's file has no embedding for.
    vocabulary = make_vocabulary(SEEDS["vocabulary"], recipe.vocabulary_captions)
    encoder = trained_part(read_text_encoder(files.text_encoder).state_dict(), vocabulary)
    autoencoder = read_autoencoder(files.vae, TRAINED_CHANNELS)
    canvases = paint(
        autoencoder, count=recipe.canvases, batch=recipe.scenes, seed=seed, scene_of=partial(_scene, word=word)
    )
    return [_captioned(canvas, encoder, vocabulary, random) for canvas in canvases]


def _scene(random: np.random.Generator, word: str) -> Scene:
    if random.random() < _ORDINARY:
        return random_scene_of(random, held_out=False)
    return random_novel_scene(random, [word], held_out=False)


def _captioned(canvas: Canvas, encoder: TextEncoder, vocabulary: Vocabulary, random: np.random.Generator) -> LoraLesson:
    captions = [random_caption(scene, random) for scene in canvas.scenes]
    text = some_states(encoder, vocabulary, captions, random, words=_WORDS, pads=_PADS)
    return LoraLesson(canvas.latents, canvas.jitter, text)
