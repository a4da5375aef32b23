"""The arguments that several functions take alike, by name. ``Generator.generate`` describes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sdcpp_py.errors import SettingsError
from sdcpp_py.images.loading import ImageInput
from sdcpp_py.images.resizing import Resize
from sdcpp_py.models.families import Family
from sdcpp_py.models.loras import Lora, LoraInput, given_loras
from sdcpp_py.models.prompt_loras import loras_in_prompt
from sdcpp_py.progress import Phase
from sdcpp_py.prompts.encoded import EncodedPrompt
from sdcpp_py.settings import OPTIONS, GenerationSettings, SettingsArguments
from sdcpp_py.system.paths import StrPath


class GenerationArguments(SettingsArguments, total=False):
    """What decides a picture, besides its prompt: the options, and pictures that are handed in."""

    negative_prompt: str | EncodedPrompt | None
    image: ImageInput | None
    mask: ImageInput | None
    reference_images: ImageInput | Sequence[ImageInput] | None
    loras: LoraInput | Sequence[LoraInput] | None
    lora_dir: StrPath | None
    resize: Resize | None
    keep_unmasked: bool


GENERATION = tuple(GenerationArguments.__annotations__)
"""The keyword arguments that decide a picture, in the order in which ``help`` shows them."""
ENCODING = tuple(name for name, option in OPTIONS.items() if option.phase is Phase.ENCODE)
"""The options that decide what encoding a prompt gives."""


def prompt_and_loras(
    prompt: Any, arguments: Mapping[str, Any], default: tuple[Lora, ...] = ()
) -> tuple[Any, tuple[Lora, ...]]:
    """The LoRAs that a call names in its arguments ``loras`` and, where there is a ``lora_dir``, in its prompts.

    Without ``loras``, the default are meant.

    Returns what was given as ``prompt`` (a prompt, whole settings, or a list of these) without them, and the LoRAs.
    Raises SettingsError, also where the prompts of one call name different ones.
    """
    given, folder = given_loras(arguments.get("loras"), default), arguments.get("lora_dir")
    if folder is None:
        return prompt, given
    if not isinstance(prompt, Sequence) or isinstance(prompt, str):
        plain, found = _without_loras(prompt, folder)
        return plain, given_loras((*given, *found))
    several = [_without_loras(one, folder) for one in prompt]
    if any(found != several[0][1] for _, found in several):
        raise SettingsError(
            "the prompts name different LoRAs, and all pictures of one call have the same; generate them in a call each"
        )
    return [plain for plain, _ in several], given_loras((*given, *(several[0][1] if several else ())))


def _without_loras(prompt: Any, folder: StrPath) -> tuple[Any, tuple[Lora, ...]]:
    text = prompt.prompt if isinstance(prompt, GenerationSettings) else prompt
    if not isinstance(text, str):  # a prompt embedding, or what is refused later
        return prompt, ()
    plain, found = loras_in_prompt(text, folder)
    return prompt.replace(prompt=plain) if isinstance(prompt, GenerationSettings) else plain, found


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
