"""Memory that the engines' processes of a program have in common: weights of equal files lie there once for all."""

from __future__ import annotations

from sdcpp_py._native.library import ffi, lib
from sdcpp_py.system.forks import ProcessLock
from sdcpp_py.system.nameless_file import open_in_memory

# Closes the race of threads that start the first engines: one file for all.
_opening = ProcessLock()
_file: int | None = None


def common_file() -> int | None:
    """The descriptor of the file behind it, open as long as this program runs; None where the system gives none.

    A fork has its parent's file: its engines share weights with those of the parent.
    """
    global _file
    with _opening:
        if _file is None:
            _file = open_in_memory()
        return _file


def use(file: int) -> None:
    """Has the engines of this process keep their weights there. Where the system does not allow it, they do not."""
    lib.sdpy_use_common_memory(file, ffi.NULL)


def free_abandoned() -> None:
    """Frees what processes have left there that did not come to let go of it. Once they are gone."""
    if _file is not None:
        lib.sdpy_free_abandoned_memory(_file, ffi.NULL)
