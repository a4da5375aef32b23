"""The pictures that a call wants: one request for each, checked, and what was handed in for all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sdcpp_py.errors import SettingsError
from sdcpp_py.images.conditioning import GivenPictures, Pictures
from sdcpp_py.models.families import Family
from sdcpp_py.models.loras import Lora
from sdcpp_py.naming import named
from sdcpp_py.pipeline.arguments import prompt_and_loras, without_loras
from sdcpp_py.prompts.encoded import EncodedPrompt
from sdcpp_py.settings import MAX_SEED, GenerationSettings, check_whole

MAX_PICTURES = 10_000

Prompt = str | EncodedPrompt
"""A prompt, as text or as a prompt embedding."""


@dataclass(frozen=True)
class GenerationRequest:
    """One picture that is wanted.

    Attributes:
        settings: of the picture; its texts are those of the prompts.
        positive, negative: the prompts. The negative one has an effect only where cfg_scale is not 1.
    """

    settings: GenerationSettings
    positive: Prompt
    negative: Prompt

    @classmethod
    def of(
        cls,
        family: Family,
        prompt: Prompt | GenerationSettings,
        negative_prompt: Prompt | None,
        given: Mapping[str, Any],
        defaults: Mapping[str, Any],
    ) -> GenerationRequest:
        """The request that the arguments of ``Generator.generate`` make; values that are None were not given.

        ``defaults``: what pictures that are handed in say, where neither an argument nor whole settings do; whole
        settings of strength 1 count as saying no strength.
        Raises SettingsError.
        """
        text = prompt.prompt if isinstance(prompt, EncodedPrompt) else prompt
        values = {name: value for name, value in given.items() if value is not None}
        if negative_prompt is not None:
            encoded = isinstance(negative_prompt, EncodedPrompt)
            values["negative_prompt"] = negative_prompt.prompt if encoded else negative_prompt  # type: ignore[union-attr]
        if isinstance(text, GenerationSettings):
            # At strength 1, which all settings of pictures without an init image have, an init image plays no
            # part. Whoever wants just that says so with the argument.
            if text.strength == 1 and "strength" in defaults:
                values.setdefault("strength", defaults["strength"])
            settings = text.replace(**values)
            settings.check_for(family)
        else:
            settings = GenerationSettings.for_family(family, text, **{**defaults, **values})
        return cls(
            settings,
            prompt if isinstance(prompt, EncodedPrompt) else settings.prompt,
            negative_prompt if isinstance(negative_prompt, EncodedPrompt) else settings.negative_prompt,
        )

    def with_seed(self, seed: int) -> GenerationRequest:
        """The same with another seed."""
        return replace(self, settings=self.settings.replace(seed=seed))

    @property
    def prompts(self) -> tuple[Prompt, ...]:
        """The prompts that the picture is generated from."""
        return (self.positive,) if self.settings.cfg_scale == 1 else (self.positive, self.negative)


def requests_and_pictures(
    family: Family,
    prompt: Prompt | GenerationSettings | Sequence[Prompt | GenerationSettings],
    count: int,
    arguments: Mapping[str, Any],
) -> tuple[list[GenerationRequest], Pictures]:
    """The requests and the pictures that the arguments of ``Generator.generate`` make, LoRAs aside.

    Raises SettingsError, ImageError, ImageNotFoundError.
    """
    given = without_loras(arguments)
    pictures = GivenPictures.of(
        family,
        given.pop("image", None),
        given.pop("mask", None),
        given.pop("reference_images", None),
        given.pop("resize", None),
        given.pop("keep_unmasked", None) is not False,
    )
    if given.get("strength") is not None and pictures.image is None:
        raise SettingsError(
            f"{named('strength')} is the denoising strength of an init image; give that one as {named('image')}"
        )
    defaults = pictures.defaults()
    try:
        requests = make_requests(family, prompt, given.pop("negative_prompt", None), count, defaults, **given)
    except SettingsError as error:
        own = given.get("width") is not None or given.get("height") is not None
        if not defaults or own or not str(error).startswith((named("width"), named("height"))):
            raise
        shown = f"{defaults['width']}x{defaults['height']}"
        raise SettingsError(
            f"a picture of {shown} cannot be generated ({error}); give {named('resize')} or a size"
        ) from None
    return requests, _fitting(pictures, requests)


def _fitting(pictures: GivenPictures, requests: Sequence[GenerationRequest]) -> Pictures:
    """The pictures in the size of the output. Raises SettingsError where they do not go with each of the requests."""
    sizes = {_size_of(request) for request in requests}
    if not pictures.empty and len(sizes) > 1:
        raise SettingsError("pictures that are handed in go with outputs of one size; these settings have several")
    for request in requests:
        if request.settings.strength < 1 and pictures.image is None:
            raise SettingsError(
                f"{named('strength')} is {request.settings.strength:g}, but there is no init image; give it as "
                f"{named('image')}"
            )
    return pictures.sized(*sizes.pop())


def make_requests(
    family: Family,
    prompt: Prompt | GenerationSettings | Sequence[Prompt | GenerationSettings],
    negative_prompt: Prompt | None,
    count: int = 1,
    defaults: Mapping[str, Any] = MappingProxyType({}),
    **given: Any,
) -> list[GenerationRequest]:
    """``count`` requests of a prompt, or of each of several, with rising seeds; values that are None were not given.

    ``defaults`` are as in ``GenerationRequest.of``. Raises SettingsError.
    """
    several = isinstance(prompt, Sequence) and not isinstance(prompt, str)
    prompts: Sequence[Any] = list(prompt) if several else [prompt]  # type: ignore[arg-type]
    if not prompts:
        raise SettingsError("there is no prompt in the list of prompts")
    if len(prompts) > MAX_PICTURES:
        raise SettingsError(f"there are {len(prompts):,} prompts; give {MAX_PICTURES:,} at most")
    count = check_whole("count", count, 1, MAX_PICTURES // len(prompts))
    requests: list[GenerationRequest] = []
    for one in prompts:
        request = GenerationRequest.of(family, one, negative_prompt, given, defaults)
        first = requests[0].settings.seed if requests else request.settings.seed
        if first > MAX_SEED - count + 1:
            raise SettingsError(f"{named('seed')} + {named('count')} - 1 must not be above {MAX_SEED}; seed is {first}")
        requests += [request.with_seed(first + i) for i in range(count)]
    return requests


def encoding_wanted(
    family: Family, prompt: str, options: Mapping[str, Any], loras: tuple[Lora, ...]
) -> tuple[GenerationSettings, tuple[Lora, ...]]:
    """The settings and the LoRAs that the arguments of ``Generator.encode`` make, whose default ``loras`` are.

    Raises SettingsError.
    """
    plain, loras = prompt_and_loras(prompt, options, loras)
    return make_requests(family, [plain], None, **without_loras(options))[0].settings, loras


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


def _size_of(request: GenerationRequest) -> tuple[int, int]:
    return request.settings.width, request.settings.height
