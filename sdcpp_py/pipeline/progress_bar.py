"""A progress bar for a terminal or notebook."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from typing import Any, TextIO

from sdcpp_py.progress import Phase, Progress

_WIDTH = 100
_LINE = "{desc} {percentage:3.0f}% |{bar:30}| {elapsed}<{remaining}{postfix}"
_WIDGET = "{desc} {percentage:3.0f}%{bar}{elapsed}<{remaining}{postfix}"


class ProgressBar:
    """Shows progress on a stream (standard error unless said otherwise), one line a phase. Is an ``on_progress``."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._widget = stream is None and has_widgets()
        # tqdm has bars that behave in terminals, notebooks and log files.
        self._tqdm: Any = importlib.import_module("tqdm.auto" if self._widget else "tqdm").tqdm
        self._bar: Any = None
        self._at: tuple[Phase, int] | None = None

    def __call__(self, progress: Progress) -> None:
        """Shows where the work is."""
        place = (progress.phase, progress.image)
        if self._at is not None and progress.image < self._at[1]:
            return  # of an earlier picture, which was decoded beside the one that is shown
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
                bar_format=_WIDGET if self._widget else _LINE,
                leave=True,
                ncols=None if self._widget else _columns(self._stream),
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


def has_widgets() -> bool:
    """Whether this is a notebook that shows widgets: one without ipywidgets gets the line of a terminal.

    tqdm.auto would find out too, but warns of ipywidgets where they lack, and of itself.
    """
    ipython = sys.modules.get("IPython")
    shell = getattr(ipython, "get_ipython", lambda: None)()
    if shell is None or "IPKernelApp" not in shell.config:
        return False
    return importlib.util.find_spec("ipywidgets") is not None


def _columns(stream: TextIO) -> int:
    """The terminal's width; 100 where there is none, or where it says 0 as some do."""
    try:
        return os.get_terminal_size(stream.fileno()).columns or _WIDTH
    except (OSError, ValueError):
        return _WIDTH


def _numbers(progress: Progress) -> str:
    if progress.bytes_total:
        return f"{progress.bytes_done / 2**30:.2f} of {progress.bytes_total / 2**30:.2f} GiB"
    if progress.phase is Phase.DENOISE and progress.steps:
        step = f"step {min(progress.step + 1, progress.steps)}/{progress.steps}"
        done = progress.fraction * progress.steps
        return f"{step}, {progress.elapsed / done:.2f} s/step" if done > 0.05 else step
    if progress.phase is Phase.DECODE and progress.steps > 1:
        return f"tile {min(progress.step + 1, progress.steps)}/{progress.steps}"
    return ""
