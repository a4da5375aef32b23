"""What a running generation reports, and what happened meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Literal


class Phase(str, Enum):
    """The parts of the work, in their order."""

    DOWNLOAD = "download"
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
        bytes_done: bytes of weights read (load), or of files fetched (download), else 0.
        bytes_total: of how many; 0 in the other phases, and for a download where the Hub does not say.
        image: which picture of a batch this is about, from 0. Where a GPU denoises a picture while the CPU decodes the
            one before, that one's decoding is told of in one go when it is done, between two reports of the other.
            Prompts that the CPU encodes meanwhile are a phase of their picture, told of when its turn comes; else all
            prompts of a batch are one phase of the first picture.
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
OnProgress = ProgressCallback | None
"""Is called in the thread that generates. What it returns is ignored; what it raises stops the run and comes out."""


EventKind = Literal[
    "device_lost",
    "engine_crashed",
    "smaller_submissions",
    "vae_on_cpu",
    "all_on_cpu",
    "bad_picture",
    "suspect_picture",
]
"""The kinds of ``GenerationEvent``."""


@dataclass(frozen=True)
class GenerationEvent:
    """One thing that happened on the way to a picture, and did not keep it from being generated.

    Attributes:
        kind: "device_lost": the driver reset the GPU; "engine_crashed": the engine's process ended by itself. What was
            done then: "smaller_submissions": the same device went on in a new process, kept busy for less at once;
            "vae_on_cpu": so did the CPU with the VAE; "all_on_cpu": so did the CPU with all parts whose device was left
            open. "bad_picture": what the VAE decoded on a GPU was no numbers, of one colour, or noise, and the CPU
            decoded it again. "suspect_picture": the picture is of one colour, which a prompt may want, or noise.
        phase: in which it happened; None before the first one.
        step: how many sampling steps of the picture were finished then; 0 before and after denoising.
        device: the name of the device that computed ("vulkan0"); of what was done then, the one that goes on.
        message: the same in a sentence, which the log has as a warning.
    """

    kind: EventKind
    phase: Phase | None
    step: int
    device: str
    message: str
