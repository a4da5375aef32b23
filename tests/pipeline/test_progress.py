"""Progress, cancelling, and exceptions: nothing is lost and the next picture is right."""

from __future__ import annotations

import itertools
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sdcpp_py import GenerationCancelled, GenerationError, Generator, GeneratorClosedError, Phase, Progress
from sdcpp_py.synth import SyntheticSet, write_set
from tests.support.seconds import quickest

from ..conftest import open_generator

SMALL: dict[str, Any] = {"width": 64, "height": 64, "steps": 3, "seed": 1}


def check(reports: list[Progress]) -> None:
    """A phase begins at 0, never falls, and ends at 1."""
    for (phase, _), group in itertools.groupby(reports, key=lambda report: (report.phase, report.image)):
        fractions = [report.fraction for report in group]
        assert fractions[0] == 0, phase
        assert fractions[-1] == 1, phase
        assert fractions == sorted(fractions), phase


def phases(reports: list[Progress]) -> list[Phase]:
    """The phases in the order in which they were reported."""
    return [phase for phase, _ in itertools.groupby(report.phase for report in reports)]


def test_loading_reports_bytes(tmp_path: Path) -> None:
    """Loading begins at 0, never falls, and reaches 1 with all bytes of the weights read."""
    model = write_set("tiny-z-image", tmp_path, quant="Q8_0", seed=7)  # of files that no other generator has in memory
    reports: list[Progress] = []
    open_generator(model, on_progress=reports.append).close()
    assert {report.phase for report in reports} == {Phase.LOAD}
    check(reports)
    files = sum(file.stat().st_size for file in (model.diffusion_model, model.text_encoder, model.vae))
    assert reports[-1].bytes_done == reports[-1].bytes_total
    assert 0.5 * files < reports[-1].bytes_total <= files


def test_every_phase_reports_from_nothing_to_all(either: Generator) -> None:
    """Encode, denoise and decode each begin at 0, never fall, and reach 1, in this order."""
    reports: list[Progress] = []
    either.generate("cat", on_progress=reports.append, **SMALL)
    check(reports)
    assert phases(reports) == [Phase.ENCODE, Phase.DENOISE, Phase.DECODE]


def test_steps_are_reported(generator: Generator) -> None:
    """Denoising says which step of how many."""
    reports: list[Progress] = []
    generator.generate("cat", on_progress=reports.append, **SMALL)
    denoise = [report for report in reports if report.phase is Phase.DENOISE]
    assert {report.steps for report in denoise} == {3}
    assert denoise[-1].step == 3
    assert all(report.eta is None or report.eta >= 0 for report in reports)


def test_fractions_inside_steps_are_reported(generator: Generator) -> None:
    """Steps that take long are told of on the way. Who is slow hears the latest alone, so that many steps are taken."""

    def stop_inside(progress: Progress) -> None:
        if progress.phase is Phase.DENOISE and 0.02 < (progress.fraction * progress.steps) % 1 < 0.98:
            raise Whim

    with pytest.raises(Whim):
        generator.generate("cat", on_progress=stop_inside, **{**SMALL, "width": 512, "height": 512, "steps": 1000})


@pytest.mark.parametrize("family", ["generator", "klein_generator"])
def test_guidance_reports_each_phase_once(family: str, request: pytest.FixtureRequest) -> None:
    """Two prompts are one phase, which rises once from 0 to 1."""
    reports: list[Progress] = []
    opened: Generator = request.getfixturevalue(family)
    opened.generate("cat", negative_prompt="dog", cfg_scale=2, on_progress=reports.append, **SMALL)
    check(reports)
    assert phases(reports) == [Phase.ENCODE, Phase.DENOISE, Phase.DECODE]


def test_a_batch_hands_over_each_picture_when_it_is_drawn(either: Generator) -> None:
    """``on_image`` gets every picture before the next is begun, and its exception stops the batch."""
    events: list[object] = []

    def note(progress: Progress) -> None:
        if progress.phase is Phase.DENOISE and progress.fraction == 0:
            events.append(progress.image)

    pictures = either.generate_batch("cat", count=2, on_progress=note, on_image=events.append, **SMALL)
    assert events == [0, pictures[0], 1, pictures[1]]
    with pytest.raises(ZeroDivisionError):
        either.generate_batch("cat", count=2, on_image=lambda _: 1 / 0, **SMALL)


def test_tiles_are_reported(generator: Generator) -> None:
    """Decoding in tiles says how many there are, and the fraction never falls."""
    reports: list[Progress] = []
    generator.generate("cat", vae_tile_size=64, on_progress=reports.append, **{**SMALL, "width": 128, "height": 128})
    check(reports)
    assert max(report.steps for report in reports if report.phase is Phase.DECODE) > 1


def test_a_batch_says_which_picture(generator: Generator) -> None:
    """In a batch each report says which picture of how many it is about."""
    reports: list[Progress] = []
    generator.generate_batch("cat", count=2, on_progress=reports.append, **SMALL)
    assert {report.images for report in reports} == {2}
    assert {report.image for report in reports if report.phase is Phase.DECODE} == {0, 1}
    check(reports)


class Whim(Exception):
    """An exception of the user's own."""


