"""Telling files apart by what is in them, wherever they lie and whatever they are called."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from sdcpp_py.errors import ModelLoadError

# Files up to this size are read whole; of larger ones, as much is read in samples.
_WHOLE = 32 << 20
_SAMPLE = 8 << 10


def fingerprint(file: str | os.PathLike[str]) -> str:
    """A digest of a file's size and bytes, in hexadecimal.

    Of files above 32 MiB it reads 4,096 samples of 8 KiB, spread evenly, the header and the end among them: reading
    gigabytes takes longer than what the digest is for. Files that differ in other places only pass for the same one.

    Raises ModelLoadError where the file cannot be read.
    """
    digest = hashlib.sha256()
    try:
        size = Path(file).stat().st_size
        digest.update(size.to_bytes(8, "little"))
        with Path(file).open("rb", buffering=0) as stream:
            if size <= _WHOLE:
                while chunk := stream.read(1 << 20):
                    digest.update(chunk)
            else:
                count = _WHOLE // _SAMPLE
                for index in range(count):
                    stream.seek((size - _SAMPLE) * index // (count - 1))
                    digest.update(stream.read(_SAMPLE))
    except OSError as error:
        raise ModelLoadError(f"{file} cannot be read: {error.strerror}") from error
    return digest.hexdigest()
