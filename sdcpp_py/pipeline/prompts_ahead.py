"""The prompts of a call: encoded before its first picture, or while pictures before theirs are denoised."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from numpy.typing import NDArray

from sdcpp_py.memory.plan import CallPlan
from sdcpp_py.memory.requirements import encode_request
from sdcpp_py.pipeline.engine_beside import Job
from sdcpp_py.pipeline.other_half import OtherHalf
from sdcpp_py.pipeline.pipeline import Pipeline
from sdcpp_py.pipeline.progress_meter import Meter
from sdcpp_py.pipeline.recovery import Attempts
from sdcpp_py.pipeline.wanted import GenerationRequest
from sdcpp_py.progress import Phase
from sdcpp_py.prompts.encoded import EncodedPrompt
from sdcpp_py.settings import GenerationSettings


@dataclass
class Ahead:
    """Prompts of a later picture that the engine beside encodes.

    Attributes:
        jobs: one for each.
        meter: of them.
    """

    jobs: list[Job]
    meter: Meter

    @property
    def over(self) -> bool:
        """Whether all are encoded, or no more will be."""
        return all(job.over for job in self.jobs)

    @property
    def failed(self) -> bool:
        """Whether some could not be encoded there."""
        return any(job.failed for job in self.jobs)


class BatchPrompts:
    """The prompts of pictures of one plan, by the pictures' numbers from 0.

    Args:
        pipeline: the open model.
        requests: the pictures.
        meter: of the call.
        first: the number of the first picture within the call.

    Raises ModelMismatchError where one was encoded for another model.
    """

    def __init__(self, pipeline: Pipeline, requests: Sequence[GenerationRequest], meter: Meter, first: int = 0) -> None:
        self._pipeline = pipeline
        self._requests = requests
        self._meter = meter
        self._first = first
        self._settings = requests[0].settings
        self._known = _known(pipeline, requests)
        self._states = {text: found for text, found in self._known.items() if found is not None}
        self._ahead: dict[int, Ahead] = {}
        self._at = 0

    @property
    def all(self) -> tuple[str | EncodedPrompt, ...]:
        """Each once: its states, or as text where they are still missing."""
        wanted = dict.fromkeys(prompt for request in self._requests for prompt in request.prompts)
        return tuple(self._states.get(prompt, prompt) if isinstance(prompt, str) else prompt for prompt in wanted)

    @property
    def later(self) -> bool:
        """Whether pictures after the one whose turn it is have prompts that are to be encoded for them."""
        now = self._missing(self._at)
        return any(text not in now for number in range(len(self._requests)) for text in self._missing(number))

    def of(self, number: int) -> list[EncodedPrompt]:
        """The states for a picture."""
        prompts = self._requests[number].prompts
        return [self._states[prompt] if isinstance(prompt, str) else prompt for prompt in prompts]

    def encode_first(self, attempts: Attempts[CallPlan], *, images: int) -> None:
        """Encodes what is to be encoded before the first picture: its own prompts, or all.

        ``images``: how many pictures will be encoded after them, in the same phase.
        """
        texts = list(self._known)
        if attempts.plans(Phase.ENCODE).computes_beside("text_encoder"):
            texts = [text for text in self._requests[0].prompts if isinstance(text, str)]
        known = {text: self._known[text] for text in texts}
        self._states.update(encode(attempts, known, self._settings, self._meter, images=images))

    def begin(self, number: int) -> Ahead | None:
        """Says that a picture's turn has come. Returns what was begun for it ahead."""
        self._at = number
        return self._ahead.pop(number, None)

    def encode_missing(self, attempts: Attempts[CallPlan]) -> None:
        """Encodes what is still missing for the picture whose turn it is."""
        missing = dict.fromkeys(self._missing(self._at))
        self._states.update(encode(attempts, missing, self._settings, self._meter))

    @property
    def missing(self) -> bool:
        """Whether states are missing for the picture whose turn it is."""
        return bool(self._missing(self._at))

    def encode_ahead(self, half: OtherHalf) -> None:
        """Begins to encode the prompts of the next picture that lacks states, where nothing is encoded ahead now."""
        if not half.works or not all(ahead.over for ahead in self._ahead.values()):
            return
        for number in range(self._at + 1, len(self._requests)):
            texts = self._missing(number)
            if texts:
                meter = self._meter.ahead(self._first + number, len(texts))
                self._ahead[number] = Ahead([self._job(text, meter) for text in texts], meter)
                for job in self._ahead[number].jobs:
                    half.add(job)
                return

    def _job(self, text: str, meter: Meter) -> Job:
        request = encode_request(self._pipeline.files, text, self._settings)
        return Job("text_encoder", request, meter.listen, partial(self._keep, text))

    def _keep(self, text: str, arrays: dict[str, NDArray[Any]]) -> None:
        self._states[text] = self._pipeline.keep(text, arrays, self._settings)

    def _missing(self, number: int) -> list[str]:
        texts = dict.fromkeys(text for text in self._requests[number].prompts if isinstance(text, str))
        return [text for text in texts if text not in self._states]


def encode(
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
    def work(plans: CallPlan) -> EncodedPrompt:
        assert plans.encoding is not None
        return attempts.pipeline.encode(text, settings, plans.encoding, meter)

    return attempts.do(Phase.ENCODE, work)


def _known(pipeline: Pipeline, requests: Sequence[GenerationRequest]) -> dict[str, EncodedPrompt | None]:
    """The texts of some requests, each once, with what was kept of them."""
    wanted = [prompt for request in requests for prompt in request.prompts]
    for prompt in wanted:
        if isinstance(prompt, EncodedPrompt):
            pipeline.check_encoded(prompt)
    return {text: pipeline.known(text, requests[0].settings) for text in wanted if isinstance(text, str)}
