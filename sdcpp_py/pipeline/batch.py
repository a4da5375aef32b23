"""Several pictures in one call: all prompts are encoded first, and then the pictures are generated."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sdcpp_py.errors import SettingsError
from sdcpp_py.images.conditioning import EncodedPictures, GivenPictures, Pictures
from sdcpp_py.images.gallery import GeneratedImages
from sdcpp_py.images.result import GeneratedImage
from sdcpp_py.memory.plan import MemoryPlan
from sdcpp_py.memory.requirements import Demand
from sdcpp_py.models.families import Family
from sdcpp_py.naming import named
from sdcpp_py.pipeline.effects import tell
from sdcpp_py.pipeline.pipeline import Pipeline
from sdcpp_py.pipeline.progress_meter import Meter
from sdcpp_py.progress import Phase
from sdcpp_py.prompts.encoded import EncodedPrompt
from sdcpp_py.settings import MAX_SEED, MIN_EDGE, GenerationSettings, check_whole

MAX_PICTURES = 10_000
PROMPTS_AT_ONCE = 64

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
    """The requests and the pictures that the arguments of ``Generator.generate`` make.

    Raises SettingsError, ImageError, ImageNotFoundError.
    """
    given = dict(arguments)
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


def generate_images(
    pipeline: Pipeline,
    requests: Sequence[GenerationRequest],
    meter: Meter,
    pictures: Pictures,
    *,
    noise: NDArray[np.float32] | None = None,
    return_latent: bool = False,
    on_image: Callable[[GeneratedImage], object] | None = None,
) -> list[GeneratedImage]:
    """Generates pictures.

    Each prompt is encoded once, before the first picture, so that the text encoder can make room for the series, and so
    is each picture that was handed in. Of very many prompts, ``PROMPTS_AT_ONCE`` are encoded at a time.
    """
    tell(pipeline.told, (request.settings for request in requests), pipeline.files.family)
    generated = GeneratedImages()
    encoded: EncodedPictures | None = None
    for some in _portions(requests):
        known = _known(pipeline, some)
        plans = pipeline.plan_call(_demand(some, known, pictures))
        images = pictures.count if encoded is None else 0
        states = _encode(pipeline, known, some[0].settings, plans.encoding, meter, images=images)
        if encoded is None:
            # After the prompts, whose encoder makes room for the VAE.
            encoded = pipeline.encode_pictures(pictures, plans.generating, meter)
        for request in some:
            meter.next_image(len(generated))
            prompts = [prompt if isinstance(prompt, EncodedPrompt) else states[prompt] for prompt in request.prompts]
            negative = _negative(prompts[1], pipeline.files.family) if len(prompts) > 1 else None
            picture = pipeline.denoise_and_decode(
                request.settings,
                prompts[0],
                negative,
                plans.generating,
                noise=noise,
                pictures=pictures,
                encoded=encoded,
                return_latent=return_latent,
                meter=meter,
            )
            generated.append(picture)
            if on_image is not None:
                on_image(picture)
    return generated


def encode_prompt(pipeline: Pipeline, settings: GenerationSettings, meter: Meter) -> EncodedPrompt:
    """The states for a prompt, kept or computed, with no picture in mind."""
    # What denoising takes does not matter here: the smallest picture does, unless states hold its size.
    if not pipeline.files.family.prompts_have_sizes:
        settings = settings.replace(width=MIN_EDGE, height=MIN_EDGE)
    text = settings.prompt
    known = {text: pipeline.known(text, settings)}
    plans = pipeline.plan_call(Demand(settings, (known[text] or text,)))
    return _encode(pipeline, known, settings, plans.encoding, meter)[text]


def _negative(prompt: EncodedPrompt, family: Family) -> EncodedPrompt:
    """A negative prompt as the family reads it."""
    if prompt.prompt or not family.empty_is_nothing:
        return prompt
    nothing = np.zeros_like(prompt.arrays["crossattn"])
    return replace(prompt, arrays={**prompt.arrays, "crossattn": nothing})


def _portions(requests: Sequence[GenerationRequest]) -> Iterator[list[GenerationRequest]]:
    """Requests of one plan, with so few prompts that their states, some 15 MiB each, do not fill the memory."""
    portion: list[GenerationRequest] = []
    texts: set[Prompt] = set()
    for request in requests:
        other_plan = portion and _planned_by(request) != _planned_by(portion[0])
        if other_plan or (portion and len(texts | set(request.prompts)) > PROMPTS_AT_ONCE):
            yield portion
            portion, texts = [], set()
        portion.append(request)
        texts |= set(request.prompts)
    yield portion


def _planned_by(request: GenerationRequest) -> dict[str, Any]:
    """The options that a plan and the prompts' states depend on."""
    return {**request.settings.of_phase(Phase.ENCODE), **request.settings.of_phase(Phase.DECODE)}


def _size_of(request: GenerationRequest) -> tuple[int, int]:
    return request.settings.width, request.settings.height


def _known(pipeline: Pipeline, requests: Sequence[GenerationRequest]) -> dict[str, EncodedPrompt | None]:
    """The texts of some requests, each once, with what was kept of them."""
    wanted = [prompt for request in requests for prompt in request.prompts]
    for prompt in wanted:
        if isinstance(prompt, EncodedPrompt):
            pipeline.check_encoded(prompt)
    return {text: pipeline.known(text, requests[0].settings) for text in wanted if isinstance(text, str)}


def _demand(
    requests: Sequence[GenerationRequest], known: Mapping[str, EncodedPrompt | None], pictures: Pictures
) -> Demand:
    """What some requests of one size take of memory."""
    wanted = dict.fromkeys(prompt for request in requests for prompt in request.prompts)
    prompts = tuple((known[prompt] or prompt) if isinstance(prompt, str) else prompt for prompt in wanted)
    return Demand(requests[0].settings, prompts, pictures)


def _encode(
    pipeline: Pipeline,
    known: Mapping[str, EncodedPrompt | None],
    settings: GenerationSettings,
    plan: MemoryPlan | None,
    meter: Meter,
    *,
    images: int = 0,
) -> dict[str, EncodedPrompt]:
    """What the text encoder makes of texts.

    Args:
        pipeline: the open model.
        known: the texts, each with what was kept of it.
        settings: of their pictures.
        plan: while it is computed; None where all were kept.
        meter: hears of it.
        images: how many pictures will be encoded after the texts, in the same phase.
    """
    if known or images:
        meter.expect_prompts(len(known) + images)
    states: dict[str, EncodedPrompt] = {}
    # Those to be computed come first: weights may have to be loaded for them, and phases are reported in order.
    for text, found in known.items():
        if found is None:
            assert plan is not None
            states[text] = pipeline.encode(text, settings, plan, meter)
    for text, found in known.items():
        if found is not None:
            meter.encoded_before()
            states[text] = found
    return states
