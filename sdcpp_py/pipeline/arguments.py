"""The arguments that several functions take alike, by name. ``Generator.generate`` describes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

from sdcpp_py.images.loading import ImageInput
from sdcpp_py.images.resizing import Resize
from sdcpp_py.prompts.encoded import EncodedPrompt


class DrawingArguments(TypedDict, total=False):
    """What decides a picture, besides its prompt and seed."""

    negative_prompt: str | EncodedPrompt | None
    width: int | None
    height: int | None
    steps: int | None
    cfg_scale: float | None
    guidance: float | None
    sampler: str | None
    scheduler: str | None
    vae_tile_size: int | None
    image: ImageInput | None
    mask: ImageInput | None
    strength: float | None
    reference_images: ImageInput | Sequence[ImageInput] | None
    resize: Resize | None
    keep_unmasked: bool
