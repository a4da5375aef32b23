"""Waiting for what comes by itself: on a slow machine that others use, it may take long, and must come in the end."""

from __future__ import annotations

import contextlib
import gc
import threading
import time
from collections.abc import Callable
from pathlib import Path

PATIENCE = 600.0
"""Seconds after which a test takes what it waits for to be stuck. Nothing that is right depends on them."""


def until(true: Callable[[], object]) -> bool:
    """Waits until something is true; returns whether it was in time."""
    end = time.monotonic() + PATIENCE
    while not true():
        if time.monotonic() > end:
            return bool(true())
        time.sleep(0.01)
    return True


def threads_of_this_process() -> frozenset[int]:
    """The numbers of all threads, native ones too.

    One that has been joined may still be there: the system tells the joiner a moment before it takes it off its list.
    """
    return frozenset(int(task.name) for task in Path("/proc/self/task").iterdir())


def children_of_this_process() -> frozenset[int]:
    """The numbers of the processes that this one has started, and of those only that were not waited for."""
    found: set[int] = set()
    for list_of_one in Path("/proc/self/task").glob("*/children"):
        with contextlib.suppress(OSError):  # the thread has ended since
            found.update(map(int, list_of_one.read_text("ascii").split()))
    return frozenset(found)


def all_closed() -> None:
    """Waits until generators that nobody has any more are freed, and those that were closed behind a job."""
    gc.collect()
    for thread in threading.enumerate():
        if thread.name == "sdcpp_py closing":
            thread.join()
