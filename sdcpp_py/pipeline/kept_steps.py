"""The finished steps of a picture, which are still there when the engine's process, or its GPU, is not."""

from __future__ import annotations

import os
import weakref
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

import numpy as np

from sdcpp_py._native.requests import DenoiseRequest
from sdcpp_py.errors import GenerationError
from sdcpp_py.system.nameless_file import open_nameless

# native/jobs/kept_steps.h: results, finished steps, numbers in each result.
_HEADER = 3


class KeptSteps:
    """What the denoiser gave in each step of one picture, in shared memory. The engine writes it after every step.

    An engine that is handed the file draws the picture on from there, with the bits of one that was not broken off,
    whatever the sampler: it runs the sampler's arithmetic again, and the denoiser only where it has no result.

    Raises GenerationError where the system gives no such file.
    """

    def __init__(self) -> None:
        try:
            self.file = open_nameless()
        except OSError as error:
            raise GenerationError(f"there is no file for the steps of a picture ({error})") from error
        self._unfinished: DenoiseRequest | None = None
        self.close = weakref.finalize(self, os.close, self.file)
        """Closes the file. May be called twice."""

    @property
    def steps(self) -> int:
        """How many steps of the picture are finished."""
        header = np.frombuffer(os.pread(self.file, _HEADER * 8, 0), np.int64)
        return int(header[1]) if len(header) == _HEADER else 0

    def begin(self, request: DenoiseRequest) -> DenoiseRequest:
        """The request that keeps its steps here; those that are here stay only where they are of the same picture."""
        if self._unfinished is None or not _equal(self._unfinished, request):
            self.clear()
        self._unfinished = request
        return replace(request, keep_steps=True)

    def forget(self) -> None:
        """Says that the picture went wrong otherwise than by the end of engine or GPU. Nothing goes on from its steps.

        An engine that was told to stop may still be adding one.
        """
        self._unfinished = None

    def clear(self) -> None:
        """Frees the memory of a picture that is finished. While no engine adds to it."""
        self._unfinished = None
        os.ftruncate(self.file, 0)


def _equal(one: Any, other: Any) -> bool:
    """Whether two values are the same: arrays by their numbers, requests by all that they hold."""
    if isinstance(one, np.ndarray) or isinstance(other, np.ndarray):
        return np.array_equal(one, other)
    if isinstance(one, DenoiseRequest):
        return all(_equal(getattr(one, field.name), getattr(other, field.name)) for field in fields(one))
    if isinstance(one, Mapping):
        return one.keys() == other.keys() and all(_equal(one[name], other[name]) for name in one)
    if isinstance(one, tuple):
        return isinstance(other, tuple) and len(one) == len(other) and all(map(_equal, one, other))
    return bool(one == other)
