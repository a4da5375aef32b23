"""One job of a command: how far all its phases and pictures together are, and when they will be done.

What a phase takes is learned while it runs: the pace of the one that is running, the seconds of those that have ended,
and from the first picture on what a whole picture takes. Until the first step has begun nothing is known or said. What
has to be downloaded first is a job of its own, because its pace says nothing of the machine's.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from sdcpp_py.progress import Phase, Progress

# Of the first picture's way, for as long as no time is known.
_BEFORE_STEPS = {Phase.LOAD: (0.0, 0.06), Phase.ENCODE: (0.06, 0.1)}
# What is said of less than this is a guess.
_LEAST_FRACTION = 0.01


@dataclass(frozen=True)
class Standing:
    """Where a job stands.

    Attributes:
        progress: what the engine said last.
        fraction: from 0 to 1, of the downloads, and then of all pictures; it never falls but between these two.
        elapsed: seconds since the command began.
        remaining: seconds until all files or all pictures are there; None while nothing can be said.
        step_seconds: of one step of the picture that is denoised, or was last; None before the first.
    """

    progress: Progress
    fraction: float
    elapsed: float
    remaining: float | None
    step_seconds: float | None


class Job:
    """Listens to the phases of all pictures of a command.

    Args:
        pictures: that it will generate.
        clock: seconds, for tests.
    """

    def __init__(self, pictures: int = 1, clock: Callable[[], float] = time.monotonic) -> None:
        self._pictures, self._clock = pictures, clock
        self._began = self._pictures_began = clock()
        self._fraction = 0.0
        self._downloads = False
        self._picture = 0
        self._picture_began: float | None = None
        self._ended_pictures: list[float] = []
        self._step_seconds: float | None = None
        self._decode_seconds: float | None = None
        self._last: Standing | None = None

    def listen(self, progress: Progress) -> Standing:
        """Takes what the engine says. Returns where the whole job is then."""
        now = self._clock()
        if progress.phase is Phase.DOWNLOAD:
            self._downloads = True
            self._fraction = max(self._fraction, progress.fraction)
            return Standing(progress, self._fraction, now - self._began, progress.eta, None)
        if progress.image < self._picture and self._last is not None:
            # Decoded while a later one is denoised, which goes on being what is shown.
            if progress.phase is Phase.DECODE and progress.fraction >= 1:
                self._decode_seconds = progress.elapsed
            return replace(self._last, elapsed=now - self._began)
        if self._downloads:
            self._downloads, self._fraction, self._pictures_began = False, 0.0, now
        if progress.image != self._picture:
            if self._picture_began is not None:
                self._ended_pictures.append(now - self._picture_began)
            self._picture, self._picture_began = progress.image, now
        elif progress.phase is Phase.DENOISE and self._picture_began is None:
            self._picture_began = now - progress.elapsed
        if progress.phase is Phase.DENOISE and progress.steps and progress.fraction * progress.steps > 0.05:
            self._step_seconds = progress.elapsed / (progress.fraction * progress.steps)
        if progress.phase is Phase.DECODE and progress.fraction >= 1:
            self._decode_seconds = progress.elapsed
        remaining = self._remaining(progress)
        self._fraction = max(self._fraction, self._whole(progress, now - self._pictures_began, remaining))
        self._last = Standing(progress, self._fraction, now - self._began, remaining, self._step_seconds)
        return self._last

    def _whole(self, progress: Progress, elapsed: float, remaining: float | None) -> float:
        if remaining is not None:
            return elapsed / (elapsed + remaining) if elapsed + remaining > 0 else 0.0
        begin, end = _BEFORE_STEPS.get(progress.phase, (0.1, 0.1))
        return (progress.image + begin + (end - begin) * progress.fraction) / self._pictures

    def _remaining(self, progress: Progress) -> float | None:
        if self._step_seconds is None:
            return None
        rest = self._rest_of_picture(progress)
        later = self._pictures - progress.image - 1
        if rest is None or not later:
            return rest
        if self._ended_pictures:
            whole = sum(self._ended_pictures) / len(self._ended_pictures)
        else:
            assert self._picture_began is not None
            whole = self._clock() - self._picture_began + rest
        return rest + later * whole

    def _rest_of_picture(self, progress: Progress) -> float | None:
        """Seconds until this picture is there; None in the first picture where nothing is known."""
        assert self._step_seconds is not None
        # A decoder takes about as long as a step, where none was seen yet.
        decode = self._step_seconds if self._decode_seconds is None else self._decode_seconds
        if progress.phase is Phase.DECODE:
            if progress.fraction > _LEAST_FRACTION:
                return progress.elapsed * (1 - progress.fraction) / progress.fraction
            return max(0.0, decode - progress.elapsed)
        if progress.phase is Phase.DENOISE:
            return self._step_seconds * progress.steps * (1 - progress.fraction) + decode
        # Weights or a prompt of a later picture, or of the decoder: what is known of the picture as a whole.
        if self._ended_pictures and self._picture_began is not None:
            whole = sum(self._ended_pictures) / len(self._ended_pictures)
            return max(decode, whole - (self._clock() - self._picture_began))
        return decode
