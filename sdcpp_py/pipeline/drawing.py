"""From prompts to pictures: one after the other, or with a CPU that decodes and encodes while a GPU denoises."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sdcpp_py._native.library import engine_commit
from sdcpp_py._native.requests import DecodeRequest, DenoiseRequest
from sdcpp_py.errors import GenerationCancelled, SdcppError
from sdcpp_py.images.conditioning import Pictures
from sdcpp_py.images.loading import composited
from sdcpp_py.images.result import GeneratedImage
from sdcpp_py.images.soundness import fault_of
from sdcpp_py.memory.plan import CallPlan
from sdcpp_py.pipeline.decoding import Pixels, decode, warn_of_fault
from sdcpp_py.pipeline.engine_beside import Job
from sdcpp_py.pipeline.other_half import OtherHalf
from sdcpp_py.pipeline.progress_meter import Meter
from sdcpp_py.pipeline.prompts_ahead import BatchPrompts
from sdcpp_py.pipeline.recovery import Attempts
from sdcpp_py.progress import GenerationEvent, Phase
from sdcpp_py.prompts.encoded import EncodedPrompt
from sdcpp_py.settings import GenerationSettings


@dataclass
class _Denoised:
    """A picture whose latent is there.

    Attributes:
        settings, latent: of it.
        events: that happened on the way.
        meter: of it alone.
        tile: edge in pixels of the tiles that it is decoded in; 0: in one piece.
        pixels: what the engine beside gave.
        job: of that engine; None where it is not asked.
    """

    settings: GenerationSettings
    latent: NDArray[np.float32]
    events: tuple[GenerationEvent, ...]
    meter: Meter
    tile: int = 0
    pixels: Pixels | None = None
    job: Job | None = None

    def take(self, found: dict[str, NDArray[Any]]) -> None:
        """Takes what the engine beside gives."""
        self.pixels = found["image"]


class Drawing:
    """Draws pictures of one plan, and hands each over, in their order. To be closed: a context manager.

    Where the plans say so, an engine beside that of the pipeline decodes a picture while the next one is denoised, and
    encodes the prompts of the one after. Everything happens in the thread that draws: the engine beside is listened to
    between the reports of the other one.

    Args:
        attempts: of the call; plans are made by it.
        plan: makes plans of the pictures that are still to come.
        prompts: of the pictures.
        meter: of the call.
        pictures: that were handed in.
        hand_over: takes each picture.
        return_latent: whether pictures have their latents.
    """

    def __init__(
        self,
        attempts: Attempts[CallPlan],
        plan: Callable[[], CallPlan],
        prompts: BatchPrompts,
        meter: Meter,
        pictures: Pictures,
        hand_over: Callable[[GeneratedImage], object],
        *,
        return_latent: bool,
    ) -> None:
        self._attempts = attempts
        self._plan = plan
        self._prompts = prompts
        self._pipeline = attempts.pipeline
        self._meter = meter
        self._pictures = pictures
        self._hand_over = hand_over
        self._return_latent = return_latent
        self._half = OtherHalf(self._pipeline, meter.check)
        self._pending: _Denoised | None = None

    def __enter__(self) -> Drawing:
        self._meter.between = self._look_beside
        self._attempts.plan_by(self._plan_anew)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        # What is left of a call refers to no drawing, nor to a generator that nobody has any more.
        self._meter.between = lambda: None
        self._attempts.plan_by(self._plan)
        self._half.end()

    def states_of(self, number: int) -> list[EncodedPrompt]:
        """What the prompts of the picture whose turn it is are as states: waited for or encoded now, if need be.

        Where that fails, pictures before it have been handed over.
        """
        ahead = self._prompts.begin(number)
        if ahead is not None:
            ahead.meter.let_out()
            while not ahead.over:
                self._half.wait()
                self._hand_over_decoded()
            if ahead.failed:
                ahead.meter.break_off()
            self._meter.join(ahead.meter)
        if self._prompts.missing:
            # Nothing is beside the text encoder in the plan for it.
            self.finish()
            self._half.end()
            self._prompts.encode_missing(self._attempts)
        return self._prompts.of(number)

    def draw(self, settings: GenerationSettings, denoising: DenoiseRequest) -> None:
        """Denoises a picture, and decodes it or begins to. Pictures before it have been handed over then."""
        try:
            latent = self._attempts.do(Phase.DENOISE, lambda plans: self._denoise(denoising, plans))
        except SdcppError as error:
            # The picture before would have been handed over by now.
            if not isinstance(error, GenerationCancelled):
                self.finish()
            raise
        denoised = _Denoised(settings, latent, self._attempts.take_events(), self._meter)
        self.finish()
        plans = self._attempts.plans(Phase.DECODE)
        if plans.computes_beside("vae") and self._half.works:
            self._begin(denoised, plans.generating.vae_tile_size)
        else:
            self._settle(denoised)

    def _denoise(self, request: DenoiseRequest, plans: CallPlan) -> NDArray[np.float32]:
        def beside() -> None:
            if plans.computes_beside("text_encoder"):
                self._prompts.encode_ahead(self._half)

        return self._pipeline.denoise(request, plans.generating, self._meter, beside)

    def finish(self) -> None:
        """Waits for the picture that is decoded beside, if there is one, and hands it over."""
        denoised = self._pending
        if denoised is not None:
            assert denoised.job is not None
            denoised.meter.let_out()
            while not denoised.job.over:
                self._half.wait()
            self._settle(denoised)

    def _plan_anew(self) -> CallPlan:
        """Plans once nothing is done beside, and what that takes is free."""
        self._half.finish()
        self._half.end()
        return self._plan()

    def _begin(self, denoised: _Denoised, tile: int) -> None:
        denoised.meter, denoised.tile = self._meter.split(Phase.DECODE), tile
        request = DecodeRequest(denoised.latent, tile // self._pipeline.files.family.pixels_per_latent)
        denoised.job = Job("vae", request, denoised.meter.listen, denoised.take)
        self._pending = denoised
        self._half.add(denoised.job)
        if denoised.job.failed:
            self.finish()

    def _look_beside(self) -> None:
        """Between two reports of the denoiser: hands the picture before over, if it is there."""
        self._half.hear()
        self._hand_over_decoded()

    def _hand_over_decoded(self) -> None:
        denoised = self._pending
        if denoised is not None and denoised.pixels is not None:
            self._settle(denoised)

    def _settle(self, denoised: _Denoised) -> None:
        """Hands over a picture: as the engine beside has decoded it, or decoded here, where that did not or failed."""
        self._pending = None
        if denoised.job is not None and denoised.job.failed:
            denoised.meter.break_off()
        denoised.meter.let_out()
        others = self._attempts.take_events(denoised.events)
        pixels, tile = denoised.pixels, denoised.tile
        if pixels is None:
            pixels, tile = decode(self._attempts, denoised.latent, denoised.meter)
        else:
            warn_of_fault(self._attempts, fault_of(pixels, denoised.latent), "cpu")
        self._complete(denoised, pixels, tile, self._attempts.take_events(others))

    def _complete(self, denoised: _Denoised, pixels: Pixels, tile: int, events: tuple[GenerationEvent, ...]) -> None:
        pictures = self._pictures
        if pictures.mask is not None and pictures.image is not None and pictures.keep_unmasked:
            pixels = composited(pixels, pictures.image, pictures.mask)
        picture = GeneratedImage(
            image=Image.fromarray(pixels),
            settings=denoised.settings.replace(vae_tile_size=tile),
            timings=denoised.meter.take_timings(),
            model=self._pipeline.files.names,
            engine=engine_commit(),
            events=events,
            loras=self._pipeline.loras.records,
            latent=denoised.latent if self._return_latent else None,
        )
        self._hand_over(picture)
