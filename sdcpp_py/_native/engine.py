"""One native engine: jobs started, listened to and awaited."""

from __future__ import annotations

import logging
import os
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from numpy.typing import NDArray

from sdcpp_py._native.held_weights import HeldWeights
from sdcpp_py._native.library import DeviceUsage, device_usage, ffi, lib, start, text
from sdcpp_py._native.requests import Request, empty_like
from sdcpp_py._native.status import Failure
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
# Who cancels, or whose callback raises, waits for the job's end for so long at most. The job looks at its flag within
# products and attention too, but a GPU's driver or a disk may hold it for seconds; the next job waits for the rest.
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


def ignore(report: Report) -> None:
    pass


def go_on() -> None:
    """What an engine looks at whose jobs nobody stops."""


@dataclass(frozen=True)
class PartInfo:
    """What the weights of a part take, in bytes of memory.

    Attributes:
        bytes: of all that phases have been seen to use, or of all before anything was measured.
        least_room: the least room in which they can be streamed.
        ahead_room: the least room in which blocks are read while others are computed.
        in_memory: now.
        waited: seconds that computing has waited for streamed blocks, since the model was opened.
    """

    bytes: int
    least_room: int
    ahead_room: int
    in_memory: int
    waited: float


@dataclass(frozen=True)
class Measurement:
    """What a phase would need.

    Attributes:
        working: bytes of its compute buffer.
        tokens: of the prompt with its template, for encoding.
        unsupported: what the device cannot compute of it; "" where it can do all.
    """

    working: int
    tokens: int
    unsupported: str = ""


