"""Several pictures in one call: all prompts are encoded first, and then the pictures are generated."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sdcpp_py.images.conditioning import EncodedPictures, Pictures
from sdcpp_py.images.result import GeneratedImage
from sdcpp_py.memory.plan import CallPlan
from sdcpp_py.memory.requirements import Demand
from sdcpp_py.models.families import Family
from sdcpp_py.models.loras import Lora
from sdcpp_py.pipeline.denoising import denoise_request
from sdcpp_py.pipeline.drawing import Drawing
from sdcpp_py.pipeline.effects import tell
from sdcpp_py.pipeline.pipeline import Pipeline
from sdcpp_py.pipeline.progress_meter import Meter
from sdcpp_py.pipeline.recovery import Attempts
from sdcpp_py.pipeline.wanted import GenerationRequest, Prompt
from sdcpp_py.progress import Phase
from sdcpp_py.prompts.encoded import EncodedPrompt
from sdcpp_py.settings import MIN_EDGE, GenerationSettings

PROMPTS_AT_ONCE = 64


def generate_images(
    pipeline: Pipeline,
    requests: Sequence[GenerationRequest],
    meter: Meter,
    pictures: Pictures,
    generated: list[GeneratedImage],
    *,
    loras: Sequence[Lora] = (),
    noise: NDArray[np.float32] | None = None,
    return_latent: bool = False,
    on_image: Callable[[GeneratedImage], object] | None = None,
    overlap: bool = True,
) -> None:
    """Generates pictures, each of which is in ``generated`` as soon as it is finished.

    Each prompt is encoded once, before the first picture, so that the text encoder can make room for the series, and so
    is each picture that was handed in. Of very many prompts, ``PROMPTS_AT_ONCE`` are encoded at a time.
    """
    pipeline.wear(loras)
    tell(pipeline.told, (request.settings for request in requests), pipeline.files.family)

    def hand_over(picture: GeneratedImage) -> None:
        generated.append(picture)
        if on_image is not None:
            on_image(picture)

    encoded: EncodedPictures | None = None
    begun = 0
    for some in _portions(requests):
        known = _known(pipeline, some)
        plan = partial(pipeline.plan_call, several=overlap and len(some) > 1)
        attempts = Attempts(pipeline, meter, partial(plan, _demand(some, known, pictures)))
        attempts.plans(Phase.ENCODE)
        images = pictures.count if encoded is None else 0
        states = _encode(attempts, known, some[0].settings, meter, images=images)
        plan = partial(plan, _demand(some, states, pictures))
        attempts.plan_by(plan)
        drawing = Drawing(attempts, plan, meter, pictures, hand_over, return_latent=return_latent)
        if encoded is None:
            # After the prompts, whose encoder makes room for the VAE.
            encoded = _encode_pictures(attempts, pictures, meter)
        with drawing:
            for request in some:
                meter.next_image(begun)
                begun += 1
                prompts = [one if isinstance(one, EncodedPrompt) else states[one] for one in request.prompts]
                negative = _negative(prompts[1], pipeline.files.family) if len(prompts) > 1 else None
                denoising = denoise_request(
                    pipeline.files.family, request.settings, prompts[0], negative, noise, pictures, encoded
                )
                drawing.draw(request.settings, denoising)
            drawing.finish()


def _encode_pictures(attempts: Attempts[CallPlan], pictures: Pictures, meter: Meter) -> EncodedPictures:
    pipeline = attempts.pipeline
    return attempts.do(
        Phase.ENCODE, lambda plans: pipeline.encode_pictures(pictures, plans.generating, meter), part="vae"
    )


def encode_prompt(
    pipeline: Pipeline, settings: GenerationSettings, meter: Meter, loras: Sequence[Lora] = ()
) -> EncodedPrompt:
    """The states for a prompt, kept or computed, with no picture in mind."""
    pipeline.wear(loras)
    # What denoising takes does not matter here: the smallest picture does, unless states hold its size.
    if not pipeline.files.family.prompts_have_sizes:
        settings = settings.replace(width=MIN_EDGE, height=MIN_EDGE)
    text = settings.prompt
    known = {text: pipeline.known(text, settings)}
    attempts = Attempts(pipeline, meter, partial(pipeline.plan_call, Demand(settings, (known[text] or text,))))
    attempts.plans(Phase.ENCODE)
    return _encode(attempts, known, settings, meter)[text]


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
    attempts: Attempts[CallPlan],
    known: Mapping[str, EncodedPrompt | None],
    settings: GenerationSettings,
    meter: Meter,
    *,
    images: int = 0,
) -> dict[str, EncodedPrompt]:
    """What the text encoder makes of texts.

    Args:
        attempts: over the open model.
        known: the texts, each with what was kept of it.
        settings: of their pictures.
        meter: hears of it.
        images: how many pictures will be encoded after the texts, in the same phase.
    """
    if known or images:
        meter.expect_prompts(len(known) + images)
    states: dict[str, EncodedPrompt] = {}
    # Those to be computed come first: weights may have to be loaded for them, and phases are reported in order.
    for text, found in known.items():
        if found is None:
            states[text] = _encode_one(attempts, text, settings, meter)
    for text, found in known.items():
        if found is not None:
            meter.encoded_before()
            states[text] = found
    return states


def _encode_one(attempts: Attempts[CallPlan], text: str, settings: GenerationSettings, meter: Meter) -> EncodedPrompt:
    def encode(plans: CallPlan) -> EncodedPrompt:
        assert plans.encoding is not None
        return attempts.pipeline.encode(text, settings, plans.encoding, meter)

    return attempts.do(Phase.ENCODE, encode)
