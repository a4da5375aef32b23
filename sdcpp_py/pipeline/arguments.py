"""The arguments that several functions take alike, by name. ``Generator.generate`` describes them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sdcpp_py.errors import SettingsError
from sdcpp_py.images.loading import ImageInput
from sdcpp_py.images.resizing import Resize
from sdcpp_py.models.families import Family
from sdcpp_py.models.loras import LoraInput
from sdcpp_py.progress import Phase
from sdcpp_py.prompts.encoded import EncodedPrompt
from sdcpp_py.settings import OPTIONS, GenerationSettings, SettingsArguments


class GenerationArguments(SettingsArguments, total=False):
    """What decides a picture, besides its prompt: the options, and pictures that are handed in."""

    negative_prompt: str | EncodedPrompt | None
    image: ImageInput | None
    mask: ImageInput | None
    reference_images: ImageInput | Sequence[ImageInput] | None
    loras: LoraInput | Sequence[LoraInput] | None
    resize: Resize | None
    keep_unmasked: bool


GENERATION = tuple(GenerationArguments.__annotations__)
"""The keyword arguments that decide a picture, in the order in which ``help`` shows them."""
ENCODING = tuple(name for name, option in OPTIONS.items() if option.phase is Phase.ENCODE)
"""The options that decide what encoding a prompt gives."""


def check_noise(noise: ArrayLike, family: Family, settings: GenerationSettings) -> NDArray[np.float32]:
    """``noise`` as contiguous float32. Raises SettingsError where it is not finite, or of another shape."""
    shape = family.latent_shape(settings.width, settings.height)
    try:
        array = np.ascontiguousarray(noise, dtype=np.float32)
    except (TypeError, ValueError, OverflowError) as error:
        raise SettingsError(f"noise must be an array of numbers of shape {shape}") from error
    if array.shape != shape:
        raise SettingsError(f"noise must have shape {shape} for a picture of this size, not {array.shape}")
    if not np.isfinite(array).all():
        raise SettingsError("noise must be finite; it holds NaN or infinity")
    return array
