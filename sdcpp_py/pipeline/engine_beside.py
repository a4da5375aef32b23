"""The other half at work: an engine on the CPU that decodes and encodes while a GPU denoises."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from sdcpp_py._native.any_engine import AnyEngine
from sdcpp_py._native.engine import Listener
from sdcpp_py._native.library import find_device
from sdcpp_py._native.requests import Movement, MoveRequest, OpenRequest, Request
from sdcpp_py.models.files import ModelFiles
from sdcpp_py.parts import PARTS
from sdcpp_py.pipeline.isolation.choice import new_engine


@dataclass(eq=False)
class Job:
    """What the engine beside is to do.

    Attributes:
        part: the name of the part that computes.
        request: to the engine.
        listen: is told of progress, that of the part's weights included.
        take: is handed the arrays that it gives.
        done, failed: how it ended.
    """

    part: str
    request: Request
    listen: Listener
    take: Callable[[dict[str, NDArray[Any]]], object]
    done: bool = False
    failed: bool = False

    @property
    def over(self) -> bool:
        """Whether it has ended."""
        return self.done or self.failed


class EngineBeside:
    """An engine over the files of a model, all of it on the CPU, which does one job after the other.

    Weights of a part come with the first job for it, and stay. As the other engine, it is for one thread, except
    ``cancel``. What it gives has the bits that the other one would give on the CPU.

    Args:
        files: of the model.
        threads: CPU threads.
        isolated: whether it has a process of its own.
        check: the engine's, which says by what it raises that the call is to stop.

    Raises as ``new_engine`` does.
    """

    def __init__(self, files: ModelFiles, threads: int, isolated: bool, check: Callable[[], None]) -> None:
        self._files = files
        self._threads = threads
        self._engine: AnyEngine = new_engine(isolated, check=check)
        self._opened = False
        self._bringing = False
        self.jobs: deque[Job] = deque()
        """Those that have not ended; the first one is at work."""
        self.bytes_held: dict[str, int] = {}
        """Bytes of weights in memory, by the name of the part; those on their way are not counted."""

    def add(self, job: Job) -> None:
        """Does a job after those that it has. Raises as engines do."""
        self.jobs.append(job)
        if len(self.jobs) == 1:
            self._begin(job)

    def hear(self, seconds: float) -> None:
        """Takes what the jobs have to say, and what they give.

        Args:
            seconds: to wait for a word, at most.

        Raises as ``AnyEngine.hear`` does, and what the jobs' functions raise. No job goes on then.
        """
        while self.jobs:
            job = self.jobs[0]
            found = self._engine.hear(job.listen, seconds=seconds)
            if found is None:
                return
            seconds = 0.0
            if self._bringing:
                self._bringing = False
                self.bytes_held[job.part] = self._engine.part(job.part).in_memory
                self._engine.begin(job.request)
                continue
            self.jobs.popleft()
            job.take(found)
            job.done = True
            if self.jobs:
                self._begin(self.jobs[0])

    def cancel(self) -> None:
        """Tells it to stop. From any thread."""
        self._engine.cancel()

    def close(self) -> None:
        """Stops it and frees what it has; jobs that have not ended have failed. May be called twice."""
        for job in self.jobs:
            job.failed = True
        self.jobs.clear()
        self._engine.close()

    def _begin(self, job: Job) -> None:
        if not self._opened:
            devices = dict.fromkeys(PARTS, find_device("cpu").native_name)
            request = OpenRequest(self._files.sources, devices, self._threads, arrangements=self._files.arrangements)
            self._engine.run(request, job.listen)
            self._opened = True
        if job.part in self.bytes_held:
            self._engine.begin(job.request)
            return
        # What the part does not use for this, such as a VAE's encoder, is left in the file.
        self._engine.measure(job.request)
        self._bringing = True
        self._engine.begin(MoveRequest({job.part: Movement.BRING}))