class Engine:
    """An engine with its own native thread. Not for two threads at once, except ``cancel``.

    Args:
        cpus: the numbers of those that it computes on; None: all that this process may use.
        steps_file: the descriptor of the file in which finished steps are kept (``sdpy_keep_steps_in``).
        check: is called twenty times a second while a job is waited for; what it raises stops the job and comes out.
    """

    def __init__(
        self,
        cpus: Sequence[int] | None = None,
        steps_file: int | None = None,
        check: Callable[[], None] = go_on,
    ) -> None:
        start()
        failure = ffi.new("sdpy_failure *")
        cpus = sorted(usable_cpus()) if cpus is None else cpus
        self._handle = lib.sdpy_engine_new(cpus, len(cpus), failure)
        if not self._handle:
            self._fail(failure)
        self._event = ffi.new("sdpy_event *")
        self._failure = ffi.new("sdpy_failure *")
        self._check = check
        self._running = False
        self._told_at = 0.0  # when the job that runs was last told to stop, after an exception
        self.broken = False
        self._process = os.getpid()
        self._finalizer = weakref.finalize(self, _free, self._handle, self._process)
        # When the interpreter ends, the native library ends all engines at once (library.py). Ended one by one from
        # here, there would always be another while a thread that nobody waits for goes on opening them.
        self._finalizer.atexit = False
        if steps_file is not None and lib.sdpy_keep_steps_in(self._handle, steps_file, failure):
            self._fail(failure)

    def close(self) -> None:
        """Cancels what runs and frees the model. May be called twice.

        A job that does not end at once (a matrix product of a large model takes seconds) is waited for in the
        background, and then the model is freed; the interpreter does not end before that.
        """
        self.cancel()
        if self._finalizer.alive:
            self._stop()
        if not self._running:
            self._finalizer()
            return
        try:
            threading.Thread(target=self._finalizer, name="sdcpp_py closing").start()
        except RuntimeError:  # the interpreter is ending, and starts no more threads
            self._finalizer()

    @property
    def idle(self) -> bool:
        """As in ``AnyEngine``."""
        if self._running:
            self._hear(ignore, 0)
        return not self._running

    def cancel(self) -> None:
        """As in ``AnyEngine``."""
        if os.getpid() == self._process:
            lib.sdpy_cancel(self._handle)

    def settle(self) -> None:
        """As in ``AnyEngine``."""
        while self._running and os.getpid() == self._process:
            self._check()
            self._hear(ignore)

    def run(self, request: Request, listen: Listener = ignore) -> dict[str, NDArray[Any]]:
        """As in ``AnyEngine``."""
        self._run(request, False, listen)
        return self._results()

    def begin(self, request: Request) -> None:
        """As in ``AnyEngine``."""
        try:
            self._begin(request, False)
        except BaseException:
            self._stop()
            raise

    def hear(self, listen: Listener = ignore, *, seconds: float = 0.0) -> dict[str, NDArray[Any]] | None:
        """As in ``AnyEngine``."""
        wait = round(seconds * 1000)
        try:
            self._check()
            while (kind := self._hear(listen, wait)) != lib.SDPY_EVENT_DONE:
                if kind == lib.SDPY_EVENT_NONE:
                    return None
                wait = 0
        except BaseException:
            self._stop()
            raise
        self._check_failure()
        return self._results()

    def measure(self, request: Request) -> Measurement:
        """As in ``AnyEngine``."""
        self._run(request, True, ignore)
        measured = ffi.new("sdpy_measurement *")
        if lib.sdpy_measured(self._handle, measured, self._failure):
            self._fail(self._failure)
        return Measurement(measured.working_bytes, measured.tokens, text(measured.unsupported))

    def part(self, name: str) -> PartInfo:
        """As in ``AnyEngine``."""
        info, failure = ffi.new("sdpy_part_info *"), ffi.new("sdpy_failure *")
        if lib.sdpy_part_info_get(self._handle, PARTS.index(name), info, failure):
            self._fail(failure)
        return PartInfo(info.bytes, info.least_room, info.ahead_room, info.in_memory, info.waited)

    def keep(self, name: str, weights: HeldWeights) -> None:
        """As in ``AnyEngine``."""
        failure = ffi.new("sdpy_failure *")
        if lib.sdpy_weights_keep(weights.handle, self._handle, PARTS.index(name), failure):
            self._fail(failure)

    def usage(self, device: str, *, reset: bool = False) -> DeviceUsage:
        """As in ``AnyEngine``."""
        return device_usage(device, reset=reset)

    def _fail(self, failure: Any) -> NoReturn:
        raise Failure.read(failure, ffi).error()

    def _run(self, request: Request, measure: bool, listen: Listener) -> None:
        try:
            self._begin(request, measure)
            while self._hear(listen) != lib.SDPY_EVENT_DONE:
                self._check()
        except BaseException:
            self._stop()
            raise
        self._check_failure()

    def _begin(self, request: Request, measure: bool) -> None:
        check_process(self._process)
        self.settle()
        native, keep = request.native(measure)
        # Before the job begins: Ctrl-C may strike between any two lines, and waiting for a job that never began returns
        # at once, while a job that is forgotten would be in the way of the next.
        self._running = True
        self._told_at = 0.0
        if request.begin(self._handle, native, self._failure):
            self._running = False
            self._fail(self._failure)
        del keep  # the request has been copied by now

    def _check_failure(self) -> None:
        if self._failure.status:
            self._fail(self._failure)

    def _hear(self, listen: Listener, wait_ms: int = _WAIT_MS) -> int:
        """Takes one event, waited for so many milliseconds at most; returns its kind."""
        kind: int = lib.sdpy_wait(self._handle, wait_ms, self._event, self._failure)
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
        return kind

    def _stop(self) -> None:
        """Tells the job to stop, and lets it come to its end, for a moment, which is not given twice."""
        self.cancel()
        if os.getpid() != self._process:
            return  # a fork copies the handle and not the thread behind it, which would be waited for without end
        self._told_at = self._told_at or time.monotonic()
        while self._running and time.monotonic() < self._told_at + _PATIENCE_SECONDS:
            self._hear(ignore)

    def _results(self) -> dict[str, NDArray[Any]]:
        raw, count, failure = ffi.new("sdpy_array *"), ffi.new("int *"), self._failure
        if lib.sdpy_result_count(self._handle, count, failure):
            self._fail(failure)
        results = {}
        for index in range(count[0]):
            if lib.sdpy_result_at(self._handle, index, raw, failure):
                self._fail(failure)
            array = empty_like(raw)
            if lib.sdpy_result_read(self._handle, index, ffi.from_buffer(array), array.nbytes, failure):
                self._fail(failure)
            results[text(raw.name)] = array
        return results


def _free(handle: Any, process: int) -> None:
    # As in _stop: after a fork, there is nothing here to wait for.
    if os.getpid() == process:
        lib.sdpy_engine_free(handle)
