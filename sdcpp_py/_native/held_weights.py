"""Weights that outlive the engine that brought them."""

from __future__ import annotations

import os
import weakref
from typing import Any

from sdcpp_py._native.library import ffi, lib
from sdcpp_py._native.status import raise_failure


class HeldWeights:
    """Weights that stay in memory for engines to come, until this is closed or collected. Not after ``close``."""

    def __init__(self) -> None:
        failure = ffi.new("sdpy_failure *")
        self.handle = lib.sdpy_weights_new(failure)
        if not self.handle:
            raise_failure(failure, ffi)
        self._finalizer = weakref.finalize(self, _let_go, self.handle, os.getpid())
        self._finalizer.atexit = False  # as for engines

    def close(self) -> None:
        """Lets go of them. May be called twice."""
        self._finalizer()


def _let_go(weights: Any, process: int) -> None:
    # A fork copies the handle; what a GPU holds behind it is the parent's.
    if os.getpid() == process:
        lib.sdpy_weights_free(weights)
