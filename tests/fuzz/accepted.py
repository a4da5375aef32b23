"""Copies the files of folders that the library accepts: ``python -m tests.fuzz.accepted INTO FOLDER ...``.

Only these ever reach the engine's readers.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable
from pathlib import Path

from sdcpp_py import ModelLoadError
from sdcpp_py.models.detect.headers import read_header


def copy_accepted(folder: Path, sources: Iterable[Path]) -> tuple[int, int]:
    """Copies them into a folder, which is emptied first. Returns how many were looked at and how many copied."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    looked = copied = 0
    for source in sources:
        for path in sorted(source.iterdir()):
            looked += 1
            try:
                read_header(path)
            except ModelLoadError:
                continue
            shutil.copy(path, folder / f"{source.name}-{path.name}")
            copied += 1
    return looked, copied


if __name__ == "__main__":
    print("{} files, of which {} are accepted".format(*copy_accepted(Path(sys.argv[1]), map(Path, sys.argv[2:]))))
