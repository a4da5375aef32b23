"""How far the downloads of one call are: huggingface_hub's progress bars, as one progress over all files."""

from __future__ import annotations

import threading
import time
from typing import Any

from sdcpp_py.progress import Phase, Progress, ProgressCallback

# Pieces come thousands of times in a second; a callback is not called more often than this many seconds apart.
_EVERY = 0.05


class DownloadMeter:
    """Counts the bytes of several files that are downloaded one after the other.

    Args:
        on_progress: is told, in the phase ``Phase.DOWNLOAD``; None for nobody.
        total: bytes of all files together; 0 where the Hub does not say all of them.

    Attributes:
        raised: what the callback raised.
    """

    def __init__(self, on_progress: ProgressCallback | None, total: int) -> None:
        self._on_progress, self._total = on_progress, total
        self._began = time.perf_counter()
        self._said = -_EVERY
        self._before, self._here = 0, 0
        self._first = 0
        self._most = 0
        self._thread = threading.get_ident()
        self.raised: BaseException | None = None

    def file_done(self, size: int) -> None:
        """Says that a file is there, whole. Raises what the callback raised in a thread of huggingface_hub's."""
        self._before += size
        self._here = 0
        self._say(at_once=self._before >= self._total)
        if self.raised is not None:
            raise self.raised

    def bar(self) -> type[Any]:
        """A class of progress bars for huggingface_hub. It shows nothing, and counts where somebody wants to know."""
        from tqdm import tqdm

        meter = self

        class Counter(tqdm):  # type: ignore[type-arg]
            def __init__(self, *arguments: Any, **options: Any) -> None:
                options.pop("name", None)
                super().__init__(*arguments, **{**options, "disable": True})
                meter._here = int(options.get("initial") or 0)  # what was there of a download that was cut
                if not meter._before:
                    meter._first = meter._here

            def update(self, n: float | None = 1) -> bool | None:
                meter._here += int(n or 0)
                meter._say()
                return None

            # Its being there makes huggingface_hub count what is written and what was received in one bar; without it
            # a second bar would count the same bytes once more.
            def update_transfer(self, n: float) -> None:
                pass

            def set_transfer_postfix_str(self, *arguments: Any, **options: Any) -> None:
                pass

        return Counter

    def _say(self, at_once: bool = False) -> None:
        now = time.perf_counter()
        if self._on_progress is None or self.raised is not None or (now - self._said < _EVERY and not at_once):
            return
        self._said = now
        done = self._most = max(self._most, self._before + self._here)
        if self._total:
            done = min(done, self._total)
        elapsed, came = now - self._began, done - self._first
        known = bool(self._total) and came > 0
        progress = Progress(
            phase=Phase.DOWNLOAD,
            fraction=done / self._total if self._total else 0.0,
            elapsed=elapsed,
            eta=elapsed * (self._total - done) / came if known else None,
            bytes_done=done,
            bytes_total=self._total,
        )
        try:
            self._on_progress(progress)
        except BaseException as error:
            self.raised = error
            # In a thread of the transfer's own it would be lost.
            if threading.get_ident() == self._thread:
                raise
