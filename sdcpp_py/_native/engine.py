"""One native engine: jobs started, listened to and awaited."""

from __future__ import annotations

import logging
import os
import threading
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from sdcpp_py._native.library import ffi, lib, start, text
from sdcpp_py._native.requests import Request, empty_like
from sdcpp_py._native.status import raise_failure
from sdcpp_py.parts import PARTS
from sdcpp_py.progress import Phase
from sdcpp_py.system.cpu import usable_cpus
from sdcpp_py.system.forks import check_process

# Silent unless a program asks: without this, Python would print warnings of an unconfigured logger.
logging.getLogger("sdcpp_py").addHandler(logging.NullHandler())
# What the engine says is for whoever looks for a fault: some of its warnings come with every good model.
logger = logging.getLogger("sdcpp_py.engine")

# How long one wait inside the native library lasts. Python notices Ctrl-C between two waits.
_WAIT_MS = 50
# After an exception the job is told to stop. A matrix product of a large model may take seconds to come to its end; the
# exception is not held back for that long, and the next job waits for the rest.
_PATIENCE_SECONDS = 0.3

_PHASES = (Phase.LOAD, Phase.ENCODE, Phase.DENOISE, Phase.DECODE)
_LEVELS = (logging.DEBUG, logging.DEBUG, logging.WARNING, logging.ERROR)


@dataclass(frozen=True)
class Report:
    """One progress event of the native library."""

    phase: Phase
    fraction: float
    step: int
    steps: int
    bytes_done: int
    bytes_total: int


Listener = Callable[[Report], object]


def _ignore(report: Report) -> None:
    pass


@dataclass(frozen=True)
class PartInfo:
    """What the weights of a part take, in bytes of memory.

    Attributes:
        bytes: of all that phases have been seen to use, or of all before anything was measured.
        least_room: the least room in which they can be streamed.
        in_memory: now.
    """

    bytes: int
    least_room: int
    in_memory: int


@dataclass(frozen=True)
class Measurement:
    """What a phase would need.

    Attributes:
        working: bytes of its compute buffer.
        tokens: of the prompt with its template, for encoding.
    """

    working: int
    tokens: int


class HeldWeights:
    """Weights that stay in memory for engines to come, until this is closed or collected. Not after ``close``."""

    def __init__(self) -> None:
        failure = ffi.new("sdpy_failure *")
        self.handle = lib.sdpy_weights_new(failure)
        if not self.handle:
            raise_failure(failure, ffi)
        self._finalizer = weakref.finalize(self, _let_go, self.handle, os.getpid())
        self._finalizer.atexit = False  # as for engines

    def close(self) -> None:
        """Lets go of them. May be called twice."""
        self._finalizer()


