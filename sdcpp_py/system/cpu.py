"""How many CPU cores this process may compute on."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sdcpp_py.system.cgroups import groups_above


def usable_cpus() -> set[int]:
    """The numbers of the CPUs that this process may run on; at least one.

    An OpenMP of another package binds the thread that loads it to one place, where ``OMP_PROC_BIND`` or ``OMP_PLACES``
    in the environment says so, and threads inherit that. Then the CPUs of all its places count.
    """
    if not hasattr(os, "sched_getaffinity"):
        return set(range(os.cpu_count() or 1))
    own = set(os.sched_getaffinity(0))
    for places in _openmp_places():
        if own in places:
            own = set().union(*places)
    return own


def _openmp_places() -> Iterator[list[set[int]]]:
    """The CPUs of each place, for each OpenMP library that this process has loaded; it may have no places."""
    if not {"OMP_PROC_BIND", "OMP_PLACES", "GOMP_CPU_AFFINITY", "KMP_AFFINITY"} & set(os.environ):
        return
    import ctypes  # not before: it takes a while

    try:
        lines = Path("/proc/self/maps").read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return
    files = {line.split(maxsplit=5)[5] for line in lines if re.search(r"/lib(g|i|)omp[^/]*\.so[^/]*$", line)}
    for file in sorted(files):
        try:
            library = ctypes.CDLL(file, mode=getattr(os, "RTLD_NOLOAD", 0))
            yield [_cpus_of_place(library, place) for place in range(library.omp_get_num_places())]
        except (OSError, AttributeError):  # removed since, or too old for places
            continue


def _cpus_of_place(library: Any, place: int) -> set[int]:
    import ctypes

    numbers = (ctypes.c_int * library.omp_get_place_num_procs(place))()
    library.omp_get_place_proc_ids(place, numbers)
    return set(numbers)


def physical_cores(root: Path = Path("/")) -> int:
    """CPU cores that this process may run on, not counting the second thread of a core; at least 1."""
    cores = set()
    for cpu in usable_cpus():
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
