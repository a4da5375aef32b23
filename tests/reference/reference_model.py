"""What the library is compared with: a model in diffusers, and the same model as files. Needs no PyTorch itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class ModelPaths:
    """The three files of a model."""

    diffusion_model: Path
    text_encoder: Path
    vae: Path

    @classmethod
    def inside(cls, folder: Path) -> ModelPaths:
        """Names for the files of a model in ``folder``."""
        return cls(folder / "denoiser.gguf", folder / "qwen3.gguf", folder / "vae.safetensors")


@dataclass(frozen=True)
class Drawing:
    """What a pipeline drew.

    Attributes:
        latent: as the denoiser left it, of shape (channels, rows, columns).
        picture: float32 from 0 to 1 of shape (height, width, 3).
        sigmas: the noise levels that the pipeline visited, the last one 0.
        steps: how often it ran the denoiser.

    """

    latent: NDArray[np.float32]
    picture: NDArray[np.float32]
    sigmas: NDArray[np.float32]
    steps: int


@dataclass(frozen=True)
class ReferenceModel:
    """A diffusers pipeline and the files of the same model."""

    pipeline: Any
    paths: ModelPaths
    encoder: Callable[[Any, str], NDArray[np.float32]]
    drawer: Callable[[Any, str, NDArray[np.float32], int, int, int], Drawing]

    def encode(self, prompt: str) -> NDArray[np.float32]:
        """The text states that the pipeline hands to its denoiser, of shape (tokens, width)."""
        return self.encoder(self.pipeline, prompt)

    def draw(self, prompt: str, noise: NDArray[np.float32], *, width: int, height: int, steps: int) -> Drawing:
        """What the pipeline draws from this noise with its own noise levels."""
        return self.drawer(self.pipeline, prompt, noise, width, height, steps)


def relative_error(value: NDArray[np.float32], reference: NDArray[np.float32]) -> float:
    """Norm of the difference over the norm of the reference."""
    difference = value.astype(np.float64) - reference.astype(np.float64)
    return float(np.linalg.norm(difference) / np.linalg.norm(reference.astype(np.float64)))
