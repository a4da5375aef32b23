"""How much memory this process may take, and how much it has."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from sdcpp_py.system.cgroups import groups_above


def memory(root: Path = Path("/")) -> tuple[int, int]:
    """Bytes of RAM in all, and available to a new program without swapping; 0 where the system does not say.

    A container's limit counts where it is lower.
    """
    total, available = _system(root)
    for limit, used in _limits(root):
        total = min(total or limit, limit)
        available = min(available or limit, max(0, limit - used))
    return total, available


def resident_bytes(root: Path = Path("/")) -> int:
    """Bytes of memory that this process holds now; 0 where the system does not say."""
    try:
        for line in (root / "proc/self/status").read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0


def _system(root: Path) -> tuple[int, int]:
    sizes = {"MemTotal": 0, "MemAvailable": 0}
    try:
        for line in (root / "proc/meminfo").read_text(encoding="ascii").splitlines():
            name, _, value = line.partition(":")
            if name in sizes:
                sizes[name] = int(value.split()[0]) * 1024
    except OSError:
        pass
    return sizes["MemTotal"], sizes["MemAvailable"]


def _limits(root: Path) -> Iterator[tuple[int, int]]:
    """Of each control group above this process: the bytes it may take, and those it has taken that cannot be freed."""
    for folder, version in groups_above("memory", root):
        names = ("memory.limit_in_bytes", "memory.usage_in_bytes") if version == 1 else ("memory.max", "memory.current")
        try:
            limit, used = ((folder / name).read_text(encoding="ascii").strip() for name in names)
            statistics = dict(
                line.split() for line in (folder / "memory.stat").read_text(encoding="ascii").splitlines()
            )
            # Pages of files count as used there, and go when memory is wanted.
            cached = int(statistics.get("inactive_file", 0)) + int(statistics.get("active_file", 0))
            if limit != "max" and int(limit) < 2**62:  # version 1 has a large number for no limit
                yield int(limit), max(0, int(used) - cached)
        except (OSError, ValueError):
            pass
