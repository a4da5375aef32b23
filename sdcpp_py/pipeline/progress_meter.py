"""From the engine's reports to a user's progress: times, estimates, and which picture it is."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sdcpp_py._native.engine import Report
from sdcpp_py.pipeline.progress_bar import ProgressBar
from sdcpp_py.pipeline.stopping import CallStop
from sdcpp_py.progress import Phase, Progress, ProgressCallback


@contextmanager
def listener(on_progress: ProgressCallback | None, progress_bar: bool) -> Iterator[ProgressCallback | None]:
    """Whom to tell of work that is not the engine's: the user's callback, a bar, both, or None for nobody."""
    if not progress_bar:
        yield on_progress
        return
    bar = ProgressBar()

    def tell(progress: Progress) -> None:
        for callback in (on_progress, bar):
            if callback is not None:
                callback(progress)

    try:
        yield tell
    finally:
        bar.close()


class Meter:
    """Listens to the engine during one call.

    Args:
        on_progress: the user's callback.
        stop: is looked at with every report, and told how far the call is.
        images: pictures that the call generates.
        progress_bar: also shows a bar.
    """

    def __init__(
        self,
        on_progress: ProgressCallback | None,
        stop: CallStop,
        *,
        images: int = 1,
        progress_bar: bool = False,
    ) -> None:
        self._stop = stop
        self._bar = ProgressBar() if progress_bar else None
        self._callbacks = [callback for callback in (on_progress, self._bar) if callback]
        self._images = images
        self._image = 0
        self._prompts, self._encoded = 1, 0
        self._phase: Phase | None = None
        self._began = 0.0
        self._timings: dict[str, float] = {}
        self._broken_off: set[Phase] = set()
        self._held: list[Progress] | None = None
        self.between: Callable[[], object] = lambda: None
        """Is called after every report, in the thread that generates; what it raises stops the run."""

    def check(self) -> None:
        """Raises what stops the run, where it was told to stop."""
        self._stop.check()

    def expect_prompts(self, count: int) -> None:
        """Says how many prompts will be encoded now: together they are one phase, which rises once from 0 to 1."""
        self._prompts, self._encoded = count, 0

    def encoded_before(self) -> None:
        """Says that the next prompt need not be encoded, because its states were kept."""
        for fraction in (0.0, 1.0):
            self.listen(Report(Phase.ENCODE, fraction, step=0, steps=0, bytes_done=0, bytes_total=0))

    def next_image(self, index: int) -> None:
        """Says that what follows belongs to picture ``index`` of the batch."""
        self._image = index
        self._phase = None

    def break_off(self) -> None:
        """Says that the phase ended before its end, and comes again: the time that it took counts too."""
        if self._phase is not None:
            before = self._timings.get(self._phase.value, 0.0)
            self._timings[self._phase.value] = before + time.perf_counter() - self._began
            self._broken_off.add(self._phase)
            self._phase = None
        if self._held is not None:
            self._held = []

    def split(self, phase: Phase) -> Meter:
        """The meter of the picture that this one has listened to, whose next phase begins now, beside the next picture.

        This one goes on with that. What the other one hears is held back until ``let_out``.
        """
        other = self._beside(self._image)
        other._timings, other._broken_off = self._timings, self._broken_off
        other._phase, other._began = phase, time.perf_counter()
        self._timings, self._broken_off = {}, set()
        return other

    def ahead(self, image: int, prompts: int) -> Meter:
        """The meter of so many prompts of a later picture, which are encoded beside this one.

        What it hears is held back until ``let_out``, and its times are its own until ``join``.
        """
        other = self._beside(image)
        other.expect_prompts(prompts)
        return other

    def join(self, ahead: Meter) -> None:
        """Takes over the times of what was encoded ahead for the picture that this one listens to now."""
        for phase, seconds in ahead._timings.items():
            self._timings[phase] = self._timings.get(phase, 0.0) + seconds
        self._broken_off |= ahead._broken_off

    def _beside(self, image: int) -> Meter:
        other = Meter(None, self._stop, images=self._images)
        other._callbacks, other._image, other._held = self._callbacks, image, []
        return other

    def let_out(self) -> None:
        """Tells what was held back, in its order, and holds back nothing any more."""
        held, self._held = self._held or [], None
        for progress in held:
            self._tell(progress)

    def _tell(self, progress: Progress) -> None:
        for callback in self._callbacks:
            callback(progress)

    def listen(self, report: Report) -> None:
        """Takes one report of the engine."""
        self._stop.check()
        now = time.perf_counter()
        if report.phase is not self._phase:
            self._phase, self._began = report.phase, now
        fraction = self._fraction(report)
        elapsed = now - self._began
        if fraction >= 1:
            # Weights may come more than once in a picture.
            again = report.phase is Phase.LOAD or report.phase in self._broken_off
            before = self._timings.get(report.phase.value, 0.0) if again else 0.0
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
        if self._held is None:
            self._stop.note(progress)
            self._tell(progress)
        else:
            self._held.append(progress)
        self.between()

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
        self._timings, self._broken_off = {}, set()
        return timings

    def _fraction(self, report: Report) -> float:
        if report.phase is not Phase.ENCODE:
            return report.fraction
        fraction = (self._encoded + report.fraction) / self._prompts
        if report.fraction >= 1:
            self._encoded += 1
        return fraction
