"""Files that are there whole or not at all."""

from __future__ import annotations

import contextlib
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
def whole_or_absent(file: Path) -> Iterator[Path]:
    """A name to write to that becomes ``file`` when the block ends, and is removed when it raises."""
    partial = partial_name(file)
    try:
        yield partial
        partial.replace(file)
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
