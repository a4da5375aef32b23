"""How many CPU cores this process may compute on."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path


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
    """Of the CPU's time, in cores: what each control group above this process grants (cgroup v2, or v1)."""
    try:
        groups = (root / "proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    for line in groups:
        _, controllers, path = line.split(":", 2)
        version_1 = "cpu" in controllers.split(",")
        if controllers and not version_1:
            continue
        top = root / ("sys/fs/cgroup/cpu" if version_1 else "sys/fs/cgroup")
        group = top / path.lstrip("/")
        for folder in [group, *group.parents]:
            try:
                if version_1:
                    quota = (folder / "cpu.cfs_quota_us").read_text(encoding="ascii")
                    period = (folder / "cpu.cfs_period_us").read_text(encoding="ascii")
                else:
                    quota, period = (folder / "cpu.max").read_text(encoding="ascii").split()
                if quota != "max" and int(quota) > 0:
                    yield int(quota) / int(period)
            except (OSError, ValueError):
                pass
            if folder == top:
                break
