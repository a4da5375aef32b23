"""From the engine's reports to a user's progress: times, estimates, and which picture it is."""

from __future__ import annotations

import time
from collections.abc import Callable

from sdcpp_py._native.engine import Report
from sdcpp_py.pipeline.progress_bar import ProgressBar
from sdcpp_py.progress import Phase, Progress, ProgressCallback


class Meter:
    """Listens to the engine during one call.

    Args:
        on_progress: the user's callback.
        check: is called at every report; what it raises stops the run.
        images: pictures that the call generates.
        progress_bar: also shows a bar.
    """

    def __init__(
        self,
        on_progress: ProgressCallback | None = None,
        *,
        check: Callable[[], None] = lambda: None,
        images: int = 1,
        progress_bar: bool = False,
    ) -> None:
        self._check = check
        self._bar = ProgressBar() if progress_bar else None
        self._callbacks = [callback for callback in (on_progress, self._bar) if callback]
        self._images = images
        self._image = 0
        self._prompts, self._encoded = 1, 0
        self._phase: Phase | None = None
        self._began = 0.0
        self._timings: dict[str, float] = {}

    def expect_prompts(self, count: int) -> None:
        """Says how many prompts will be encoded: together they are one phase, which rises once from 0 to 1."""
        self._prompts, self._encoded = count, 0

    def encoded_before(self) -> None:
        """Says that the next prompt need not be encoded, because its states were kept."""
        for fraction in (0.0, 1.0):
            self.listen(Report(Phase.ENCODE, fraction, step=0, steps=0, bytes_done=0, bytes_total=0))

    def next_image(self, index: int) -> None:
        """Says that what follows belongs to picture ``index`` of the batch."""
        self._image = index
        self._phase = None

    def listen(self, report: Report) -> None:
        """Takes one report of the engine."""
        self._check()
        now = time.perf_counter()
        if report.phase is not self._phase:
            self._phase, self._began = report.phase, now
        fraction = self._fraction(report)
        elapsed = now - self._began
        if fraction >= 1:
            # Weights may come more than once in a picture.
            before = self._timings.get(Phase.LOAD.value, 0.0) if report.phase is Phase.LOAD else 0.0
            self._timings[report.phase.value] = before + elapsed
        progress = Progress(
            phase=report.phase,
            fraction=fraction,
            elapsed=elapsed,
            eta=elapsed * (1 - fraction) / fraction if fraction > 0.01 else None,
            step=report.step,
            steps=report.steps,
            bytes_done=report.bytes_done,
            bytes_total=report.bytes_total,
            image=self._image,
            images=self._images,
        )
        for callback in self._callbacks:
            callback(progress)

    def close(self) -> None:
        """Ends the line of the progress bar."""
        if self._bar is not None:
            self._bar.close()

    def take_timings(self) -> dict[str, float]:
        """Seconds by phase since the last call of this.

        The three phases of a picture are always there, and loading where weights were read.
        """
        always = (Phase.ENCODE, Phase.DENOISE, Phase.DECODE)
        timings = {phase.value: self._timings.get(phase.value, 0.0) for phase in always}
        if Phase.LOAD.value in self._timings:
            timings[Phase.LOAD.value] = self._timings[Phase.LOAD.value]
        self._timings = {}
        return timings

    def _fraction(self, report: Report) -> float:
        if report.phase is not Phase.ENCODE:
            return report.fraction
        fraction = (self._encoded + report.fraction) / self._prompts
        if report.fraction >= 1:
            self._encoded += 1
        return fraction
