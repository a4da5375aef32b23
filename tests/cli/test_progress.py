"""What a command shows while it works."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdcpp_py.cli.job import Job, Standing
from sdcpp_py.cli.progress import LogLines
from sdcpp_py.progress import Phase, Progress
from sdcpp_py.synth import SyntheticSet
from tests.cli.test_cli import SMALL, model_options
from tests.support.terminals import written_to_terminal

PARTS = 4


class Machine:
    """Generates pictures in a time of its own, and tells a job of it."""

    def __init__(self, pictures: int, steps: int, seconds: dict[Phase, float], downloads: bool) -> None:
        self.pictures, self.steps, self.seconds, self.downloads = pictures, steps, seconds, downloads
        self.now = 0.0

    def work(self) -> Iterator[Progress]:
        """What the engine says of the whole job."""
        for phase in (*[Phase.DOWNLOAD] * self.downloads, Phase.LOAD, Phase.ENCODE):
            yield from self._phase(phase, 0, 0)
        for picture in range(self.pictures):
            yield from self._phase(Phase.DENOISE, picture, self.steps)
            yield from self._phase(Phase.DECODE, picture, 0)

    def _phase(self, phase: Phase, picture: int, steps: int) -> Iterator[Progress]:
        began = self.now
        parts = PARTS * max(steps, 1)
        for part in range(parts + 1):
            fraction = part / parts
            self.now = began + fraction * self.seconds[phase]
            images = 1 if phase is Phase.LOAD else self.pictures
            eta = began + self.seconds[phase] - self.now if phase is Phase.DOWNLOAD and part else None
            yield Progress(phase, fraction, self.now - began, eta, part // PARTS, steps, image=picture, images=images)


seconds = st.fixed_dictionaries({phase: st.floats(0.01, 1000) for phase in Phase})
machines = st.builds(Machine, st.integers(1, 5), st.integers(1, 12), seconds, st.booleans())


def standings(machine: Machine) -> list[Standing]:
    job = Job(machine.pictures, clock=lambda: machine.now)
    return [job.listen(progress) for progress in machine.work()]


@given(machines)
def test_a_job_only_goes_forward_and_ends(machine: Machine) -> None:
    """The fraction of a job never falls, stays within 0 and 1, and is 1 with nothing left when the last picture is.

    Downloads before it are a job of their own, of which the same is true.
    """
    found = standings(machine)
    for downloads in (True, False):
        fractions = [one.fraction for one in found if (one.progress.phase is Phase.DOWNLOAD) == downloads]
        assert fractions == sorted(fractions)
        assert all(0 <= fraction <= 1 for fraction in fractions)
    if machine.downloads:
        end = next(one for one in found if one.progress.phase is Phase.DOWNLOAD and one.progress.fraction == 1)
        assert end.fraction == 1
        assert end.remaining == pytest.approx(0)
    assert (found[-1].fraction, found[-1].remaining) == (1, 0)


@given(machines)
def test_a_job_whose_pictures_overlap_only_goes_forward(machine: Machine) -> None:
    """A picture that is told to be decoded while a later one is denoised takes nothing back of what is shown."""
    waiting: list[Progress] = []
    job = Job(machine.pictures, clock=lambda: machine.now)
    found: list[Standing] = []
    for progress in machine.work():
        if progress.phase is Phase.DECODE and progress.image + 1 < machine.pictures:
            waiting.append(progress)
            continue
        found.append(job.listen(progress))
        if progress.phase is Phase.DENOISE and 0 < progress.fraction < 1:
            found += [job.listen(one) for one in waiting]
            waiting.clear()
    shown = [one for one in found if one.progress.phase is not Phase.DOWNLOAD]
    assert [one.fraction for one in shown] == sorted(one.fraction for one in shown)
    assert [one.progress.image for one in shown] == sorted(one.progress.image for one in shown)
    assert (shown[-1].fraction, shown[-1].remaining) == (1, 0)


@given(machines)
def test_the_time_left_is_exact_once_a_picture_was_seen(machine: Machine) -> None:
    """On a machine of an even pace, from the second picture's first step on the time left is the true one."""
    found = standings(machine)
    for standing in found:
        if standing.progress.image > 0 and standing.progress.phase is Phase.DENOISE and standing.progress.fraction > 0:
            assert standing.remaining == pytest.approx(machine.now - standing.elapsed, rel=1e-6, abs=1e-6)


