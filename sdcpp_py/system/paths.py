"""Paths as they are given, made such that they mean the same file for as long as they are kept."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Mapping
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


CACHE_VARIABLE = "SDCPP_PY_CACHE"
"""The environment variable that names the folder of what is found out about this machine."""


def cache_folder(environment: Mapping[str, str] = os.environ) -> Path | None:
    """The folder for what can be found out again at any time; it need not exist. None for a user without a home."""
    if environment.get(CACHE_VARIABLE):
        return absolute(environment[CACHE_VARIABLE])
    return _user_folder("XDG_CACHE_HOME", "LOCALAPPDATA", ".cache", environment)


def config_folder(environment: Mapping[str, str] = os.environ) -> Path | None:
    """The folder for what the user has set up; it need not exist. None for a user without a home."""
    return _user_folder("XDG_CONFIG_HOME", "APPDATA", ".config", environment)


def _user_folder(xdg: str, windows: str, at_home: str, environment: Mapping[str, str]) -> Path | None:
    """Our folder among those of one kind: by freedesktop's variable, by that of Windows, or in the home folder."""
    if sys.platform == "win32" and environment.get(windows):
        return Path(environment[windows]) / "sdcpp_py"
    # A relative path is to be ignored, says freedesktop's specification of base directories.
    base = Path(environment.get(xdg, ""))
    if base.is_absolute():
        return base / "sdcpp_py"
    home = home_folder()
    return None if home is None else home / at_home / "sdcpp_py"
