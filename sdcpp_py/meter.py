"""From the engine's reports to a user's progress: times, estimates, and which picture it is."""

from __future__ import annotations

import time

from sdcpp_py._native.engine import Report
from sdcpp_py.bars import ProgressBar
from sdcpp_py.progress import Phase, Progress, ProgressCallback


class Meter:
    """Listens to the engine during one call."""

    def __init__(self, on_progress: ProgressCallback | None, *, images: int = 1, progress_bar: bool = False) -> None:
        self._callbacks = [callback for callback in (on_progress, ProgressBar() if progress_bar else None) if callback]
        self._images = images
        self._image = 0
        self._phase: Phase | None = None
        self._fraction = 0.0
        self._began = 0.0
        self._timings: dict[str, float] = {}

    def next_image(self, index: int) -> None:
        """Says that what follows belongs to picture ``index`` of the batch."""
        self._image = index
        self._phase = None

    def listen(self, report: Report) -> None:
        """Takes one report of the engine."""
        now = time.perf_counter()
        # A phase that starts anew (the negative prompt is encoded after the prompt) begins again at 0.
        if report.phase is not self._phase or report.fraction < self._fraction:
            self._phase, self._began = report.phase, now
        self._fraction = report.fraction
        elapsed = now - self._began
        if report.fraction >= 1:
            self._timings[report.phase.value] = self._timings.get(report.phase.value, 0.0) + elapsed
        progress = Progress(
            phase=report.phase,
            fraction=report.fraction,
            elapsed=elapsed,
            eta=elapsed * (1 - report.fraction) / report.fraction if report.fraction > 0.01 else None,
            step=report.step,
            steps=report.steps,
            bytes_done=report.bytes_done,
            bytes_total=report.bytes_total,
            image=self._image,
            images=self._images,
        )
        for callback in self._callbacks:
            callback(progress)

    def take_timings(self) -> dict[str, float]:
        """Seconds by phase since the last call of this; the three phases of a picture are always there."""
        timings = {
            phase.value: self._timings.get(phase.value, 0.0) for phase in (Phase.ENCODE, Phase.DENOISE, Phase.DECODE)
        }
        self._timings = {}
        return timings
