"""Files that are there whole or not at all."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PARTIAL = ".part"
"""How the name of a file ends that is being written, or was when its process ended."""


@contextmanager
def whole_or_absent(file: Path) -> Iterator[Path]:
    """A name to write to that becomes ``file`` when the block ends, and is removed when it raises."""
    # In the same folder, because a rename across file systems is a copy; unique, because two processes may write.
    partial = file.with_name(f".{file.name}.{uuid.uuid4().hex}{PARTIAL}")
    try:
        yield partial
        partial.replace(file)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
