"""Files that are there whole or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

PARTIAL = ".part"
"""How the name of a file ends that is being written, or was when its process ended."""


def partial_name(file: Path) -> Path:
    """The name under which a file is written before it gets its own.

    In the same folder, because a rename across file systems is a copy; unique, because two processes may write; and
    short, because the file's own name may be as long as names can be.
    """
    return file.with_name(f".{secrets.token_hex(8)}{PARTIAL}")


@contextlib.contextmanager
def whole_or_absent(file: Path, *, overwrite: bool = True) -> Iterator[Path]:
    """A name to write to that becomes ``file`` when the block ends, and is removed when it raises.

    Not ``overwrite``: raises FileExistsError where ``file`` is there by then.
    """
    partial = partial_name(file)
    try:
        yield partial
        if overwrite:
            partial.replace(file)
        else:
            _place_new(partial, file)
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)


def _place_new(partial: Path, file: Path) -> None:
    """Gives a file its name where no other has it: two processes that want the same one cannot both get it."""
    try:
        os.link(partial, file)
    except FileExistsError:
        raise
    except (OSError, AttributeError, NotImplementedError):  # of file systems without hard links, as on memory cards
        os.close(os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        partial.replace(file)
