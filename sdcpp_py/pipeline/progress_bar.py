"""A progress bar for a terminal or notebook."""

from __future__ import annotations

import os
import sys
from typing import Any, TextIO

from sdcpp_py.progress import Phase, Progress

_WIDTH = 100


class ProgressBar:
    """Shows progress on a stream (standard error unless said otherwise), one line a phase. Is an ``on_progress``."""

    def __init__(self, stream: TextIO | None = None) -> None:
        # tqdm has bars that behave in terminals, notebooks and log files.
        from tqdm import tqdm

        self._tqdm = tqdm
        self._stream = stream or sys.stderr
        self._bar: Any = None
        self._at: tuple[Phase, int] | None = None

    def __call__(self, progress: Progress) -> None:
        """Shows where the work is."""
        place = (progress.phase, progress.image)
        if place != self._at:
            self.close()
            title = progress.phase.value
            if progress.images > 1:
                title += f" {progress.image + 1}/{progress.images}"
            self._at = place
            self._bar = self._tqdm(
                total=100,
                desc=f"{title:<12}",
                file=self._stream,
                bar_format="{desc} {percentage:3.0f}% |{bar:30}| {elapsed}<{remaining}{postfix}",
                leave=True,
                ncols=_columns(self._stream),
            )
        self._bar.n = round(100 * progress.fraction, 1)
        self._bar.set_postfix_str(_numbers(progress), refresh=False)
        self._bar.refresh()
        if progress.fraction >= 1:
            self.close()

    def close(self) -> None:
        """Ends the line of the phase that is shown, if one is."""
        if self._bar is not None:
            self._bar.close()
            self._bar = self._at = None


def _columns(stream: TextIO) -> int:
    """The terminal's width; 100 where there is none, or where it says 0 as some do."""
    try:
        return os.get_terminal_size(stream.fileno()).columns or _WIDTH
    except (OSError, ValueError):
        return _WIDTH


def _numbers(progress: Progress) -> str:
    if progress.phase is Phase.LOAD and progress.bytes_total:
        return f"{progress.bytes_done / 2**30:.2f} of {progress.bytes_total / 2**30:.2f} GiB"
    if progress.phase is Phase.DENOISE and progress.steps:
        step = f"step {min(progress.step + 1, progress.steps)}/{progress.steps}"
        done = progress.fraction * progress.steps
        return f"{step}, {progress.elapsed / done:.2f} s/step" if done > 0.05 else step
    if progress.phase is Phase.DECODE and progress.steps > 1:
        return f"tile {min(progress.step + 1, progress.steps)}/{progress.steps}"
    return ""
