"""What stops a call before its end: ``cancel``, or its time that is over."""

from __future__ import annotations

import threading
from collections.abc import Callable

from sdcpp_py.errors import GenerationCancelled
from sdcpp_py.progress import Phase, Progress
from sdcpp_py.system.deadline import Deadline
from sdcpp_py.system.forks import ProcessLock

_DOING = {
    Phase.DOWNLOAD: "files were downloaded",
    Phase.LOAD: "weights were read",
    Phase.ENCODE: "the prompt was encoded",
    Phase.DENOISE: "the picture was denoised",
    Phase.DECODE: "the picture was decoded",
}


def doing(progress: Progress) -> str:
    """What is done at that moment, in words: "step 3 of 20 of picture 2 of 4 was denoised"."""
    picture = f" of picture {progress.image + 1} of {progress.images}" if progress.images > 1 else ""
    if progress.phase is Phase.DENOISE and progress.steps:
        return f"step {min(progress.step + 1, progress.steps)} of {progress.steps}{picture} was denoised"
    return _DOING[progress.phase] + (f" ({picture.removeprefix(' of ')})" if picture else "")


class CallStop:
    """Whether the call that has a generator's turn is to stop. Any thread may cancel; the call's own looks."""

    def __init__(self) -> None:
        # Closes the race of a thread that cancels a call with the end of that: who is still telling the engine of it
        # then would stop the next call. Reentrant: a handler of signals may cancel, in the call's own thread, between
        # any two lines.
        self._cancelling = ProcessLock()
        self._cancelled = threading.Event()
        self._deadline = Deadline()
        self._doing = ""

    def begin(self, deadline: Deadline) -> None:
        """Says that another call has its turn, which nobody has cancelled yet."""
        with self._cancelling:
            self._deadline = deadline
            self._doing = "it was prepared"
            self._cancelled.clear()

    def end(self) -> None:
        """Says that the call is over: what stopped it stops nothing else."""
        self.begin(Deadline())

    def note(self, progress: Progress) -> None:
        """Says how far the call is: for the message, where its time is over."""
        self._doing = doing(progress)

    def cancel(self, tell: Callable[[], object]) -> None:
        """Stops the call, from any thread; ``tell`` tells the engine, before another call can begin."""
        with self._cancelling:
            self._cancelled.set()
            tell()

    def check(self) -> None:
        """Raises GenerationCancelled after ``cancel``, GenerationTimeoutError where the call's time is over."""
        if self._cancelled.is_set():
            raise GenerationCancelled("cancelled")
        self._deadline.check(self._doing)
