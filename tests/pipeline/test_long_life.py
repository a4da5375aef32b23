"""A program that generates for weeks: what it takes of the system stays what it was.

By default some seconds of each; ``SDCPP_PY_TEST_PICTURES`` says how many pictures, and all else follows from that::

    SDCPP_PY_TEST_PICTURES=2000 pytest -m slow tests/pipeline/test_long_life.py -s
"""

from __future__ import annotations

import gc
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sdcpp_py import GenerationCancelled, GenerationError, Generator, Phase, Progress
from sdcpp_py._native import library
from sdcpp_py._native.requests import FaultRequest
from sdcpp_py.pipeline.isolation.process import reap
from sdcpp_py.pipeline.isolation.remote_engine import RemoteEngine
from tests.support.patience import PATIENCE, children_of_this_process, until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.usefixtures("every_cpu"),
    pytest.mark.skipif(sys.platform != "linux", reason="what a process takes is read where Linux says it"),
]

PICTURES = int(os.environ.get("SDCPP_PY_TEST_PICTURES", "60"))
OPENINGS = max(12, PICTURES // 4)
SECONDS = 0.6 * PICTURES / 6 if PICTURES < 600 else 0.6 * PICTURES
WARM = min(100, PICTURES // 3)
"""After so many pictures all that is made once has been made."""
TO_END = 20.0
PAGE = os.sysconf("SC_PAGE_SIZE")
SIZES = ((64, 64), (128, 64), (64, 192), (128, 128))
PICTURE = np.arange(128 * 128 * 3, dtype=np.uint8).reshape(128, 128, 3)
# Of resident memory. A short run has not seen all that is made once, in every combination.
GROWTH = 0.02 if PICTURES >= 600 else 0.25


def entries(folder: Path) -> int:
    return sum(1 for _ in folder.iterdir())


@dataclass(frozen=True)
class Taken:
    """What this process and its engines' processes take of the system.

    Attributes:
        resident: bytes of memory.
        descriptors, threads: of this process; and of the engines' processes, whose number is the third.
        shared: pieces of memory without a name.
    """

    resident: int
    descriptors: int
    threads: int
    processes: int
    shared: int

    @property
    def counts(self) -> tuple[int, ...]:
        """All but memory."""
        return self.descriptors, self.threads, self.processes, self.shared

    @classmethod
    def now(cls) -> Taken:
        """What they take just now."""
        gc.collect()
        reap(0)
        children = children_of_this_process()
        resident = descriptors = threads = shared = 0
        for one in (Path("/proc/self"), *(Path("/proc", str(number)) for number in children)):
            with suppress(OSError):  # it has ended since
                resident += int((one / "statm").read_text("ascii").split()[1]) * PAGE
                descriptors += entries(one / "fd")
                threads += entries(one / "task")
                shared += (one / "maps").read_bytes().count(b"/memfd:")
        return cls(resident, descriptors, threads, len(children), shared)

    @classmethod
    def at_rest(cls) -> Taken:
        """What they take once nothing changes any more: what was given up comes to its end in the background."""
        end, alike = time.monotonic() + TO_END, 0
        taken = cls.now()
        while alike < 5 and time.monotonic() < end:
            time.sleep(0.1)
            before, taken = taken, cls.now()
            alike = alike + 1 if taken.counts == before.counts else 0
        return taken

    def no_more_than(self, before: Taken) -> bool:
        """Whether no count is higher; before, something more may have been ending."""
        return all(now <= then for now, then in zip(self.counts, before.counts, strict=True))


def check_constant(before: Taken, what: str) -> None:
    assert until(lambda: Taken.now().no_more_than(before)), (Taken.now(), before)
    after = Taken.at_rest()
    print(f"\n{what}: {before.resident >> 20} MiB before, {after.resident >> 20} MiB after")
    assert after.resident <= before.resident * (1 + GROWTH)


class Stopped(Exception):
    """What a callback raises."""


def at_a_step(act: Callable[[], object]) -> Callable[[Progress], None]:
    def on_progress(progress: Progress) -> None:
        if progress.phase is Phase.DENOISE:
            act()

    return on_progress


def refuse() -> None:
    raise Stopped


class Life:
    """Calls of every kind on a generator, in an order that the dice say."""

    def __init__(self, generator: Generator, dice: random.Random) -> None:
        self.generator = generator
        self.dice = dice
        self.options: dict[str, Any] = {"steps": 2, "seed": 3}
        self.expected = self.draw()

    def draw(self, **more: Any) -> np.ndarray:
        """A small picture, or what is said instead."""
        given = {"width": 64, "height": 64, **self.options, **more}
        return np.asarray(self.generator.generate("a red circle", **given))

    def picture(self) -> None:
        """Two pictures of some size, seed and prompt."""
        width, height = self.dice.choice(SIZES)
        self.draw(width=width, height=height, seed=self.dice.randrange(1000))
        self.generator.generate(f"a red circle, {self.dice.randrange(20)}", width=64, height=64, steps=1)

    def init_image(self) -> None:
        """A picture from an init image, under a mask or not."""
        mask = PICTURE[..., 0] if self.dice.random() < 0.5 else None
        self.draw(width=128, height=128, image=PICTURE, mask=mask, strength=0.6)

    def cancelled(self) -> None:
        """One that is cancelled."""
        with pytest.raises(GenerationCancelled):
            self.draw(on_progress=at_a_step(self.generator.cancel))

    def stopped(self) -> None:
        """One whose callback raises."""
        with pytest.raises(Stopped):
            self.draw(on_progress=at_a_step(refuse))

    def timed_out(self) -> None:
        """One that takes too long."""
        with pytest.raises(TimeoutError):
            self.draw(timeout=1e-4)

    def failed(self) -> None:
        """A failure of the engine."""
        with pytest.raises(GenerationError):
            self.generator._pipeline.engine.run(FaultRequest(library.lib.SDPY_FAULT_EXCEPTION))

    def killed(self) -> None:
        """The end of the engine's process, and a picture."""
        engine = self.generator._pipeline.engine
        if isinstance(engine, RemoteEngine):
            os.kill(engine.pid, signal.SIGKILL)
            engine._process.wait(PATIENCE)  # else it may end in the middle of the next call, which is an error of that
        self.draw()

    def one(self) -> None:
        """Any of them, after which the picture is the same as ever."""
        kinds: list[Callable[[], object]] = [
            self.picture, self.init_image, self.cancelled, self.stopped, self.timed_out, self.failed,
        ]  # fmt: skip
        self.dice.choice([*kinds, self.picture, self.picture])()
        if self.dice.random() < 0.02:
            self.killed()
        assert np.array_equal(self.draw(), self.expected)


@pytest.fixture
def lives() -> Iterator[list[Life]]:
    """With the engine in a thread and in a process."""
    with ExitStack() as stack:
        yield [
            Life(stack.enter_context(opened(isolation)), random.Random(number))
            for number, isolation in enumerate(("thread", "process"))
        ]


def opened(isolation: str, **more: Any) -> Generator:
    return Generator.from_pretrained("tiny", device="cpu", isolation=isolation, **more)  # type: ignore[arg-type]


def test_pictures_failures_and_cancels(lives: list[Life]) -> None:
    """Memory stays within 2% of what it was after the hundredth (25% in the short version).

    Descriptors, threads, processes and shared memory are as many.
    """
    for turn in range(PICTURES):
        if turn == WARM:
            before = Taken.at_rest()
        lives[turn % len(lives)].one()
    check_constant(before, f"{PICTURES} calls")


def test_openings_and_closings() -> None:
    """The same of models that are opened and closed, used and unused, and given up while they are read."""
    dice = random.Random(5)
    for turn in range(OPENINGS):
        if turn == OPENINGS // 2:
            before = Taken.at_rest()
        isolation = ("thread", "process")[turn % 2]
        with opened(isolation) as generator:
            if dice.random() < 0.5:
                generator.generate("a red circle", width=64, height=64, steps=1)
        with pytest.raises(TimeoutError):
            opened(isolation, timeout=1e-4)
    check_constant(before, f"{OPENINGS} openings")


def test_threads_over_generators() -> None:
    """Eight threads draw with three generators and cancel at random: pictures are right, and nothing is left."""
    wrong: list[object] = []

    def work(number: int, generators: list[Generator], expected: np.ndarray, end: float) -> None:
        dice = random.Random(number)
        try:
            while time.monotonic() < end and not wrong:
                generator = dice.choice(generators)
                if dice.random() < 0.2:
                    generator.cancel()
                try:
                    drawn = generator.generate("a red circle", width=64, height=64, steps=1, seed=1)
                except GenerationCancelled:
                    continue
                if not np.array_equal(np.asarray(drawn), expected):
                    wrong.append("another picture")
        except BaseException as error:  # for the test's own thread
            wrong.append(error)

    with ExitStack() as stack:
        generators = [stack.enter_context(opened(one, threads=1)) for one in ("thread", "thread", "process")]
        for part in (SECONDS / 4, SECONDS):
            expected = np.asarray(generators[0].generate("a red circle", width=64, height=64, steps=1, seed=1))
            end = time.monotonic() + part
            threads = [threading.Thread(target=work, args=(number, generators, expected, end)) for number in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            if part != SECONDS:
                before = Taken.at_rest()
        assert not wrong
        check_constant(before, f"{SECONDS:.0f} s of eight threads")
