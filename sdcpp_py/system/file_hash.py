"""Hashes of files, each computed once for as long as the file stays as it is."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

_BLOCK = 1 << 20
_known: dict[tuple[int, ...], str] = {}


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in 64 hexadecimal digits; 0.5 to 2 GiB are read in a second. Raises OSError."""
    with path.open("rb", buffering=0) as stream:
        identity = _identity(os.fstat(stream.fileno()))
        found = _known.get(identity)
        if found is None:
            digest = hashlib.sha256()
            while block := stream.read(_BLOCK):
                digest.update(block)
            found = digest.hexdigest()
            if _identity(os.fstat(stream.fileno())) == identity:  # else it was written to meanwhile
                _known[identity] = found
    return found


def _identity(status: os.stat_result) -> tuple[int, ...]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