@given(machines)
def test_the_first_picture_has_a_time_from_its_first_step_on(machine: Machine) -> None:
    """All that is guessed before a decoder was seen is its time: that of a step."""
    for standing in standings(machine):
        before = standing.progress.phase in (Phase.LOAD, Phase.ENCODE)
        assert not before or (standing.remaining is None and standing.step_seconds is None)
        if standing.progress.phase is Phase.DENOISE and standing.progress.fraction > 0:
            step = machine.seconds[Phase.DENOISE] / machine.steps
            assert standing.step_seconds == pytest.approx(step)
            if machine.pictures == 1:
                rest = machine.seconds[Phase.DENOISE] * (1 - standing.progress.fraction) + step
                assert standing.remaining == pytest.approx(rest)


@given(machines)
def test_a_log_gets_a_line_for_each_tenth_or_half_minute(machine: Machine) -> None:
    """A short job says nothing; a long one says each tenth that it reaches, and never less than every half minute."""
    said: list[str] = []
    lines = LogLines(said.append, machine.pictures)
    job = Job(machine.pictures, clock=lambda: machine.now)
    last, silent = 0, 0.0
    for progress in machine.work():
        standing = job.listen(progress)
        lines.show(standing)
        if len(said) > last:
            last, silent = len(said), standing.elapsed
        assert standing.elapsed < 10 or standing.elapsed - silent < 30
    assert bool(said) == (machine.now >= 10)
    assert len(said) <= 11 * (1 + machine.downloads) + machine.now / 30


def test_a_line_of_a_log_says_where_the_job_is() -> None:
    """Which picture, phase and step it is, a step's time, and how long the job still takes."""
    said: list[str] = []
    lines = LogLines(said.append, 4)
    progress = Progress(Phase.DENOISE, 0.5, 30.0, None, 10, 20, image=1, images=4)
    lines.show(Standing(progress, 0.31, 65.0, 3725.0, 3.0))
    assert said == ["31%, picture 2/4, denoise 11/20, 3.00 s/step, 1:02:05 left"]
    download = Progress(Phase.DOWNLOAD, 0.5, 30.0, 60.0, bytes_done=2**30, bytes_total=2 * 2**30)
    lines.show(Standing(download, 0.5, 100.0, 60.0, None))
    assert said[-1] == "50%, download 1.00/2.00 GiB, 1:00 left"


@pytest.mark.sample(2)
@pytest.mark.parametrize("columns", [0, 40, 60, 80])
@pytest.mark.parametrize("pictures", [1, 2])
def test_a_terminal_gets_one_line_for_the_whole_job(
    model: SyntheticSet, work: Path, columns: int, pictures: int
) -> None:
    """Whatever its width, the bar is one line, and gone when the pictures are there."""
    words = ["generate", "cat", *model_options(model), *SMALL, "-b", str(pictures)]
    command = [sys.executable, "-m", "sdcpp_py", *words]
    code, shown = written_to_terminal(command, columns, work, only_errors=True)
    assert code == 0
    assert shown.count("\n") == shown.count("\x1b[1A\x1b[2K") == pictures, "a line that was ended is taken back"
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown)
    lines = [line for line in re.split(r"[\r\n]+", text) if line.strip()]
    assert max(map(len, lines)) <= (columns or 80)
    for word in ("denoise 1/2", "decode", "100%", *(["2/2"] if pictures > 1 else [])):
        assert word in text
    assert "s/step" in text or columns in (40, 60)


@pytest.mark.sample(1)
@pytest.mark.parametrize("environment", [{}, {"TERM": "dumb"}])
def test_what_is_no_terminal_gets_no_escape_codes(model: SyntheticSet, work: Path, environment: dict[str, str]) -> None:
    """A dumb terminal, and any with --no-progress, gets lines alone."""
    words = ["generate", "cat", *model_options(model), *SMALL, *([] if environment else ["--no-progress"])]
    code, shown = written_to_terminal([sys.executable, "-m", "sdcpp_py", *words], 80, work, environment=environment)
    assert code == 0
    assert "\x1b" not in shown
    assert "output.png: " in shown
