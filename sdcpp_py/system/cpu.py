"""How many CPU cores this process may compute on."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path

from sdcpp_py.system.cgroups import groups_above


def physical_cores(root: Path = Path("/")) -> int:
    """CPU cores that this process may run on, not counting the second thread of a core; at least 1."""
    cpus = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
    cores = set()
    for cpu in cpus:
        try:
            topology = root / f"sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list"
            cores.add(topology.read_text(encoding="ascii"))
        except OSError:
            cores.add(str(cpu))
    return max(1, len(cores))


def default_threads(root: Path = Path("/")) -> int:
    """The physical cores, or fewer where a container is given less of the CPU's time; at least 1.

    A container's share (``docker run --cpus 2``) does not show in the CPUs that a process may run on. With a thread for
    each of those, the system would stop all of them for most of every period.
    """
    return max(1, min([physical_cores(root), *(math.ceil(share) for share in _shares(root))]))


def _shares(root: Path) -> Iterator[float]:
    """Of the CPU's time, in cores: what each control group above this process grants."""
    for folder, version in groups_above("cpu", root):
        try:
            if version == 1:
                quota = (folder / "cpu.cfs_quota_us").read_text(encoding="ascii")
                period = (folder / "cpu.cfs_period_us").read_text(encoding="ascii")
            else:
                quota, period = (folder / "cpu.max").read_text(encoding="ascii").split()
            if quota != "max" and int(quota) > 0:
                yield int(quota) / int(period)
        except (OSError, ValueError):
            pass
