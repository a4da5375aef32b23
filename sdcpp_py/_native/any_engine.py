"""What all engines can do, wherever they compute."""

from __future__ import annotations

from typing import Any, Protocol

from numpy.typing import NDArray

from sdcpp_py._native.engine import Listener, Measurement, PartInfo, ignore
from sdcpp_py._native.held_weights import HeldWeights
from sdcpp_py._native.library import DeviceUsage
from sdcpp_py._native.requests import Request


class AnyEngine(Protocol):
    """An engine, wherever it computes: in a thread of this process, or in a process of its own."""

    @property
    def broken(self) -> bool:
        """Whether it can do no more jobs: it is to be closed, and another one made."""

    @property
    def idle(self) -> bool:
        """Whether no job runs, and none that was told to stop is still coming to its end."""

    def run(self, request: Request, listen: Listener = ignore) -> dict[str, NDArray[Any]]:
        """Does a job. Returns the arrays that it gives, by name; ``listen`` is told of progress.

        Raises what the job failed with, and what ``listen`` and the engine's ``check`` raise, unchanged. Then the job
        is told to stop, and may not have come to its end (``idle``).
        """

    def begin(self, request: Request) -> None:
        """Starts a job and returns at once: ``hear`` says how it goes."""

    def hear(self, listen: Listener = ignore, *, seconds: float = 0.0) -> dict[str, NDArray[Any]] | None:
        """Takes what a job that was begun has to say. Returns what it gives where it has ended, and None before that.

        Args:
            listen: is told of progress.
            seconds: to wait for a word of it, at most.

        Raises as ``run`` does.
        """

    def measure(self, request: Request) -> Measurement:
        """What a phase would need. Needs no weights in memory, and computes nothing.

        From then on the weights that the phase does not use are known, and are left in their file.
        """

    def part(self, name: str) -> PartInfo:
        """What the weights of a part take. While no job runs."""

    def keep(self, name: str, weights: HeldWeights) -> None:
        """Lets ``weights`` keep those of a part, where they are in memory as a whole. While no job runs."""

    def usage(self, device: str, *, reset: bool = False) -> DeviceUsage:
        """What the process that computes has allocated on a device, as ``library.device_usage`` has it."""

    def cancel(self) -> None:
        """Tells the running job to stop. From any thread; without effect when none runs."""

    def settle(self) -> None:
        """Waits until a job that was told to stop has come to its end; ``broken`` is certain then.

        Raises what ``check`` raises meanwhile.
        """

    def close(self) -> None:
        """Cancels what runs and frees the model. May be called twice."""
