"""The arguments that several functions take alike, by name. ``Generator.generate`` describes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sdcpp_py.errors import SettingsError
from sdcpp_py.images.loading import ImageInput
from sdcpp_py.images.resizing import Resize
from sdcpp_py.models.loras import Lora, LoraInput, given_loras
from sdcpp_py.models.prompt_loras import loras_in_prompt
from sdcpp_py.progress import Phase
from sdcpp_py.prompts.encoded import EncodedPrompt
from sdcpp_py.settings import OPTIONS, GenerationSettings, SettingsArguments
from sdcpp_py.system.paths import StrPath


class EncodingArguments(SettingsArguments, total=False):
    """What decides a prompt's states, besides its text."""

    loras: LoraInput | Sequence[LoraInput] | None
    lora_dir: StrPath | None


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
LORAS = ("loras", "lora_dir")
"""Those that say which LoRAs are applied."""
ENCODING = (*(name for name, option in OPTIONS.items() if option.phase is Phase.ENCODE), *LORAS)
"""Those that decide what encoding a prompt gives."""


def without_loras(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments but those that say which LoRAs are applied."""
    return {name: value for name, value in arguments.items() if name not in LORAS}


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
