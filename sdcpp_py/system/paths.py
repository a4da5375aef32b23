"""Paths as they are given, made such that they mean the same file for as long as they are kept."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

StrPath = str | os.PathLike[str]


def absolute(path: StrPath) -> Path:
    """The path with ``~`` replaced by the home folder, and no longer dependent on the current folder.

    Everything that takes a path puts it through here first: files are opened again long after they were given, by when
    ``os.chdir`` may have been called. A part that cannot be made out stays as it is, for whoever opens the file to say
    what is wrong: ``~`` without a home folder, a current folder that was removed.
    """
    given = Path(path)
    with contextlib.suppress(RuntimeError, ValueError, OSError):  # no such user or home folder; no name at all
        given = given.expanduser()
    with contextlib.suppress(OSError):
        given = given.absolute()
    return given


def home_folder() -> Path | None:
    """The user's home folder; None where there is none, as for a user id that the system has no entry for."""
    try:
        return Path.home()
    except RuntimeError:
        return None
