"""How a command shows its progress: a bar for the whole job on a terminal, plain lines in a log or pipe."""

from __future__ import annotations

import argparse
import dataclasses
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from sdcpp_py.cli.job import Job, Standing
from sdcpp_py.cli.output import complain
from sdcpp_py.cli.screen import console_on, on_terminal
from sdcpp_py.progress import Phase, Progress, ProgressCallback

# A log gets no line of a job that is shorter, then one for each tenth or after so many seconds.
_SHORT_JOB = 10.0
_LINE_EVERY = 30.0
# A terminal is drawn anew after so many seconds, or when something else begins.
_REFRESH = 0.1
_NARROW = 72


class _Display(Protocol):
    def show(self, standing: Standing) -> None: ...

    def close(self) -> None: ...


class Watch:
    """Follows the pictures of one command.

    Attributes:
        listen: the ``on_progress`` of everything that the command does; None where nothing is shown.
    """

    def __init__(self, display: _Display | None, pictures: int) -> None:
        self._display = display
        self._job = Job(pictures)
        self.listen: ProgressCallback | None = None if display is None else self._listen

    def of_picture(self, number: int) -> ProgressCallback | None:
        """The ``on_progress`` of a call of its own for one of the pictures, from 0."""
        listen = self.listen
        return listen and (lambda progress: listen(dataclasses.replace(progress, image=number)))

    @contextmanager
    def printing(self) -> Iterator[None]:
        """While it lasts, the terminal is free for other lines."""
        if self._display is not None:
            self._display.close()
        yield

    def _listen(self, progress: Progress) -> None:
        assert self._display is not None
        self._display.show(self._job.listen(progress))


@contextmanager
def watched(options: argparse.Namespace, pictures: int) -> Iterator[Watch]:
    """Shows the progress of a command that generates so many pictures, unless its options say otherwise."""
    display: _Display | None = None
    if not options.no_progress and sys.stderr is not None:
        display = TerminalBar(sys.stderr, pictures) if on_terminal(sys.stderr) else LogLines(_say, pictures)
    try:
        yield Watch(display, pictures)
    finally:
        if display is not None:
            display.close()


class TerminalBar:
    """One line that is drawn over and over, and gone when it is closed. May be shown again after that."""

    def __init__(self, stream: Any, pictures: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream, self._pictures, self._clock = stream, pictures, clock
        self._bar: Any = None
        self._task: Any = None
        self._drawn = -_REFRESH
        self._place: tuple[object, ...] = ()
        self._width = 0

    def show(self, standing: Standing) -> None:
        """Draws where the job is, where the last drawing is old enough."""
        progress, now = standing.progress, self._clock()
        place = (progress.image, progress.phase, progress.step)
        if place == self._place and now - self._drawn < _REFRESH:
            return
        self._place, self._drawn = place, now
        if self._bar is not None:
            self._bar.update(self._task, **self._fields(standing, self._bar.console.width))
            self._bar.refresh()
            return
        self._bar = _new_bar(self._stream)
        self._task = self._bar.add_task(total=1.0, **self._fields(standing, self._bar.console.width))
        self._bar.start()

    def close(self) -> None:
        """Takes the line away."""
        if self._bar is not None:
            self._bar.stop()
            self._bar, self._place = None, ()

    def _fields(self, standing: Standing, columns: int) -> dict[str, Any]:
        narrow = columns < _NARROW
        text = _place_of(standing.progress, self._pictures, narrow)
        self._width = max(self._width, len(text))
        return {
            "completed": standing.fraction,
            "description": text.ljust(self._width),
            "left": "" if standing.remaining is None else f"{_duration(standing.remaining)} left",
            "step": "" if narrow else _step_time(standing),
        }


def _new_bar(stream: Any) -> Any:
    from rich.progress import BarColumn, Progress, TextColumn
    from rich.table import Column

    def text(content: str, style: str = "") -> TextColumn:
        return TextColumn(content, style=style or "none", markup=False, table_column=Column(no_wrap=True))

    return Progress(
        text("{task.description}", "cyan"),
        BarColumn(bar_width=None, complete_style="cyan", finished_style="green", table_column=Column(ratio=1)),
        text("{task.percentage:>3.0f}%"),
        text("{task.fields[left]}", "bold"),
        text("{task.fields[step]}", "dim"),
        console=console_on(stream),
        auto_refresh=False,
        transient=True,
        redirect_stdout=False,
        expand=True,
    )


class LogLines:
    """A line for each tenth of a job, or each half minute. Short jobs have none."""

    def __init__(self, say: Callable[[str], object], pictures: int) -> None:
        self._say, self._pictures = say, pictures
        self._tenths, self._said = 0, 0.0

    def show(self, standing: Standing) -> None:
        """Says where the job is, where it is time to."""
        tenths = int(standing.fraction * 10 + 1e-9)
        if standing.elapsed < _SHORT_JOB or (tenths == self._tenths and standing.elapsed - self._said < _LINE_EVERY):
            return
        self._tenths, self._said = tenths, standing.elapsed
        left = "" if standing.remaining is None else f"{_duration(standing.remaining)} left"
        words = [f"{standing.fraction:.0%}", _place_of(standing.progress, self._pictures), _step_time(standing), left]
        self._say(", ".join(filter(None, words)))

    def close(self) -> None:
        """Does nothing: lines stay."""


def _say(text: str) -> None:
    complain(f"sdcpp-py: {text}")


def _place_of(progress: Progress, pictures: int, narrow: bool = False) -> str:
    """Which picture and phase it is, and how far that is, as in "picture 2/4, denoise 5/20"."""
    words = progress.phase.value
    if progress.bytes_total:
        words += f" {progress.bytes_done / 2**30:.2f}/{progress.bytes_total / 2**30:.2f} GiB"
    elif progress.bytes_done:
        words += f" {progress.bytes_done / 2**30:.2f} GiB"
    elif progress.phase in (Phase.DENOISE, Phase.DECODE) and progress.steps > 1:
        words += f" {min(progress.step + 1, progress.steps)}/{progress.steps}"
    if pictures == 1 or progress.phase in (Phase.DOWNLOAD, Phase.LOAD):
        return words
    number = f"{progress.image + 1}/{pictures}"
    return f"{number} {words}" if narrow else f"picture {number}, {words}"


def _step_time(standing: Standing) -> str:
    return "" if standing.step_seconds is None else f"{standing.step_seconds:.2f} s/step"


def _duration(seconds: float) -> str:
    minutes, whole = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{whole:02}" if hours else f"{minutes}:{whole:02}"
