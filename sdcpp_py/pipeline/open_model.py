"""What an open model says of itself, and how it is stopped and closed."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING

from sdcpp_py.models.families import Family
from sdcpp_py.models.files import ModelFiles
from sdcpp_py.pipeline.call_lock import CallLock
from sdcpp_py.pipeline.pipeline import Pipeline
from sdcpp_py.pipeline.progress_meter import Meter
from sdcpp_py.progress import ProgressCallback
from sdcpp_py.system.deadline import Deadline

if TYPE_CHECKING:
    from typing_extensions import Self


class OpenModel:
    """A model that is open: its pipeline, the lock that calls take, and what is the same whatever is asked of it."""

    _pipeline: Pipeline
    _lock: CallLock

    @property
    def family(self) -> Family:
        """The family of the model, with its defaults."""
        return self._pipeline.files.family

    @property
    def files(self) -> ModelFiles:
        """The files of the model."""
        return self._pipeline.files

    @property
    def device(self) -> str:
        """The denoiser's device ("cpu", "vulkan0"); other parts may be on others."""
        return self._pipeline.placement.denoiser.name

    @property
    def threads(self) -> int:
        """The CPU threads that it uses."""
        return self._pipeline.options.threads

    @property
    def weight_bytes(self) -> dict[str, int]:
        """Bytes of memory that each part's weights take now, by its name; what generators share counts for each."""
        return self._pipeline.weight_bytes

    def cancel(self) -> None:
        """Stops what runs, from any thread: that call raises GenerationCancelled, within half a second.

        When none runs, it does nothing.
        """
        self._lock.cancel()

    def close(self) -> None:
        """Frees the model. What runs in another thread is cancelled. May be called twice."""
        self._lock.close()

    def __enter__(self) -> Self:
        self._lock.check_open()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def __del__(self, warn: Callable[..., None] = warnings.warn) -> None:
        # What it holds frees itself; the warning is for who meant it to be freed sooner. Without a lock, it was never
        # opened; where it is closed, or another process's, nothing is to be closed here.
        lock = self.__dict__.get("_lock")
        if lock is not None and not lock.closed and lock.here:
            warn(f"unclosed {self!r}: use it in a with statement, or close it", ResourceWarning, source=self)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._pipeline.described(closed=self._lock.closed)}>"

    @contextmanager
    def _turn(
        self, on_progress: ProgressCallback | None, images: int = 1, deadline: Deadline | None = None
    ) -> Iterator[Meter]:
        """One call's turn with the engine, which is opened again where it died."""
        with self._lock.take(on_progress, images, deadline) as meter:
            self._pipeline.revive()
            yield meter
