"""What is done beside a GPU, as long as that goes well."""

from __future__ import annotations

import logging
from collections.abc import Callable

from sdcpp_py.errors import GenerationCancelled, SdcppError
from sdcpp_py.pipeline.engine_beside import EngineBeside, Job
from sdcpp_py.pipeline.pipeline import Pipeline

logger = logging.getLogger("sdcpp_py")

# How long one wait for the engine beside lasts, where there is nothing else to do. Python notices Ctrl-C in between.
_WAIT_SECONDS = 0.05


class OtherHalf:
    """Has jobs done by an engine beside that of a pipeline, which is made for the first one.

    Whatever fails there fails in silence: the jobs say so, and are the other engine's then, whose errors come out. Only
    what stops the call is raised.

    Args:
        pipeline: the open model.
        check: raises what stops the call, where it was told to stop.
    """

    def __init__(self, pipeline: Pipeline, check: Callable[[], None]) -> None:
        self._pipeline = pipeline
        self._check = check
        self.works = True
        """Whether it may be given jobs."""

    def add(self, job: Job) -> None:
        """Has a job done after those that it has."""
        if not self.works:
            job.failed = True
            return
        pipeline, options = self._pipeline, self._pipeline.options
        try:
            if pipeline.beside is None:
                pipeline.beside = EngineBeside(pipeline.files, options.threads, options.all_isolated, self._check)
            pipeline.beside.add(job)
        except SdcppError as error:
            job.failed = True
            self._give_up(error)

    def hear(self, seconds: float = 0.0) -> None:
        """Takes what there is to be heard, waited for so long at most."""
        beside = self._pipeline.beside
        if beside is None:
            return
        try:
            beside.hear(seconds)
        except SdcppError as error:
            self._give_up(error)

    def wait(self) -> None:
        """Takes what there is to be heard, waited for during a moment. Raises what stops the call."""
        self._check()
        self.hear(_WAIT_SECONDS)

    def finish(self) -> None:
        """Waits until all jobs are over."""
        while self._pipeline.beside is not None and self._pipeline.beside.jobs:
            self.wait()

    def end(self) -> None:
        """Ends what runs, and frees what it has. Another job may come."""
        beside, self._pipeline.beside = self._pipeline.beside, None
        if beside is not None:
            beside.close()

    def _give_up(self, error: SdcppError) -> None:
        if isinstance(error, GenerationCancelled):
            raise error
        logger.info("one thing is done after the other from here on: %s", error)
        self.works = False
        self.end()
