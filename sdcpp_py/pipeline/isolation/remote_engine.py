"""An engine that computes in a process of its own."""

from __future__ import annotations

import logging
import os
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn

from numpy.typing import NDArray

import sdcpp_py
from sdcpp_py._native import library
from sdcpp_py._native.engine import Listener, Measurement, PartInfo, Report, go_on, ignore
from sdcpp_py._native.held_weights import HeldWeights
from sdcpp_py._native.library import DeviceUsage
from sdcpp_py._native.requests import Request
from sdcpp_py._native.status import Failure, Status
from sdcpp_py.errors import (
    EngineCrashedError,
    GenerationCancelled,
    GenerationError,
    GeneratorClosedError,
    NativeLibraryError,
    OutOfMemoryError,
    SdcppError,
    SettingsError,
)
from sdcpp_py.pipeline.isolation import process
from sdcpp_py.pipeline.isolation.messages import Message
from sdcpp_py.progress import Phase
from sdcpp_py.system.cpu import usable_cpus
from sdcpp_py.system.forks import ProcessLock, check_process

# How long a call that was cancelled has to end, before its process is ended, which takes a moment. Callers wait half a
# second at most.
_PATIENCE_SECONDS = 0.35
_START_SECONDS = 120.0
# How often it looks whether the process still lives. Its end shows in the channel, unless something else holds a copy
# of the other end.
_GLANCE_SECONDS = 0.1
_LAST_LINES = 30


