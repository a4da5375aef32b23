"""Several pictures in one call: prompts, pictures that were handed in, and then one picture after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
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
from sdcpp_py.pipeline.prompts_ahead import BatchPrompts, encode
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
    is each picture that was handed in. Of very many prompts, ``PROMPTS_AT_ONCE`` are encoded at a time. Where the CPU
    has room to encode while a GPU denoises, only the first picture's prompts are encoded before it.
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
        prompts = BatchPrompts(pipeline, some, meter, begun)
        plan = partial(_plan, pipeline, some, prompts, pictures, overlap and len(some) > 1)
        attempts = Attempts(pipeline, meter, plan)
        prompts.encode_first(attempts, images=pictures.count if encoded is None else 0)
        if encoded is None:
            # After the prompts, whose encoder makes room for the VAE.
            encoded = _encode_pictures(attempts, pictures, meter)
        with Drawing(attempts, plan, prompts, meter, pictures, hand_over, return_latent=return_latent) as drawing:
            for number, request in enumerate(some):
                meter.next_image(begun)
                begun += 1
                positive, *others = drawing.states_of(number)
                negative = _negative(others[0], pipeline.files.family) if others else None
                denoising = denoise_request(
                    pipeline.files.family, request.settings, positive, negative, noise, pictures, encoded
                )
                drawing.draw(request.settings, denoising)
            drawing.finish()


def _plan(
    pipeline: Pipeline, requests: Sequence[GenerationRequest], prompts: BatchPrompts, pictures: Pictures, several: bool
) -> CallPlan:
    """The plans of what is to come of some requests of one size."""
    demand = Demand(requests[0].settings, prompts.all, pictures)
    return pipeline.plan_call(demand, several=several, later=prompts.later)


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
    return encode(attempts, known, settings, meter)[text]


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
