"""The arguments that several functions take alike, by name. ``Generator.generate`` describes them."""

from __future__ import annotations

from collections.abc import Sequence

from sdcpp_py.images.loading import ImageInput
from sdcpp_py.images.resizing import Resize
from sdcpp_py.prompts.encoded import EncodedPrompt
from sdcpp_py.settings import SettingsArguments


class GenerationArguments(SettingsArguments, total=False):
    """What decides a picture, besides its prompt: the options, and pictures that are handed in."""

    negative_prompt: str | EncodedPrompt | None
    image: ImageInput | None
    mask: ImageInput | None
    reference_images: ImageInput | Sequence[ImageInput] | None
    resize: Resize | None
    keep_unmasked: bool
