"""Which Vulkan drivers are installed, and whether they are still the same."""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path

DRIVER_FOLDERS = ("usr/share/vulkan/icd.d", "usr/local/share/vulkan/icd.d", "etc/vulkan/icd.d")
DRIVER_VARIABLES = ("VK_DRIVER_FILES", "VK_ICD_FILENAMES")
"""What the loader takes in place of the folders."""
_SOFTWARE = ("llvmpipe", "lavapipe", "swiftshader")
_LIBRARY_FOLDERS = ("usr/lib", "usr/lib64", "usr/lib/x86_64-linux-gnu", "usr/lib/aarch64-linux-gnu", "usr/local/lib")


def is_software(driver: str) -> bool:
    """Whether a driver or device of that name computes on the CPU: it compiles for it too, seconds for each shader."""
    return any(name in driver.lower() for name in _SOFTWARE)


def driver_manifests(root: Path = Path("/"), environment: Mapping[str, str] = os.environ) -> list[Path]:
    """The files by which drivers are known to Vulkan's loader.

    Args:
        root: of the file system.
        environment: of the process.
    """
    for name in DRIVER_VARIABLES:
        if environment.get(name):
            return [Path(path) for path in environment[name].split(os.pathsep) if path]
    return sorted(file for folder in DRIVER_FOLDERS for file in (root / folder).glob("*.json"))


def driver_version(root: Path = Path("/"), environment: Mapping[str, str] = os.environ) -> str:
    """What changes when a driver is updated: a checksum of their files' names, sizes and times; "" without any.

    Arguments as of ``driver_manifests``.
    """
    facts = []
    for manifest in driver_manifests(root, environment):
        for file in (manifest, *_libraries(manifest, root)):
            try:
                found = file.stat()
            except OSError:
                continue
            facts.append([file.name, found.st_size, found.st_mtime_ns])
    return f"{zlib.crc32(json.dumps(facts).encode()):08x}" if facts else ""


def _libraries(manifest: Path, root: Path) -> Iterator[Path]:
    """The library that a manifest names, at each place where it lies: by a path, or by a name that the system finds."""
    try:
        named = Path(json.loads(manifest.read_text(encoding="utf-8"))["ICD"]["library_path"])
    except (OSError, ValueError, KeyError, TypeError):
        return
    if len(named.parts) > 1:
        yield manifest.parent / named
    else:
        yield from (root / folder / named for folder in _LIBRARY_FOLDERS if (root / folder / named).is_file())
