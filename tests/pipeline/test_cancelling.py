"""Stopping a call anywhere, in every way: it comes back soon, and the next picture is right."""

from __future__ import annotations

import logging
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from sdcpp_py import (
    GeneratedImage,
    GenerationCancelled,
    GenerationTimeoutError,
    Generator,
    Phase,
    Progress,
    SettingsError,
)
from sdcpp_py._native import library
from sdcpp_py._native.requests import FaultRequest
from sdcpp_py.pipeline.call_lock import CallLock
from sdcpp_py.pipeline.in_time import in_time
from sdcpp_py.pipeline.stopping import CallStop, doing
from sdcpp_py.synth import SyntheticSet
from sdcpp_py.system.deadline import Deadline
from tests.support.seconds import quickest

from ..conftest import open_generator

SMALL: dict[str, Any] = {"width": 64, "height": 64, "steps": 3, "seed": 1}
PHASES = (Phase.ENCODE, Phase.DENOISE, Phase.DECODE)


class Stopped(Exception):
    """What a callback raises."""


def pixels(generator: Generator, **arguments: Any) -> np.ndarray:
    return np.asarray(generator.generate("cat", **{**SMALL, **arguments}))


def long_deadline() -> Deadline:
    """One that is not over before a test says so."""
    return Deadline(1000)


def end(deadline: Deadline) -> None:
    deadline._end = -math.inf


def stop(way: str, generator: Generator, deadline: Deadline) -> None:
    """Stops the call of this thread or of another one, in one of the ways."""
    if way == "cancel":
        generator.cancel()
    elif way == "timeout":
        end(deadline)
    elif way == "ctrl-c":
        signal.raise_signal(signal.SIGINT)
    else:
        raise Stopped


WAYS: dict[str, type[BaseException]] = {
    "cancel": GenerationCancelled,
    "timeout": GenerationTimeoutError,
    "ctrl-c": KeyboardInterrupt,
    "exception": Stopped,
}


@pytest.fixture(autouse=True)
def _hears_ctrl_c() -> Iterator[None]:
    """A shell's background jobs are started deaf to it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("way", WAYS)
def test_a_call_is_stopped_in_each_phase(either: Generator, phase: Phase, way: str) -> None:
    """Its error is that of the way, the model stays open, and the next picture has the same bytes as before."""
    expected = pixels(either)
    engine = either._pipeline.engine
    deadline = long_deadline()

    def on_progress(progress: Progress) -> None:
        if progress.phase is phase:
            stop(way, either, deadline)

    with pytest.raises(WAYS[way]) as caught:
        either.generate(f"a cat, {phase} {way}", timeout=deadline, on_progress=on_progress, **SMALL)  # type: ignore[arg-type]
    assert type(caught.value) is WAYS[way]
    assert np.array_equal(pixels(either), expected)
    if not engine.broken:  # a process that did not stop in time on a busy machine was ended
        assert either._pipeline.engine is engine


@pytest.fixture
def hears_again() -> Iterator[Callable[[], None]]:
    """Ends the deafness of the jobs of this process, also where a test has failed."""
    yield library.lib.sdpy_end_deafness
    library.lib.sdpy_end_deafness()


@contextmanager
def when_deaf(act: Callable[[], object]) -> Iterator[None]:
    """Does something as soon as the engine does not hear any more, in whatever thread takes its log."""

    class Hearing(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if "a fault was asked for" in record.getMessage():
                act()

    logger, handler = logging.getLogger("sdcpp_py.engine"), Hearing()
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


@pytest.mark.sample(3)
@pytest.mark.parametrize("way", ["cancel", "timeout", "ctrl-c"])
def test_a_job_that_does_not_hear_is_not_waited_for(
    either: Generator, way: str, hears_again: Callable[[], None]
) -> None:
    """The call comes back while the native job still goes on, or its process was ended; the next picture is right."""
    expected = pixels(either)
    engine = either._pipeline.engine
    engine.run(FaultRequest(library.lib.SDPY_FAULT_DEAF, after_steps=1))
    deadline = long_deadline()
    with when_deaf(lambda: stop(way, either, deadline)), pytest.raises(WAYS[way]):
        either.generate("another cat", timeout=deadline, **SMALL)  # type: ignore[arg-type]
    assert engine.broken or not engine.idle
    hears_again()
    assert np.array_equal(pixels(either), expected)


def test_what_waits_for_a_job_that_does_not_hear_is_stopped_too(
    generator: Generator, hears_again: Callable[[], None]
) -> None:
    """A call that waits for the last one's job to end is cancelled as any other, and so is closing not held up."""
    expected = pixels(generator)
    engine = generator._pipeline.engine
    engine.run(FaultRequest(library.lib.SDPY_FAULT_DEAF, after_steps=1))
    with when_deaf(generator.cancel), pytest.raises(GenerationCancelled):
        generator.generate("another cat", **SMALL)
    with pytest.raises(GenerationTimeoutError, match="was over while"):
        generator.generate("a third cat", timeout=0.01, **SMALL)
    assert not engine.idle
    hears_again()
    assert np.array_equal(pixels(generator), expected)