class Engine:
    """An engine with its own native thread. Not for two threads at once, except ``cancel``."""

    def __init__(self) -> None:
        start()
        failure = ffi.new("sdpy_failure *")
        cpus = sorted(usable_cpus())
        self._handle = lib.sdpy_engine_new(cpus, len(cpus), failure)
        if not self._handle:
            raise_failure(failure, ffi)
        self._event = ffi.new("sdpy_event *")
        self._failure = ffi.new("sdpy_failure *")
        self._running = False
        self.broken = False
        self._process = os.getpid()
        self._finalizer = weakref.finalize(self, _free, self._handle, self._process)
        # When the interpreter ends, the native library ends all engines at once (library.py). Ended one by one from
        # here, there would always be another while a thread that nobody waits for goes on opening them.
        self._finalizer.atexit = False

    def close(self) -> None:
        """Cancels what runs and frees the model. May be called twice.

        A job that does not end at once (a matrix product of a large model takes seconds) is waited for in the
        background, and then the model is freed; the interpreter does not end before that.
        """
        self.cancel()
        if self._finalizer.alive:
            self._settle(_PATIENCE_SECONDS)
        if not self._running:
            self._finalizer()
            return
        try:
            threading.Thread(target=self._finalizer, name="sdcpp_py closing").start()
        except RuntimeError:  # the interpreter is ending, and starts no more threads
            self._finalizer()

    def cancel(self) -> None:
        """Tells the running job to stop. From any thread; without effect when none runs."""
        if os.getpid() == self._process:
            lib.sdpy_cancel(self._handle)

    def settle(self) -> None:
        """Waits until a job that was told to stop has come to its end; ``broken`` is certain then."""
        self._settle(None)

    def run(self, request: Request, listen: Listener = _ignore) -> dict[str, NDArray[Any]]:
        """Does a job. Returns the arrays that it gives, by name; ``listen`` is told of progress.

        Raises what the job failed with, and what ``listen`` raises, unchanged.
        """
        self._run(request, False, listen)
        return self._results()

    def measure(self, request: Request) -> Measurement:
        """What a phase would need. Needs no weights in memory, and computes nothing.

        From then on the weights that the phase does not use are known, and are left in their file.
        """
        self._run(request, True, _ignore)
        measured = ffi.new("sdpy_measurement *")
        if lib.sdpy_measured(self._handle, measured, self._failure):
            raise_failure(self._failure, ffi)
        return Measurement(measured.working_bytes, measured.tokens)

    def part(self, name: str) -> PartInfo:
        """What the weights of a part take. While no job runs."""
        info, failure = ffi.new("sdpy_part_info *"), ffi.new("sdpy_failure *")
        if lib.sdpy_part_info_get(self._handle, PARTS.index(name), info, failure):
            raise_failure(failure, ffi)
        return PartInfo(info.bytes, info.least_room, info.in_memory)

    def keep(self, name: str, weights: HeldWeights) -> None:
        """Lets ``weights`` keep those of a part, where they are in memory as a whole. While no job runs."""
        failure = ffi.new("sdpy_failure *")
        if lib.sdpy_weights_keep(weights.handle, self._handle, PARTS.index(name), failure):
            raise_failure(failure, ffi)

    def _run(self, request: Request, measure: bool, listen: Listener) -> None:
        check_process(self._process)
        self._settle(None)
        native, keep = request.native(measure)
        # Before the job begins: Ctrl-C may strike between any two lines, and waiting for a job that never began returns
        # at once, while a job that is forgotten would be in the way of the next.
        self._running = True
        try:
            if request.begin(self._handle, native, self._failure):
                self._running = False
                raise_failure(self._failure, ffi)
            del keep  # the request has been copied by now
            while not self._hear(listen):
                pass
        except BaseException:
            self.cancel()
            self._settle(_PATIENCE_SECONDS)
            raise
        if self._failure.status:
            raise_failure(self._failure, ffi)

    def _hear(self, listen: Listener) -> bool:
        """Takes one event; returns whether the job has ended."""
        kind = lib.sdpy_wait(self._handle, _WAIT_MS, self._event, self._failure)
        event = self._event
        if kind == lib.SDPY_EVENT_PROGRESS:
            listen(
                Report(_PHASES[event.phase], event.fraction, event.step, event.steps, event.bytes, event.total_bytes)
            )
        elif kind == lib.SDPY_EVENT_LOG:
            logger.log(_LEVELS[event.level], "%s", text(event.text))
        elif kind == lib.SDPY_EVENT_DONE:
            self._running = False
            self.broken = bool(lib.sdpy_engine_spent(self._handle))
            return True
        return False

    def _settle(self, patience: float | None) -> None:
        """Lets a job that was told to stop come to its end, for ``patience`` seconds at most (None: however long)."""
        if os.getpid() != self._process:
            return  # a fork copies the handle and not the thread behind it, which would be waited for without end
        deadline = None if patience is None else time.monotonic() + patience
        while self._running and (deadline is None or time.monotonic() < deadline):
            self._hear(_ignore)

    def _results(self) -> dict[str, NDArray[Any]]:
        raw, count, failure = ffi.new("sdpy_array *"), ffi.new("int *"), self._failure
        if lib.sdpy_result_count(self._handle, count, failure):
            raise_failure(failure, ffi)
        results = {}
        for index in range(count[0]):
            if lib.sdpy_result_at(self._handle, index, raw, failure):
                raise_failure(failure, ffi)
            array = empty_like(raw)
            if lib.sdpy_result_read(self._handle, index, ffi.from_buffer(array), array.nbytes, failure):
                raise_failure(failure, ffi)
            results[text(raw.name)] = array
        return results


def _let_go(weights: Any, process: int) -> None:
    # A fork copies the handle; what a GPU holds behind it is the parent's.
    if os.getpid() == process:
        lib.sdpy_weights_free(weights)


def _free(handle: Any, process: int) -> None:
    # As in _settle: after a fork, there is nothing here to wait for.
    if os.getpid() == process:
        lib.sdpy_engine_free(handle)
