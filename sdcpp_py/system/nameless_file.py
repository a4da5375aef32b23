"""Files without a name: what two processes have in common, and gone when both have closed it."""

from __future__ import annotations

import errno
import fcntl
import os
import tempfile
from typing import IO


def open_nameless() -> int:
    """A descriptor, closed by exec, of an empty file in memory; on disk where a sandbox refuses that.

    It is none of the three standard streams, even where these are closed. Raises OSError.
    """
    file = _in_memory()
    return _behind_streams(tempfile.TemporaryFile() if file is None else os.fdopen(file, "r+b"))


def open_in_memory() -> int | None:
    """As ``open_nameless``; None where there is no such file in memory."""
    try:
        file = _in_memory()
        return None if file is None else _behind_streams(os.fdopen(file, "r+b"))
    except OSError:
        return None


def _behind_streams(file: IO[bytes]) -> int:
    with file as opened:
        return fcntl.fcntl(opened, fcntl.F_DUPFD_CLOEXEC, 3)


def _in_memory() -> int | None:
    if not hasattr(os, "memfd_create"):
        return None
    try:
        return os.memfd_create("sdcpp_py", os.MFD_CLOEXEC)
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.ENOSYS):
            raise
    return None
