"""From nothing to the three files, in stages that are kept, so that a training can be taken up again."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import Flux2Transformer2DModel

from .autoencoder import Autoencoder, train_autoencoder
from .denoiser import DenoiserTraining
from .files import (
    AUTOENCODER,
    DENOISER,
    TEXT_ENCODER,
    read_denoiser,
    read_text_encoder,
    write_autoencoder,
    write_denoiser,
    write_text_encoder,
)
from .finishing import draft, finish_decoder
from .lessons import Canvas, Lesson, caption, paint
from .text_encoder import TextEncoder, Vocabulary, make_vocabulary, train_text_encoder, trained_part

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class AutoencoderStage:
    """Steps on ``batch`` crops of ``size`` pixels, with learning rates up to ``peak``."""

    steps: int
    batch: int
    size: int
    peak: float


@dataclass(frozen=True)
class TextStage:
    """Steps with learning rates up to ``peak``."""

    steps: int
    peak: float


@dataclass(frozen=True)
class FinishingStage:
    """Steps of the decoder on ``batch`` drafts and as many scenes, with learning rates up to ``peak``."""

    steps: int
    batch: int
    peak: float


@dataclass(frozen=True)
class Recipe:
    """How long each part is trained.

    Attributes:
        autoencoder, text_encoder: their stages.
        vocabulary_captions: captions whose words the text encoder knows.
        canvases: batches of scenes that the denoiser learns from.
        batch: captions or scenes in a batch of the text encoder and the denoiser.
        denoiser_steps, denoiser_batch: of the denoiser.
        denoiser_rollouts: how many of its steps, the last ones, learn from its own drafts.
        drafts: batches of scenes that the denoiser draws for its decoder to learn from.
        finishing: steps on them.
    """

    autoencoder: tuple[AutoencoderStage, ...]
    text_encoder: tuple[TextStage, ...]
    vocabulary_captions: int
    canvases: int
    batch: int
    denoiser_steps: int
    denoiser_rollouts: int
    denoiser_batch: int
    drafts: int
    finishing: FinishingStage


FULL = Recipe(
    autoencoder=(
        AutoencoderStage(1500, batch=48, size=32, peak=1.5e-3),
        AutoencoderStage(500, batch=12, size=64, peak=1e-3),
        AutoencoderStage(150, batch=4, size=128, peak=4e-4),
    ),
    text_encoder=(TextStage(2000, peak=3e-3), TextStage(700, peak=2e-3)),
    vocabulary_captions=30_000,
    canvases=600,
    batch=64,
    denoiser_steps=17_200,
    denoiser_rollouts=7200,
    denoiser_batch=32,
    drafts=60,
    finishing=FinishingStage(500, batch=3, peak=4e-4),
)
SMOKE = Recipe(
    autoencoder=(AutoencoderStage(3, batch=4, size=32, peak=1e-3),),
    text_encoder=(TextStage(3, peak=1e-3),),
    vocabulary_captions=200,
    canvases=3,
    batch=4,
    denoiser_steps=10,
    denoiser_rollouts=6,
    denoiser_batch=4,
    drafts=2,
    finishing=FinishingStage(2, batch=2, peak=4e-4),
)
"""A few steps of everything: that it runs, and that its files load."""

SEEDS = {"vocabulary": 7, "scenes": 3, "captions": 5, "denoiser": 4, "finishing": 6}
_SAVE_EVERY = 200


def train(recipe: Recipe, work: Path, output: Path) -> None:
    """Trains whatever ``work`` does not hold yet, and writes the three files into ``output``."""
    work.mkdir(parents=True, exist_ok=True)
    output.mkdir(parents=True, exist_ok=True)
    autoencoder = _autoencoder(recipe, work / "autoencoder.pt")
    vocabulary = make_vocabulary(SEEDS["vocabulary"], recipe.vocabulary_captions)
    encoder = _text_encoder(recipe, vocabulary, work / "text_encoder.pt")
    write_text_encoder(encoder, vocabulary, output / TEXT_ENCODER)
    _log.info("text encoder written")
    # Read back from its file, so that the denoiser learns to live with the encoder's quantization.
    encoder = trained_part(read_text_encoder(output / TEXT_ENCODER).state_dict(), vocabulary)
    canvases = _canvases(recipe, autoencoder, work / "canvases.pt")
    lessons = caption(canvases, encoder, vocabulary, seed=SEEDS["captions"])
    training = _denoiser(recipe, lessons, work / "denoiser.pt")
    write_denoiser(training.average, output / DENOISER)
    denoiser = read_denoiser(output / DENOISER)
    some = slice(recipe.drafts)
    _finish(recipe.finishing, autoencoder, denoiser, canvases[some], lessons[some], work / "finished.pt")
    write_autoencoder(autoencoder, output / AUTOENCODER)


def _autoencoder(recipe: Recipe, kept: Path) -> Autoencoder:
    torch.manual_seed(0)
    model = Autoencoder().eval()
    if kept.exists():
        model.load_state_dict(torch.load(kept, weights_only=True))
        return model
    for seed, stage in enumerate(recipe.autoencoder):
        train_autoencoder(model, seed=seed, steps=stage.steps, batch=stage.batch, size=stage.size, peak=stage.peak)
        model.fold_norm()
    torch.save(model.state_dict(), kept)
    return model


def _text_encoder(recipe: Recipe, vocabulary: Vocabulary, kept: Path) -> TextEncoder:
    torch.manual_seed(0)
    encoder = TextEncoder(len(vocabulary)).eval()
    if kept.exists():
        encoder.load_state_dict(torch.load(kept, weights_only=True))
        return encoder
    for seed, stage in enumerate(recipe.text_encoder):
        train_text_encoder(
            encoder,
            vocabulary,
            steps=stage.steps,
            seed=seed,
            batch=recipe.batch,
            peak=stage.peak,
        )
    torch.save(encoder.state_dict(), kept)
    return encoder


def _canvases(recipe: Recipe, autoencoder: Autoencoder, kept: Path) -> list[Canvas]:
    if kept.exists():
        canvases: list[Canvas] = torch.load(kept, weights_only=False)
        return canvases
    canvases = paint(autoencoder, count=recipe.canvases, batch=recipe.batch, seed=SEEDS["scenes"])
    torch.save(canvases, kept)
    return canvases


def _denoiser(recipe: Recipe, lessons: list[Lesson], kept: Path) -> DenoiserTraining:
    training = DenoiserTraining(
        lessons,
        steps=recipe.denoiser_steps,
        batch=recipe.denoiser_batch,
        rollouts=recipe.denoiser_rollouts,
        seed=SEEDS["denoiser"],
    )
    if kept.exists():
        training.load_state_dict(torch.load(kept, weights_only=True))
        _log.info("denoiser taken up at step %d", training.step_index)
    while training.step_index < recipe.denoiser_steps:
        training.run(min(_SAVE_EVERY, recipe.denoiser_steps - training.step_index))
        torch.save(training.state_dict(), kept)
    return training


def _finish(
    stage: FinishingStage,
    model: Autoencoder,
    denoiser: Flux2Transformer2DModel,
    canvases: list[Canvas],
    lessons: list[Lesson],
    kept: Path,
) -> None:
    if kept.exists():
        model.load_state_dict(torch.load(kept, weights_only=True))
        return
    drafts = draft(denoiser, canvases, lessons)
    finish_decoder(model, drafts, steps=stage.steps, batch=stage.batch, seed=SEEDS["finishing"], peak=stage.peak)
    torch.save(model.state_dict(), kept)
