"""One call at a time: the lock of a generator, and who may stop whom."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sdcpp_py.errors import GenerationCancelled, GenerationError, GeneratorClosedError
from sdcpp_py.pipeline.progress_meter import Meter
from sdcpp_py.progress import ProgressCallback
from sdcpp_py.system.forks import ProcessLock, check_process


class CallLock:
    """Lets one call at a time use an engine.

    Args:
        stop: tells the engine to stop what it does. Called from any thread.
        free: frees the engine.
        progress_bar: shows a bar for every call.
    """

    def __init__(self, stop: Callable[[], None], free: Callable[[], None], progress_bar: bool) -> None:
        # Closes the race of two threads that use one generator: the engine does one job at a time, and a picture takes
        # several. Reentrant, so that a call from inside on_progress is refused instead of waiting for itself.
        self._lock = ProcessLock()
        self._process = os.getpid()
        self._stop = stop
        self._free = free
        self._progress_bar = progress_bar
        self._busy = False
        self._cancelled = threading.Event()
        self.closed = False

    @contextmanager
    def take(self, on_progress: ProgressCallback | None, images: int = 1) -> Iterator[Meter]:
        """Holds the engine for one call, and leaves it usable or freed.

        Raises:
            GeneratorClosedError: it is closed.
            GenerationError: the call comes from inside ``on_progress``, or from a fork of the process.
            GenerationCancelled: out of the meter, after ``cancel``.
        """
        self.check_open()
        with self._lock:
            self.check_open()
            if self._busy:
                raise GenerationError(
                    "on_progress must not use the generator that calls it; call it when this picture is done"
                )
            self._busy = True
            self._cancelled.clear()
            # A cancel that comes before the engine's job has begun is noticed at the job's first report.
            meter = Meter(on_progress, check=self._check_cancelled, images=images, progress_bar=self._progress_bar)
            try:
                self.check_open()  # close() may have cancelled just before the flag was cleared
                yield meter
            finally:
                meter.close()
                self._busy = False
                if self.closed:
                    self._free()

    def cancel(self) -> None:
        """Stops what runs, from any thread; when nothing does, it does nothing."""
        if os.getpid() == self._process:
            self._cancelled.set()
            self._stop()

    def close(self) -> None:
        """Cancels what runs, and frees the engine when that has ended. May be called twice."""
        self.closed = True
        if os.getpid() != self._process:
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

    def _check_cancelled(self) -> None:
        if self._cancelled.is_set():
            raise GenerationCancelled("cancelled")
