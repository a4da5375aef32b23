"""Seconds that a test of speed asserts on, taken so that what else the machine does counts as little as possible."""

from __future__ import annotations

import time
from collections.abc import Callable

# What it takes on the machines that the promises were made on.
_USUAL = 0.25


def quickest(seconds: Callable[[], float], enough: float, tries: int = 5) -> float:
    """The least of what a few tries take; the first that is less than ``enough`` is the last."""
    best = seconds()
    for _ in range(tries - 1):
        if best < enough:
            break
        best = min(best, seconds())
    return best


def slower_than_usual() -> float:
    """How many times as slow this machine is now as those that the promises were made on; 1 where it is quicker."""
    began = time.process_time()
    sum(number * number for number in range(5_000_000))
    return max(1.0, (time.process_time() - began) / _USUAL)