@pytest.mark.parametrize("isolation", ["thread", "process"])
@pytest.mark.parametrize("way", ["timeout", "exception", "ctrl-c"])
def test_opening_is_stopped(model: SyntheticSet, isolation: str, way: str) -> None:
    """While weights are read: the error comes out, nothing stays, and the same files open afterwards."""
    deadline = long_deadline()

    def on_progress(progress: Progress) -> None:
        if way == "timeout":
            end(deadline)
        elif way == "ctrl-c":
            signal.raise_signal(signal.SIGINT)
        else:
            raise Stopped

    with pytest.raises(WAYS[way]):
        open_generator(model, isolation=isolation, timeout=deadline, on_progress=on_progress)
    with open_generator(model, isolation=isolation, timeout=1000) as opened:
        assert pixels(opened).shape == (64, 64, 3)


def test_a_timeout_says_what_was_done(generator: Generator) -> None:
    """The message has the seconds and the step; the error is a TimeoutError, and a cancelling."""
    deadline = long_deadline()
    steps: list[int] = []

    def on_progress(progress: Progress) -> None:
        if progress.phase is Phase.DENOISE and progress.step >= 1 and not steps:
            steps.append(progress.step + 1)  # the second, or a later one where this thread was slow
            end(deadline)

    with pytest.raises(TimeoutError) as caught:
        generator.generate("cat", timeout=deadline, on_progress=on_progress, **SMALL)  # type: ignore[arg-type]
    said = f"timeout=1000 was over while step {min(steps[0], 3)} of 3 was denoised; "
    assert str(caught.value).startswith(said)
    assert isinstance(caught.value, GenerationCancelled)


@pytest.mark.parametrize(
    ("progress", "says"),
    [
        (Progress(Phase.DOWNLOAD, 0, 0, None), "files were downloaded"),
        (Progress(Phase.LOAD, 0, 0, None), "weights were read"),
        (Progress(Phase.DENOISE, 0, 0, None, step=0, steps=4), "step 1 of 4 was denoised"),
        (Progress(Phase.DENOISE, 1, 0, None, step=4, steps=4), "step 4 of 4 was denoised"),
        (Progress(Phase.DENOISE, 0, 0, None, step=1, steps=4, image=1, images=3), "step 2 of 4 of picture 2 of 3 was "),
        (Progress(Phase.DECODE, 0, 0, None, image=2, images=3), "the picture was decoded (picture 3 of 3)"),
    ],
)
def test_what_is_done_in_words(progress: Progress, says: str) -> None:
    """Each phase has its words, with the step and the picture where there are several."""
    assert doing(progress).startswith(says)


@pytest.mark.parametrize("seconds", [0, -1, math.inf, math.nan, "3", True])
def test_a_timeout_is_a_number_of_seconds(generator: Generator, seconds: Any) -> None:
    """Anything else is refused by name, in every call that takes one."""
    for call in (generator.generate, generator.generate_batch, generator.encode):
        with pytest.raises(SettingsError, match="timeout must be"):
            call("cat", timeout=seconds)
    with pytest.raises(SettingsError, match="timeout must be"):
        Generator.from_pretrained("tiny", timeout=seconds)


