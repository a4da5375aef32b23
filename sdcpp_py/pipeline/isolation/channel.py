"""The way between two processes: a socket for what is small, shared memory for arrays."""

from __future__ import annotations

import array
import json
import os
import select
import socket
import weakref
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sdcpp_py.pipeline.isolation.messages import Message, empty, read, shape_of, written
from sdcpp_py.system.nameless_file import open_nameless

SUPPORTED = hasattr(socket, "SOCK_SEQPACKET") and hasattr(socket, "CMSG_LEN") and hasattr(select, "poll")
"""Whether this system has sockets that keep messages apart and carry file descriptors (Linux does)."""

# A message of more letters goes through shared memory too: a socket takes some 200 KiB at once.
_LONGEST = 32 << 10
_ALIGNMENT = 64
# The system reads and writes 2 GiB at once, at most.
_PIECE = 1 << 30

_open: weakref.WeakSet[Channel] = weakref.WeakSet()


class Channel:
    """One end. Any thread may send; one receives.

    Messages come one by one, whole, in order. Arrays lie in memory without a name (memfd), whose descriptor travels
    with the message: it is gone when both ends have closed it, however they end.
    """

    def __init__(self, end: socket.socket) -> None:
        self._socket = end
        _open.add(self)

    @property
    def closed(self) -> bool:
        """Whether this end was closed."""
        return self._socket.fileno() < 0

    def close(self) -> None:
        """Closes this end: the other one reads that there is nothing more. May be called twice."""
        self._socket.close()

    def send(self, message: Message, *, wait: bool = True) -> None:
        """Sends a message. Not ``wait``: drops it where the other end has not read for long.

        Raises BrokenPipeError where the other end is closed, OSError where there is no shared memory.
        """
        text, arrays = written(message)
        inline = len(text) <= _LONGEST
        shared = [*arrays, *(() if inline else (np.frombuffer(text.encode(), np.uint8),))]
        frame = json.dumps([[shape_of(one) for one in shared], text if inline else None]).encode()
        if not shared:
            self._send(frame, [], wait)
            return
        file = open_nameless()
        try:
            _write(file, shared)
            self._send(frame, [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [file]))], wait)
        finally:
            os.close(file)

    def _send(self, frame: bytes, attached: list[Any], wait: bool) -> None:
        flags = socket.MSG_NOSIGNAL | (0 if wait else socket.MSG_DONTWAIT)
        try:
            self._socket.sendmsg([frame], attached, flags)
        except BlockingIOError:
            pass
        except ConnectionError as error:
            raise BrokenPipeError("the other process has ended") from error

    def wait(self, seconds: float) -> bool:
        """Waits until there is something to receive, the end included; returns whether there is."""
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        return bool(poll.poll(seconds * 1000))

    def receive(self) -> Message | None:
        """The next message, waited for; None where the other end is closed, and all that it sent was received.

        Raises OSError where this process has no descriptor left for a message's arrays, ValueError where it is none.
        """
        try:
            frame, attached, flags, _ = self._socket.recvmsg(
                4 * _LONGEST, socket.CMSG_SPACE(array.array("i").itemsize), socket.MSG_CMSG_CLOEXEC
            )
        except ConnectionError:
            return None
        files = array.array("i")
        for _, _, data in attached:
            files.frombytes(data)
        try:
            return self._read(frame, files[0] if files else None, bool(flags & socket.MSG_CTRUNC)) if frame else None
        finally:
            for file in files:
                os.close(file)

    def _read(self, frame: bytes, file: int | None, cut: bool) -> Message:
        shapes, text = json.loads(frame)
        if cut or (shapes and file is None):
            raise OSError("arrays of a message did not come: this process has as many open files as it may have")
        arrays = [empty(shape) for shape in shapes]
        if file is not None:
            _read_into(file, arrays)
        return read(arrays.pop().tobytes().decode() if text is None else text, arrays)


def _write(file: int, arrays: list[NDArray[Any]]) -> None:
    at = 0
    for one in arrays:
        rest = _bytes_of(one)
        while rest:
            done = os.pwrite(file, rest[:_PIECE], at)
            at, rest = at + done, rest[done:]
        at += -at % _ALIGNMENT


def _read_into(file: int, arrays: list[NDArray[Any]]) -> None:
    at = 0
    for one in arrays:
        rest = _bytes_of(one)
        while rest:
            done = os.preadv(file, [rest[:_PIECE]], at)
            if not done:
                raise ValueError("a message has fewer bytes than it says")
            at, rest = at + done, rest[done:]
        at += -at % _ALIGNMENT


def _bytes_of(one: NDArray[Any]) -> memoryview:
    return one.reshape(-1).view(np.uint8).data


def _close_copies() -> None:
    # In a fork, copies of this end would keep the other process from seeing that the one it serves has ended.
    for channel in list(_open):
        channel.close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_close_copies)
