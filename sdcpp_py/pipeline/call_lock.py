"""One call at a time: the lock of a generator, and who may stop whom."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sdcpp_py.errors import GenerationError, GeneratorClosedError
from sdcpp_py.pipeline.progress_meter import Meter
from sdcpp_py.pipeline.stopping import CallStop
from sdcpp_py.progress import ProgressCallback
from sdcpp_py.system.deadline import Deadline
from sdcpp_py.system.forks import ProcessLock, check_process


class CallLock:
    """Lets one call at a time use an engine.

    Args:
        stop: what the call that has the turn looks at.
        tell: tells the engine to stop what it does. Called from any thread.
        free: frees the engine.
        progress_bar: shows a bar for every call.
    """

    def __init__(self, stop: CallStop, tell: Callable[[], None], free: Callable[[], None], progress_bar: bool) -> None:
        # Closes the race of two threads that use one generator: the engine does one job at a time, and a picture takes
        # several. Reentrant, so that a call from inside on_progress is refused instead of waiting for itself.
        self._lock = ProcessLock()
        self._process = os.getpid()
        self._stop = stop
        self._tell = tell
        self._free = free
        self._progress_bar = progress_bar
        self._busy = False
        self.closed = False

    @property
    def here(self) -> bool:
        """Whether this is the process that made it, and no fork of that."""
        return os.getpid() == self._process

    @contextmanager
    def take(
        self, on_progress: ProgressCallback | None, images: int = 1, deadline: Deadline | None = None
    ) -> Iterator[Meter]:
        """Holds the engine for one call, and leaves it usable or freed. The wait for a turn is of the call's time.

        Raises:
            GeneratorClosedError: it is closed.
            GenerationError: the call comes from inside ``on_progress``, or from a fork of the process.
            GenerationCancelled, GenerationTimeoutError: out of the meter and the engine, after ``cancel``, or where the
                deadline is over; the second also out of the wait.
        """
        self.check_open()
        deadline = deadline or Deadline()
        if not self._lock.acquire(deadline.left):
            raise deadline.error("another thread's call with this generator was waited for")
        try:
            self.check_open()
            if self._busy:
                raise GenerationError(
                    "on_progress must not use the generator that calls it; call it when this picture is done"
                )
            self._busy = True
            self._stop.begin(deadline)
            # A cancel that comes before the engine's job has begun is noticed at the job's first report.
            meter = Meter(on_progress, self._stop, images=images, progress_bar=self._progress_bar)
            try:
                self.check_open()  # close() may have cancelled just before the flag was cleared
                yield meter
            finally:
                meter.close()
                self._busy = False
                self._stop.end()
                if self.closed:
                    self._free()
        finally:
            self._lock.release()

    def cancel(self) -> None:
        """Stops what runs, from any thread; when nothing does, it does nothing."""
        if self.here:
            self._stop.cancel(self._tell)

    def close(self) -> None:
        """Cancels what runs, and frees the engine when that has ended. May be called twice."""
        self.closed = True
        if not self.here:
            return  # what it would free is the parent's
        self.cancel()
        with self._lock:
            if not self._busy:  # from inside on_progress: the run that is ending now does it
                self._free()

    def check_open(self) -> None:
        """Raises GeneratorClosedError where it is closed, GenerationError in a fork of the process that made it."""
        check_process(self._process)
        if self.closed:
            raise GeneratorClosedError("this generator is closed; make a new one")
