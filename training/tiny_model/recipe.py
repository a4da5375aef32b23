"""From nothing to the three files, in stages that are kept, so that a training can be taken up again."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import torch

from .autoencoder import Autoencoder, train_autoencoder
from .denoiser import DenoiserTraining
from .files import (
    AUTOENCODER,
    DENOISER,
    TEXT_ENCODER,
    read_text_encoder,
    write_autoencoder,
    write_denoiser,
    write_text_encoder,
)
from .lessons import Lesson, make_lessons
from .text_encoder import TextEncoder, Vocabulary, make_vocabulary, train_text_encoder, trained_part

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Recipe:
    """How long each stage is trained.

    Attributes:
        crop_steps, picture_steps: of the autoencoder, on crops of 32 pixels and then on whole pictures.
        vocabulary_captions: captions whose words the text encoder knows.
        text_steps: of the text encoder.
        lessons: batches of scenes that the denoiser learns from.
        batch: scenes in each.
        denoiser_steps: one batch each.
    """

    crop_steps: int = 2400
    picture_steps: int = 300
    vocabulary_captions: int = 30_000
    text_steps: int = 2000
    lessons: int = 600
    batch: int = 64
    denoiser_steps: int = 3600


FULL = Recipe()
SMOKE = Recipe(
    crop_steps=3, picture_steps=1, vocabulary_captions=200, text_steps=3, lessons=3, batch=4, denoiser_steps=6
)
"""A few steps of everything: that it runs, and that its files load."""

_SEEDS = {"autoencoder": 1, "pictures": 2, "vocabulary": 7, "text encoder": 2, "lessons": 3, "denoiser": 4}
_SAVE_EVERY = 200


def train(recipe: Recipe, work: Path, output: Path) -> None:
    """Trains whatever ``work`` does not hold yet, and writes the three files into ``output``."""
    work.mkdir(parents=True, exist_ok=True)
    output.mkdir(parents=True, exist_ok=True)
    autoencoder = _autoencoder(recipe, work / "autoencoder.pt")
    write_autoencoder(autoencoder, output / AUTOENCODER)
    vocabulary = make_vocabulary(_SEEDS["vocabulary"], recipe.vocabulary_captions)
    encoder = _text_encoder(recipe, vocabulary, work / "text_encoder.pt")
    write_text_encoder(encoder, vocabulary, output / TEXT_ENCODER)
    _log.info("text encoder written")
    # Read back from its file, so that the denoiser learns to live with the encoder's quantization.
    encoder = trained_part(read_text_encoder(output / TEXT_ENCODER).state_dict(), vocabulary)
    lessons = _lessons(recipe, autoencoder, encoder, vocabulary, work / "lessons.pt")
    training = _denoiser(recipe, lessons, work / "denoiser.pt")
    write_denoiser(training.average, output / DENOISER)


def _autoencoder(recipe: Recipe, kept: Path) -> Autoencoder:
    torch.manual_seed(_SEEDS["autoencoder"])
    model = Autoencoder().eval()
    if kept.exists():
        model.load_state_dict(torch.load(kept, weights_only=True))
        return model
    train_autoencoder(model, steps=recipe.crop_steps, seed=_SEEDS["autoencoder"], batch=48, size=32, peak=1.5e-3)
    train_autoencoder(model, steps=recipe.picture_steps, seed=_SEEDS["pictures"], batch=4, size=128, peak=5e-4)
    model.fold_norm()
    torch.save(model.state_dict(), kept)
    return model


def _text_encoder(recipe: Recipe, vocabulary: Vocabulary, kept: Path) -> TextEncoder:
    if kept.exists():
        encoder = TextEncoder(len(vocabulary)).eval()
        encoder.load_state_dict(torch.load(kept, weights_only=True))
        return encoder
    encoder = train_text_encoder(vocabulary, steps=recipe.text_steps, seed=_SEEDS["text encoder"], batch=recipe.batch)
    torch.save(encoder.state_dict(), kept)
    return encoder


def _lessons(
    recipe: Recipe, autoencoder: Autoencoder, encoder: TextEncoder, vocabulary: Vocabulary, kept: Path
) -> list[Lesson]:
    if kept.exists():
        lessons: list[Lesson] = torch.load(kept, weights_only=False)
        return lessons
    lessons = make_lessons(
        autoencoder, encoder, vocabulary, count=recipe.lessons, batch=recipe.batch, seed=_SEEDS["lessons"]
    )
    torch.save(lessons, kept)
    return lessons


def _denoiser(recipe: Recipe, lessons: list[Lesson], kept: Path) -> DenoiserTraining:
    training = DenoiserTraining(lessons, steps=recipe.denoiser_steps, seed=_SEEDS["denoiser"])
    if kept.exists():
        training.load_state_dict(torch.load(kept, weights_only=True))
        _log.info("denoiser taken up at step %d", training.step_index)
    while training.step_index < recipe.denoiser_steps:
        training.run(min(_SAVE_EVERY, recipe.denoiser_steps - training.step_index))
        torch.save(training.state_dict(), kept)
    return training
