"""Hashes of files, each computed once for as long as the file stays as it is."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from sdcpp_py.system.file_identity import identity_of

_BLOCK = 1 << 20
_known: dict[tuple[int, ...], str] = {}


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in 64 hexadecimal digits; 0.5 to 2 GiB are read in a second. Raises OSError."""
    with path.open("rb", buffering=0) as stream:
        identity = identity_of(os.fstat(stream.fileno()))
        found = _known.get(identity)
        if found is None:
            digest = hashlib.sha256()
            while block := stream.read(_BLOCK):
                digest.update(block)
            found = digest.hexdigest()
            if identity_of(os.fstat(stream.fileno())) == identity:  # else it was written to meanwhile
                _known[identity] = found
    return found
