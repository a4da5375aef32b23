"""Prompts as the denoiser reads them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray


@dataclass(frozen=True)
class EncodedPrompt:
    """What the text encoder made of a prompt.

    Attributes:
        prompt: the prompt.
        family: name of the model family it was encoded for. Families read different layers of the same encoder, so an
            encoded prompt serves only its own.
        arrays: the states by name. "crossattn" is float32 of shape (tokens, width): for FLUX.2 Klein always 512 tokens
            and three layers' states side by side, for Z-Image as many tokens as the prompt has.
    """

    prompt: str
    family: str
    arrays: Mapping[str, NDArray[Any]]
