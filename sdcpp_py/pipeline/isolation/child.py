"""What the engine's process does: it takes calls, and sends back reports, log lines and results."""

from __future__ import annotations

import logging
import os
import queue
import signal
import socket
import threading
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import sdcpp_py
from sdcpp_py._native import library
from sdcpp_py._native.engine import Engine, Report
from sdcpp_py._native.library import ffi
from sdcpp_py._native.status import Failure, Status
from sdcpp_py.pipeline.isolation import common_memory
from sdcpp_py.pipeline.isolation.channel import Channel
from sdcpp_py.pipeline.isolation.messages import Message
from sdcpp_py.pipeline.isolation.process import LEFT_TO_THE_PARENT

# How often it looks whether its parent is still there. The end of the channel says so at once, unless something else
# holds a copy of the parent's end, as a program does that was forked outside of Python.
_GLANCE_SECONDS = 2.0

_CANCELLED = {"failure": [int(Status.CANCELLED), "cancelled", ""]}


class _Failed(Exception):
    """A failure of the native library, told as it is: the parent knows what its user calls the arguments."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


class _Cancelled(Exception):
    """The parent has cancelled this call."""


class _PlainEngine(Engine):
    def _fail(self, failure: Any) -> NoReturn:
        raise _Failed(Failure.read(failure, ffi))


class _Sending(logging.Handler):
    def __init__(self, channel: Channel) -> None:
        super().__init__()
        self._channel = channel

    def emit(self, record: logging.LogRecord) -> None:
        _send(self._channel, {"log": [record.name, record.levelno, record.getMessage()]})


class _Server:
    def __init__(self, channel: Channel, parent: int, new_engine: Callable[[], Engine]) -> None:
        self._channel = channel
        self._parent = parent
        self._new_engine = new_engine
        self._calls: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._engine: Engine | None = None
        self._number = 0
        self._received = self._answered = 0
        self._cancelled = -1

    def serve(self) -> NoReturn:
        threading.Thread(target=self._listen, daemon=True).start()
        self._answer(self._open)
        while True:
            call = self._calls.get()
            self._number = call["call"]
            self._answer(partial(self._do, call))

    def _open(self) -> Any:
        self._engine = self._new_engine()
        return {"version": sdcpp_py.__version__, "folder": Path(sdcpp_py.__file__).parent}

    def _listen(self) -> None:
        """In a thread: a call that computes is cancelled, and ends with the parent, whatever it is doing."""
        try:
            while True:
                if not self._channel.wait(_GLANCE_SECONDS):
                    if os.getppid() != self._parent:
                        return
                    continue
                message = self._channel.receive()
                if message is None:
                    return
                if "cancel" in message:
                    self._cancel(message["cancel"])
                else:
                    self._received = message["call"]
                    self._calls.put(message)
        finally:
            os._exit(0)

    def _cancel(self, number: int) -> None:
        # Noted first: it may come before the native job has begun.
        self._cancelled = number
        if self._engine is not None:
            self._engine.cancel()
            if number > self._received or number <= self._answered:
                # Ctrl-C came in the parent before the call was sent, or as its end was received.
                _send(self._channel, {"end": number, **_CANCELLED, "broken": self._engine.broken})

    def _answer(self, work: Callable[[], Any]) -> None:
        end: dict[str, Any] = {"end": self._number}
        try:
            self._check()
            end["value"] = work()
        except _Failed as failed:
            failure = failed.failure
            end["failure"] = [int(failure.status), failure.message, failure.detail]
        except _Cancelled:
            end.update(_CANCELLED)
        except MemoryError as error:
            end["failure"] = [int(Status.OUT_OF_MEMORY), "memory ran out", str(error)]
        except Exception as error:
            end["failure"] = [int(Status.GENERATION_FAILED), f"{type(error).__name__}: {error}", traceback.format_exc()]
        if self._engine is not None:
            self._engine.settle()
            end["broken"] = self._engine.broken
        self._answered = self._number
        _send(self._channel, end)

    def _check(self) -> None:
        if self._cancelled >= self._number:
            raise _Cancelled

    def _do(self, call: Message) -> Any:
        assert self._engine is not None
        if "run" in call:
            return self._engine.run(call["run"], self._report)
        if "measure" in call:
            measured = self._engine.measure(call["measure"])
            return measured.working, measured.tokens, measured.unsupported
        if "part" in call:
            info = self._engine.part(call["part"])
            return info.bytes, info.least_room, info.ahead_room, info.in_memory, info.waited
        usage = self._engine.usage(call["usage"], reset=call["reset"])
        return usage.bytes, usage.most_bytes, usage.longest_submission

    def _report(self, report: Report) -> None:
        self._check()
        of_bytes = report.bytes_done, report.bytes_total
        told = [report.phase.value, report.fraction, report.step, report.steps, *of_bytes]
        _send(self._channel, {"report": told})


def _send(channel: Channel, message: Message) -> None:
    try:
        channel.send(message)
    except BrokenPipeError:
        os._exit(0)  # nobody is there to hear of it


def main(files: str, parent: str, cpus: str, submission_target: str) -> NoReturn:
    """Serves a process until that closes its end of the channel.

    Args:
        files: descriptors, with commas between, "" where there is none: of this end of the channel, of the file for
            finished steps, and of the memory that such processes have in common.
        parent: the number of the process that has the other end.
        cpus: the numbers of those that the engine computes on, with commas between.
        submission_target: milliseconds that a submission to a GPU should take at most; "": the usual.
    """
    for ours in LEFT_TO_THE_PARENT:
        signal.signal(ours, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    descriptor, steps_file, common = (int(file) if file else None for file in files.split(","))
    channel = Channel(socket.socket(fileno=descriptor))
    logger = logging.getLogger("sdcpp_py")
    logger.setLevel(logging.DEBUG)
    logger.addHandler(_Sending(channel))
    logger.propagate = False

    def new_engine() -> Engine:
        if common is not None:
            common_memory.use(common)
        engine = _PlainEngine([int(cpu) for cpu in cpus.split(",")], steps_file)
        if submission_target:
            library.set_submission_target(int(submission_target))
        return engine

    _Server(channel, int(parent), new_engine).serve()
