"""The files of the native layer."""

from __future__ import annotations

from pathlib import Path

NATIVE = Path(__file__).parents[2] / "native"
KINDS = (".c", ".cpp", ".h", ".py", ".cmake", ".map", ".txt")


def sources(folder: Path = NATIVE) -> list[Path]:
    """Those below a folder of it; not what Python keeps beside its own."""
    return sorted(file for file in folder.rglob("*.*") if file.suffix in KINDS)
