"""Standard output that may go away: to a reader that has seen enough, or onto a disk that is full."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import sys
from collections.abc import Iterator
from typing import Any, TextIO, cast

from sdcpp_py.errors import SdcppError

# Windows says of a pipe without a reader that the argument is invalid.
_NO_READER = (errno.EPIPE, errno.EINVAL) if sys.platform == "win32" else (errno.EPIPE,)


class ReaderGone(Exception):
    """Whoever read what is printed (``| head``) has seen enough. No error: there is only nobody left to print for."""


class _Checked:
    """A stream whose failures are told apart from those of every other file."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except OSError as error:
            raise self._failure(error) from error

    def write_binary(self, data: bytes) -> None:
        """Writes bytes, after what was printed."""
        binary = getattr(self._stream, "buffer", None)
        if binary is None:
            raise SdcppError("standard output takes text alone here; write the picture to a file")
        self.flush()
        try:
            binary.write(data)
            binary.flush()
        except OSError as error:
            raise self._failure(error) from error

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError as error:
            raise self._failure(error) from error

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _failure(self, error: OSError) -> Exception:
        write_nowhere(self._stream)
        if error.errno in _NO_READER:
            return ReaderGone()
        return SdcppError(f"standard output cannot be written: {error.strerror or error}")


def write_nowhere(stream: TextIO) -> None:
    """Gives a stream that failed an end that takes everything.

    What could not be written stays in its buffer, and Python would try it again at exit, with a complaint and a code of
    its own (120).
    """
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def complain(line: str) -> None:
    """Says a line on standard error, where somebody hears it."""
    try:
        print(line, file=sys.stderr, flush=True)
    except OSError:
        write_nowhere(sys.stderr)


def write_binary(data: bytes) -> None:
    """Writes bytes to standard output. Raises as ``checked_output`` does, inside of which it is called."""
    cast(_Checked, sys.stdout).write_binary(data)


@contextlib.contextmanager
def checked_output() -> Iterator[None]:
    """While it lasts, what is printed is checked to arrive, up to the last byte.

    Raises:
        ReaderGone: nobody reads it any more.
        SdcppError: it cannot be written.
    """
    stream = sys.stdout
    if stream is None:  # the process was started without one
        yield
        return
    if isinstance(stream, io.TextIOWrapper):  # a prompt may hold characters that the terminal's encoding lacks
        stream.reconfigure(errors="backslashreplace")
    checked = _Checked(stream)
    with contextlib.redirect_stdout(cast(TextIO, checked)):
        try:
            yield
        finally:
            checked.flush()
