"""What a fork of the process copies, and must not be used there; locks that it does not leave locked."""

from __future__ import annotations

import os
import threading
import weakref
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any

from sdcpp_py.errors import GenerationError

_locks: weakref.WeakSet[ProcessLock] = weakref.WeakSet()


class ProcessLock(AbstractContextManager[None]):
    """A reentrant lock of one process.

    A fork copies a lock as it is at that moment, and not the thread that holds it, which would be waited for without
    end: in the new process the lock is a new one, which nobody holds.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._taken = 0  # how often, by the thread that has it
        _locks.add(self)

    def acquire(self, seconds: float | None = None) -> bool:
        """Takes it; where another thread has it for so many seconds, returns False."""
        got = self._lock.acquire(timeout=-1 if seconds is None else seconds)
        self._taken += got
        return got

    def release(self) -> None:
        """Gives it back. Where it was taken before a fork, nobody has it in the new process."""
        if self._taken:
            self._taken -= 1
            self._lock.release()

    def __enter__(self) -> None:
        self.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def renew(self) -> None:
        """Puts a new lock in its place. While there is one thread."""
        self._lock = threading.RLock()
        self._taken = 0


def check_process(process: int) -> None:
    """Raises GenerationError in a fork of the process of that number, which made the generator."""
    if os.getpid() != process:
        raise GenerationError("this generator was made before a fork; make it in the process that generates")


def _renew_all(*_: Any) -> None:
    for lock in list(_locks):
        lock.renew()


if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(after_in_child=_renew_all)
