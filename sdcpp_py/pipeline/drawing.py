"""From denoising to pictures: one after the other, or each decoded on the CPU while a GPU denoises the next one."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sdcpp_py._native.library import engine_commit
from sdcpp_py._native.requests import DenoiseRequest
from sdcpp_py.errors import GenerationCancelled, SdcppError
from sdcpp_py.images.conditioning import Pictures
from sdcpp_py.images.loading import composited
from sdcpp_py.images.result import GeneratedImage
from sdcpp_py.images.soundness import fault_of
from sdcpp_py.memory.plan import CallPlan, MemoryPlan
from sdcpp_py.pipeline.decoding import Pixels, decode, warn_of_fault
from sdcpp_py.pipeline.engine_beside import EngineBeside
from sdcpp_py.pipeline.progress_meter import Meter
from sdcpp_py.pipeline.recovery import Attempts
from sdcpp_py.progress import GenerationEvent, Phase
from sdcpp_py.settings import GenerationSettings

logger = logging.getLogger("sdcpp_py")

# How long one wait for the engine beside lasts, where there is nothing else to do. Python notices Ctrl-C in between.
_WAIT_SECONDS = 0.05


@dataclass
class _Denoised:
    """A picture whose latent is there.

    Attributes:
        settings, latent: of it.
        events: that happened on the way.
        meter: of it alone.
        tile: edge in pixels of the tiles that it is decoded in; 0: in one piece.
        pixels: what the engine beside gave.
        failed: whether that engine failed.
    """

    settings: GenerationSettings
    latent: NDArray[np.float32]
    events: tuple[GenerationEvent, ...]
    meter: Meter
    tile: int = 0
    pixels: Pixels | None = None
    failed: bool = False

    @property
    def decoded(self) -> bool:
        """Whether the engine beside has done with it."""
        return self.failed or self.pixels is not None


class Drawing:
    """Draws pictures of one plan, and hands each over, in their order. To be closed: a context manager.

    Where the plans say so, an engine beside that of the pipeline decodes a picture while the next one is denoised.
    Everything happens in the thread that draws: the engine beside is listened to between the reports of the other one.

    Args:
        attempts: of the call; plans are made by it.
        plan: makes plans of the pictures that are still to come.
        meter: of the call.
        pictures: that were handed in.
        hand_over: takes each picture.
        return_latent: whether pictures have their latents.
    """

    def __init__(
        self,
        attempts: Attempts[CallPlan],
        plan: Callable[[], CallPlan],
        meter: Meter,
        pictures: Pictures,
        hand_over: Callable[[GeneratedImage], object],
        *,
        return_latent: bool,
    ) -> None:
        self._attempts = attempts
        self._plan = plan
        self._pipeline = attempts.pipeline
        self._meter = meter
        self._pictures = pictures
        self._hand_over = hand_over
        self._return_latent = return_latent
        self._pending: _Denoised | None = None
        self._may_overlap = True

    def __enter__(self) -> Drawing:
        self._meter.between = self._look_beside
        self._attempts.plan_by(self._plan_anew)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        # What is left of a call refers to no drawing, nor to a generator that nobody has any more.
        self._meter.between = lambda: None
        self._attempts.plan_by(self._plan)
        self._end_beside()

    def draw(self, settings: GenerationSettings, denoising: DenoiseRequest) -> None:
        """Denoises a picture, and decodes it or begins to. Pictures before it have been handed over then."""
        try:
            latent = self._attempts.do(
                Phase.DENOISE, lambda plans: self._pipeline.denoise(denoising, plans.generating, self._meter)
            )
        except SdcppError as error:
            # The picture before would have been handed over by now.
            if not isinstance(error, GenerationCancelled):
                self.finish()
            raise
        denoised = _Denoised(settings, latent, self._attempts.take_events(), self._meter)
        self.finish()
        beside = self._attempts.plans(Phase.DECODE).beside
        if beside is not None and self._may_overlap and self._get_ready(beside, latent):
            self._begin(denoised, beside)
        else:
            self._settle(denoised)

    def finish(self) -> None:
        """Waits for the picture that is decoded beside, if there is one, and hands it over."""
        denoised = self._pending
        if denoised is not None:
            denoised.meter.let_out()
            self._wait(denoised)
            self._settle(denoised)

    def _plan_anew(self) -> CallPlan:
        """Plans once nothing is decoded beside, and what that takes is free."""
        if self._pending is not None:
            self._wait(self._pending)
        self._end_beside()
        return self._plan()

    def _get_ready(self, plan: MemoryPlan, latent: NDArray[np.float32]) -> bool:
        """Whether the engine beside can decode; it is made where there is none."""
        pipeline, options = self._pipeline, self._pipeline.options
        try:
            if pipeline.beside is None:
                pipeline.beside = EngineBeside(pipeline.files, options.threads, options.all_isolated, self._meter.check)
            pipeline.beside.prepare(plan, latent, self._meter.listen)
        except SdcppError as error:
            self._give_up(error)
        return self._may_overlap

    def _begin(self, denoised: _Denoised, plan: MemoryPlan) -> None:
        assert self._pipeline.beside is not None
        denoised.meter = self._meter.split(Phase.DECODE)
        denoised.tile = plan.vae_tile_size
        self._pending = denoised
        try:
            self._pipeline.beside.begin(denoised.latent, plan)
        except SdcppError as error:
            self._fail(denoised, error)

    def _look_beside(self) -> None:
        """Between two reports of the denoiser: hands the picture before over, if it is there."""
        denoised = self._pending
        if denoised is not None:
            self._hear(denoised, 0.0)
            if denoised.pixels is not None:
                self._settle(denoised)

    def _wait(self, denoised: _Denoised) -> None:
        while not denoised.decoded:
            self._meter.check()
            self._hear(denoised, _WAIT_SECONDS)

    def _hear(self, denoised: _Denoised, seconds: float) -> None:
        beside = self._pipeline.beside
        if denoised.decoded or beside is None:
            return
        try:
            denoised.pixels = beside.hear(denoised.meter.listen, seconds)
        except SdcppError as error:
            self._fail(denoised, error)

    def _fail(self, denoised: _Denoised, error: SdcppError) -> None:
        denoised.failed = True
        self._give_up(error)

    def _give_up(self, error: SdcppError) -> None:
        """Decodes what follows after all in the pipeline's own engine, whose errors come out. Cancelled, it raises."""
        if isinstance(error, GenerationCancelled):
            raise error
        logger.info("pictures are decoded one after the other from here on: %s", error)
        self._may_overlap = False
        self._end_beside()

    def _settle(self, denoised: _Denoised) -> None:
        """Hands over a picture: as the engine beside has decoded it, or decoded here, where that did not or failed."""
        self._pending = None
        if denoised.failed:
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
            loras=self._pipeline._loras.records,
            latent=denoised.latent if self._return_latent else None,
        )
        self._hand_over(picture)

    def _end_beside(self) -> None:
        beside, self._pipeline.beside = self._pipeline.beside, None
        if beside is not None:
            beside.close()