class RemoteEngine:
    """As ``Engine``, in a process of its own, which is started by this and ends with it, and with this process.

    Args:
        steps_file: the descriptor of the file in which finished steps are kept.
        submission_target: milliseconds that a submission to a GPU should take at most; None: the usual.
        check: is called while a call, or the start, is waited for; what it raises stops it and comes out.

    After the process has ended, whatever the cause, the engine is ``broken``; calls raise EngineCrashedError where it
    ended by itself. The first call raises NativeLibraryError where it finds another sdcpp_py, and waits for its start.

    Raises GenerationError where the system starts no process, SettingsError where this program has Python inside it.
    """

    def __init__(
        self,
        steps_file: int | None = None,
        submission_target: int | None = None,
        check: Callable[[], None] = go_on,
    ) -> None:
        self._check = check
        library.start()
        self._process, self._channel = process.start(sorted(usable_cpus()), steps_file, submission_target)
        self._owner = os.getpid()
        # Closes the race of cancel() in one thread with the end of the process in another: the channel's descriptor may
        # be another file's by then.
        self._ending = ProcessLock()
        self._number = 0
        self._running = True
        self._told_at: float | None = None
        self._lines: deque[str] = deque(maxlen=_LAST_LINES)
        self._ended: Callable[[], SdcppError] | None = None
        self._greeted = self._closed = self._broken = False
        # Also when the interpreter ends: what goes on then in other threads has no more to do here.
        self._finalizer = weakref.finalize(
            self, process.end, self._process, self._channel, politely=False, owner=self._owner
        )

    @property
    def broken(self) -> bool:
        """As in ``AnyEngine``. Also where the process has ended while there was nothing to do."""
        if os.getpid() == self._owner and not (self._running or self._broken):
            with suppress(SdcppError):
                while self._channel.wait(0):
                    self._receive()  # an end that was told twice, or that there is nothing more
                if self._process.poll() is not None:
                    self._crashed(process.ending_of(self._process))
        return self._broken

    @property
    def idle(self) -> bool:
        """As in ``AnyEngine``: a process that does not stop in time is ended."""
        return not (self._greeted and self._running)

    @property
    def pid(self) -> int:
        """The number of the process."""
        return self._process.pid

    def close(self) -> None:
        """As in ``AnyEngine``. Its memory is free then, unless the system takes many seconds for that."""
        if self._closed or os.getpid() != self._owner:
            return
        self.settle()
        self._closed = True
        self._end(politely=self._greeted)

    def cancel(self) -> None:
        """As in ``AnyEngine``."""
        if os.getpid() != self._owner or not self._ending.acquire(0):
            return  # another thread tells the process already, or ends it
        try:
            if self._running and not self._channel.closed:
                self._told_at = self._told_at or time.monotonic()
                with suppress(OSError):  # it has ended, or is ended soon for want of an answer
                    self._channel.send({"cancel": self._number}, wait=False)
        finally:
            self._ending.release()

    def settle(self) -> None:
        """As in ``AnyEngine``; a process that does not answer is ended."""
        if os.getpid() != self._owner or not self._greeted:
            return
        while self._running:
            if self._told_at is None:
                self.cancel()
            with suppress(SdcppError):
                self._hear(ignore)

    def run(self, request: Request, listen: Listener = ignore) -> dict[str, NDArray[Any]]:
        """As in ``AnyEngine``."""
        return dict(self._call({"run": request}, listen))

    def begin(self, request: Request) -> None:
        """As in ``AnyEngine``."""
        self._get_ready()
        try:
            self._begin({"run": request})
        except BaseException:
            self._break_off()
            raise

    def hear(self, listen: Listener = ignore, *, seconds: float = 0.0) -> dict[str, NDArray[Any]] | None:
        """As in ``AnyEngine``."""
        try:
            self._check()
            while (end := self._hear(listen, seconds)) is None and self._channel.wait(0):
                seconds = 0.0
        except BaseException:
            self._break_off()
            raise
        return None if end is None else dict(self._value(end))

    def measure(self, request: Request) -> Measurement:
        """As in ``AnyEngine``."""
        return Measurement(*self._call({"measure": request}))

    def part(self, name: str) -> PartInfo:
        """As in ``AnyEngine``: of a process that has ended, nothing is in memory."""
        if self._broken and not self._closed:
            return PartInfo(0, 0, 0, 0, 0.0)
        return PartInfo(*self._call({"part": name}))

    def usage(self, device: str, *, reset: bool = False) -> DeviceUsage:
        """As in ``AnyEngine``."""
        return DeviceUsage(*self._call({"usage": device, "reset": reset}))

    def keep(self, name: str, weights: HeldWeights) -> None:
        """Not possible: what is held in this process is not in memory there. Raises SettingsError."""
        raise SettingsError("weights of another process cannot be kept in this one")

    def _call(self, call: Message, listen: Listener = ignore) -> Any:
        self._get_ready()
        try:
            self._begin(call)
            while (end := self._hear(listen)) is None:
                self._check()
        except BaseException:
            self._break_off()
            raise
        return self._value(end)

    def _get_ready(self) -> None:
        check_process(self._owner)
        self.settle()
        self._check_usable()

    def _begin(self, call: Message) -> None:
        if not self._greeted:
            self._greet()
        self._number += 1
        self._told_at = None
        self._running = True
        self._send({"call": self._number, **call})

    def _break_off(self) -> None:
        # Ctrl-C may strike between any two lines. The process says so where it has no such call (any more).
        if self._greeted:
            self.settle()
        else:
            self._end(politely=False)

    def _greet(self) -> None:
        """Waits until the process is ready."""
        deadline = time.monotonic() + _START_SECONDS
        while (end := self._hear(ignore)) is None:
            self._check()
            if time.monotonic() > deadline:
                raise GenerationError(f"the engine's process was not ready after {_START_SECONDS:.0f} seconds")
        found = self._value(end)
        here = sdcpp_py.__version__, Path(sdcpp_py.__file__).parent
        if (found["version"], found["folder"]) != here:
            raise NativeLibraryError(
                f"the engine's process finds sdcpp_py {found['version']} in {found['folder']}, and this one has "
                f"{here[0]} in {here[1]}; leave one of the two out of Python's path"
            )
        self._greeted = True

    def _check_usable(self) -> None:
        if self._closed:
            raise GeneratorClosedError("this engine is closed; make a new one")
        if self._ended is not None:
            raise self._ended()
        if self._broken:
            raise GenerationError("the engine gave up; the model will be loaded anew for the next picture")

    def _value(self, end: Message) -> Any:
        if "failure" not in end:
            return end["value"]
        with self._making_sense():
            status, message, detail = end["failure"]
            error = Failure(Status(status), message, detail).error(renewed=True)
        raise error

    def _send(self, call: Message) -> None:
        try:
            self._channel.send(call)
        except BrokenPipeError:
            self._crashed(process.ending_of(self._process))
        except OSError as error:
            raise GenerationError(f"nothing can be handed to the engine's process ({error})") from error

    def _hear(self, listen: Listener, seconds: float = _GLANCE_SECONDS) -> Message | None:
        """Takes one message of the running call, waited for so long at most; returns the one that ends it.

        Raises EngineCrashedError where the process has ended, GenerationCancelled where it did not stop in time.
        """
        if self._told_at is not None:
            left = self._told_at + _PATIENCE_SECONDS - time.monotonic()
            if left <= 0:
                self._give_up()
            seconds = min(seconds, left)
        if not self._channel.wait(seconds):
            if self._process.poll() is not None and not self._channel.wait(0):
                self._crashed(process.ending_of(self._process))
            return None
        message = self._receive()
        report = None
        line = "", 0, ""
        with self._making_sense():
            if "log" in message:
                name, level, text = message["log"]
                line = str(name), int(level), str(text)
            elif "report" in message:
                phase, *numbers = message["report"]
                report = Report(Phase(phase), *numbers)
            elif message["end"] == self._number:
                self._broken = bool(message.get("broken"))
                self._running = False
                return message
        # Outside: what these raise is the user's, and comes out.
        if report is not None:
            listen(report)
        else:
            self._tell(*line)
        return None

    def _tell(self, name: str, level: int, text: str) -> None:
        if text:
            self._lines.append(text)
            logging.getLogger(name).log(level, "%s", text)

    def _receive(self) -> Message:
        with self._making_sense():
            try:
                message = self._channel.receive()
            except OSError as error:
                raise GenerationError(f"nothing can be taken from the engine's process ({error})") from error
            except MemoryError as error:
                raise OutOfMemoryError("memory ran out for what the engine's process hands over") from error
        if message is None:
            self._crashed(process.ending_of(self._process))
        return message

    @contextmanager
    def _making_sense(self) -> Iterator[None]:
        """Takes what cannot be understood for a crash: memory of the process was overwritten."""
        try:
            yield
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            self._crashed(f"spoke nonsense ({type(error).__name__}) and was ended")

    def _crashed(self, how: str) -> NoReturn:
        """Raises EngineCrashedError."""
        detail = "\n".join(self._lines)
        message = f"the engine's process {how}; the next picture opens the model in a new one"
        self._ended = lambda: EngineCrashedError(message, detail=detail)
        self._end(politely=False)
        raise self._ended()

    def _give_up(self) -> NoReturn:
        """Ends a process that was told to stop, and did not. Raises GenerationCancelled."""
        self._end(politely=False)
        raise GenerationCancelled("cancelled")

    def _end(self, *, politely: bool) -> None:
        self._running = False
        self._broken = True
        with self._ending:
            if self._finalizer.detach():
                process.end(self._process, self._channel, politely=politely, owner=self._owner)