@pytest.mark.parametrize("way", ["cancel", "timeout"])
def test_a_batch_gives_what_was_finished(either: Generator, way: str) -> None:
    """With on_cancel="return", the pictures before the one that was stopped come back, and each was handed out."""
    expected = [pixels(either, seed=seed) for seed in (1, 2)]
    deadline = long_deadline()
    handed: list[GeneratedImage] = []

    def on_progress(progress: Progress) -> None:
        if progress.image == 2 and progress.phase is Phase.DENOISE:
            stop(way, either, deadline)

    finished = either.generate_batch(
        "cat", count=4, timeout=deadline, on_cancel="return", on_progress=on_progress, on_image=handed.append, **SMALL  # type: ignore[arg-type]
    )  # fmt: skip
    assert [np.array_equal(np.asarray(one), other) for one, other in zip(finished, expected, strict=True)] == [True] * 2
    assert [one.seed for one in handed] == [1, 2]
    with pytest.raises(WAYS[way]):
        either.generate_batch(
            "cat", count=4, timeout=deadline, on_progress=lambda _: stop(way, either, deadline), **SMALL  # type: ignore[arg-type]
        )  # fmt: skip
    with pytest.raises(SettingsError, match="on_cancel is 'keep'"):
        either.generate_batch("cat", on_cancel="keep")  # type: ignore[arg-type]


def test_the_wait_for_a_turn_counts(generator: Generator) -> None:
    """A thread whose timeout is over while another one generates is told so, and the other's picture is right."""
    expected = pixels(generator)
    holding, tried = threading.Event(), threading.Event()
    drawn: list[np.ndarray] = []

    def hold(progress: Progress) -> None:
        holding.set()
        tried.wait()

    other = threading.Thread(target=lambda: drawn.append(pixels(generator, on_progress=hold)))
    other.start()
    holding.wait()
    with pytest.raises(GenerationTimeoutError, match="another thread's call with this generator was waited for"):
        generator.generate("dog", timeout=0.05, **SMALL)
    tried.set()
    other.join()
    assert np.array_equal(drawn[0], expected)


def test_a_cancel_that_comes_late_stops_no_other_call() -> None:
    """A call is not over while somebody is telling its engine to stop, who would else tell that of the next one."""
    telling, over = threading.Event(), threading.Event()
    late: list[bool] = []

    def tell() -> None:
        telling.set()
        late.append(over.wait(0.3))

    lock = CallLock(CallStop(), tell, lambda: None, False)
    other = threading.Thread(target=lock.cancel)
    with lock.take(None):
        other.start()
        telling.wait()
    over.set()
    other.join()
    assert late == [False]


def test_work_that_is_silent_is_left_alone() -> None:
    """Where the time is over while a server says nothing, the call comes back, and the work ends at its next report."""
    deadline = long_deadline()
    silent, ended = threading.Event(), threading.Event()
    heard: list[int] = []

    def work(tell: Callable[[Progress], object] | None) -> None:
        assert tell is not None
        tell(Progress(Phase.DOWNLOAD, 0.1, 0, None))
        silent.wait()
        try:
            tell(Progress(Phase.DOWNLOAD, 0.2, 0, None))
        except GenerationCancelled:
            ended.set()

    def on_progress(progress: Progress) -> None:
        heard.append(threading.get_ident())
        end(deadline)

    with pytest.raises(GenerationTimeoutError, match="was over while files were downloaded"):
        in_time(work, deadline, on_progress)
    silent.set()
    ended.wait()
    assert heard == [threading.get_ident()]


def test_work_in_time_gives_its_result_and_its_errors() -> None:
    """With a deadline and without one, what the work gives and raises comes out, in the words of the caller."""

    def refuse(tell: object) -> None:
        raise Stopped

    for deadline in (Deadline(), long_deadline()):
        assert in_time(lambda tell: 3, deadline, None) == 3
        with pytest.raises(Stopped):
            in_time(refuse, deadline, None)


@pytest.mark.timing
def test_a_timeout_is_kept(generator: Generator) -> None:
    """A picture that takes longer comes back half a second after its timeout at most."""

    def seconds() -> float:
        began = time.perf_counter()
        with pytest.raises(GenerationTimeoutError):
            generator.generate("cat", width=1024, height=1024, steps=100, timeout=0.7)
        return time.perf_counter() - began

    assert 0.7 <= quickest(seconds, 1.2) < 1.2
