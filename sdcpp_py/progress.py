"""What a running generation reports."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum


class Phase(str, Enum):
    """The four parts of the work, in their order."""

    LOAD = "load"
    ENCODE = "encode"
    DENOISE = "denoise"
    DECODE = "decode"


@dataclass(frozen=True)
class Progress:
    """How far a phase has come.

    Attributes:
        phase: the phase that this is about.
        fraction: of the phase, from 0 to 1; it never falls within a phase, and every phase reaches 1.
        elapsed: seconds since the phase began.
        eta: seconds until the phase ends at the pace so far; None while nothing can be said.
        step: sampling steps (denoise) or tiles (decode) completed.
        steps: of how many; 0 in the phases that have none.
        bytes_done: bytes of weights read (load), else 0.
        bytes_total: bytes of weights to read (load), else 0.
        image: which picture of a batch this is about, from 0.
        images: how many pictures the call generates.
    """

    phase: Phase
    fraction: float
    elapsed: float
    eta: float | None
    step: int = 0
    steps: int = 0
    bytes_done: int = 0
    bytes_total: int = 0
    image: int = 0
    images: int = 1


ProgressCallback = Callable[[Progress], object]
"""Is called in the thread that generates. What it returns is ignored; what it raises stops the run and comes out."""