@pytest.mark.parametrize("phase", [Phase.ENCODE, Phase.DENOISE, Phase.DECODE])
@pytest.mark.parametrize("at", [0.0, 0.4])
def test_a_users_exception_comes_out_unchanged(either: Generator, phase: Phase, at: float) -> None:
    """What on_progress raises comes out as the same object, in every phase, and the next picture is right."""
    expected = np.asarray(either.generate("cat", **SMALL))
    whim = Whim("enough")

    def interrupt(progress: Progress) -> None:
        if progress.phase is phase and progress.fraction >= at:
            raise whim

    with pytest.raises(Whim) as caught:
        either.generate("cat", on_progress=interrupt, **SMALL)
    assert caught.value is whim
    assert np.array_equal(np.asarray(either.generate("cat", **SMALL)), expected)


@pytest.mark.parametrize("phase", [Phase.ENCODE, Phase.DENOISE, Phase.DECODE])
def test_cancel_stops_every_phase(either: Generator, phase: Phase) -> None:
    """``cancel`` in any phase raises GenerationCancelled, and the next picture is right."""
    expected = np.asarray(either.generate("cat", **SMALL))

    def cancel(progress: Progress) -> None:
        if progress.phase is phase:
            either.cancel()

    with pytest.raises(GenerationCancelled):
        either.generate("cat", on_progress=cancel, **SMALL)
    assert np.array_equal(np.asarray(either.generate("cat", **SMALL)), expected)


@pytest.mark.timing
def test_cancel_works_from_another_thread(either: Generator) -> None:
    """``cancel`` from another thread ends a long run within half a second."""

    def seconds() -> float:
        started = threading.Event()
        ended: list[float] = []

        def draw() -> None:
            try:
                either.generate("cat", width=512, height=512, steps=1000, on_progress=lambda _: started.set())
            except GenerationCancelled:
                ended.append(time.perf_counter())

        thread = threading.Thread(target=draw)
        thread.start()
        started.wait()
        time.sleep(0.3)
        asked = time.perf_counter()
        either.cancel()
        thread.join()
        return ended[0] - asked

    assert quickest(seconds, 0.5) < 0.5


def test_cancel_without_a_run_does_nothing(either: Generator) -> None:
    """A cancel while nothing runs does not reach the next picture."""
    either.cancel()
    either.generate("cat", **SMALL)


@pytest.mark.parametrize("isolation", ["thread", "process"])
def test_cancelling_a_load(model: SyntheticSet, isolation: str) -> None:
    """An exception while the weights are read comes out, and the same files load afterwards."""

    def interrupt(progress: Progress) -> None:
        raise Whim("no")

    with pytest.raises(Whim):
        open_generator(model, isolation=isolation, on_progress=interrupt)
    open_generator(model, isolation=isolation).close()


def test_threads_take_turns(either: Generator) -> None:
    """Two threads that draw with one generator get the pictures that each asked for."""
    expected = [np.asarray(either.generate("cat", **{**SMALL, "seed": seed})) for seed in (1, 2)]
    drawn: dict[int, np.ndarray] = {}
    threads = [
        threading.Thread(
            target=lambda seed=seed: drawn.update({seed: np.asarray(either.generate("cat", **{**SMALL, "seed": seed}))})
        )
        for seed in (1, 2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert np.array_equal(drawn[1], expected[0])
    assert np.array_equal(drawn[2], expected[1])


def test_two_generators_draw_at_the_same_time(model: SyntheticSet, generator: Generator) -> None:
    """Two generators in two threads do not disturb each other."""
    expected = np.asarray(generator.generate("cat", **SMALL))
    results: list[np.ndarray] = []
    with open_generator(model) as other:
        threads = [
            threading.Thread(target=lambda g=g: results.append(np.asarray(g.generate("cat", **SMALL))))
            for g in (generator, other)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(results) == 2
    assert all(np.array_equal(result, expected) for result in results)


def test_drawing_from_inside_on_progress_is_refused(either: Generator) -> None:
    """A generator that is drawing refuses a call from its own on_progress instead of waiting for itself."""
    with pytest.raises(GenerationError, match="on_progress"):
        either.generate("cat", on_progress=lambda _: either.generate("dog", **SMALL), **SMALL)
    either.generate("cat", **SMALL)


@pytest.mark.parametrize("isolation", ["thread", "process"])
def test_closing_from_inside_on_progress(model: SyntheticSet, isolation: str) -> None:
    """``close`` from on_progress ends the run, and the generator is closed."""
    generator = open_generator(model, isolation=isolation)
    with pytest.raises((GenerationCancelled, GeneratorClosedError)):
        generator.generate("cat", on_progress=lambda _: generator.close(), **SMALL)
    with pytest.raises(GeneratorClosedError):
        generator.generate("cat", **SMALL)


@pytest.mark.parametrize("isolation", ["thread", "process"])
def test_closing_from_another_thread_cancels(model: SyntheticSet, isolation: str) -> None:
    """``close`` from another thread ends what runs there and returns when the model is freed."""
    generator = open_generator(model, isolation=isolation)
    started = threading.Event()
    outcome: list[BaseException] = []

    def draw() -> None:
        try:
            generator.generate("cat", width=512, height=512, steps=1000, on_progress=lambda _: started.set())
        except Exception as error:
            outcome.append(error)

    thread = threading.Thread(target=draw)
    thread.start()
    started.wait()
    generator.close()
    thread.join()
    assert isinstance(outcome[0], GenerationCancelled)
