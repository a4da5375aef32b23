"""Runs programs inside a Debian 13 root, on a machine that the Vulkan layer plays there, and reads what it counted."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from . import build, machines

DRIVERS = {
    "lavapipe": "/usr/share/vulkan/icd.d/lvp_icd.json",
    # Fetched by tests/vulkan/add_swiftshader.sh. The layer is tried over it; ggml refuses it, as it has no 16-bit
    # storage.
    "swiftshader": "/swiftshader/vk_swiftshader_icd.json",
}
# Inside the root; tests/portability/debian13.sh keeps its own there as well.
SHADERS = "/shaders"


@dataclass(frozen=True)
class Counts:
    """What the layer counted in one process. Sizes in bytes, work in 10^9 operations by its estimate (layer/work.h).

    Attributes:
        allocations: asked for, refused ones too.
        heaps: for each heap that was used, its ``index``, the bytes ``now`` and the ``most`` at a time.
        uploaded_bytes: copied by commands from memory that the host can write to into memory that it cannot. What the
            host writes into mapped memory is seen by nobody.
        longest_submission_of: the costliest shader in the longest submission.
        lost_at: the number of the submission that lost the device, from 1; 0 where none did.
        shaders: for each its ``name``, ``hash``, ``dispatches`` and ``gflop``, as they were recorded.
        complaints: what the layer was told to do and could not.
    """

    machine: str
    process: int
    allocations: int
    refused_allocations: int
    largest_allocation: int
    allocated_bytes: int
    imported_bytes: int
    heaps: list[Mapping[str, int]]
    submissions: int
    dispatches: int
    spoiled_dispatches: int
    uploaded_bytes: int
    downloaded_bytes: int
    copied_bytes: int
    gflop: float
    longest_submission_gflop: float
    longest_submission_of: str
    longest_dispatch_gflop: float
    longest_dispatch_of: str
    lost_at: int
    lost_why: str
    shaders: list[Mapping[str, Any]]
    complaints: list[str]

    def most_bytes(self, heap: int) -> int:
        """The most bytes that the process had in a heap at a time."""
        return next((one["most"] for one in self.heaps if one["index"] == heap), 0)


@dataclass(frozen=True)
class Outcome:
    """How a program ended, and the counts of each of its processes that opened a Vulkan device, by their numbers."""

    status: int
    output: str
    errors: str
    processes: list[Counts] = field(repr=False)

    @property
    def counts(self) -> Counts:
        """Of a program that was one process on the device."""
        (counts,) = self.processes
        return counts


class Rig:
    """A root with a driver, the layer in its folder ``/rig``, and a cache of compiled shaders that stays."""

    def __init__(self, root: Path, driver: str = "lavapipe") -> None:
        """Builds the layer where it is not there yet. Needs the rights of root, unless ``root`` is "/"."""
        self.root = root
        self.driver = DRIVERS[driver]
        self.folder = root / "rig"
        self._numbers = itertools.count()
        build.build(self.folder, root / "usr" / "include")
        shutil.copytree(machines.FOLDER, self.folder / "machines", dirs_exist_ok=True)

    def environment(self, machine: str | None, counts: str, settings: Mapping[str, object]) -> dict[str, str]:
        """The variables that put a program on a machine, or on the bare driver under a layer that only counts.

        Args:
            counts: the folder, as seen from inside the root, where each process leaves its counts.
            settings: lines over those of the machine's file (docs/testing.md has all).
        """
        environment = {
            "HOME": "/root",
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "LC_ALL": "C.UTF-8",
            "VK_DRIVER_FILES": self.driver,
            "VK_ADD_LAYER_PATH": "/rig",
            "VK_INSTANCE_LAYERS": build.LAYER_NAME,
            "VK_LOADER_DEBUG": "error",
            "MESA_SHADER_CACHE_DIR": SHADERS,
            # Makes ggml tell the layer what it calls its shaders.
            "GGML_VK_DEBUG_MARKERS": "1",
            # What a test wants to know of the self-test, it asks; before each picture it would take minutes.
            "SDCPP_PY_SELF_TEST": "off",
            "SDCPP_RIG_COUNTS": counts,
            "SDCPP_RIG_SET": ";".join(f"{key}={value}" for key, value in settings.items()),
        }
        if machine is not None:
            environment["SDCPP_RIG_MACHINE"] = f"/rig/machines/{machine}.machine"
        return environment

    def run(
        self,
        command: Sequence[str],
        machine: str | None,
        *,
        timeout: float = 1800,
        environment: Mapping[str, str] | None = None,
        settings: Mapping[str, object] | None = None,
    ) -> Outcome:
        """Runs a command inside the root. Raises subprocess.TimeoutExpired after so many seconds."""
        name = f"counts-{os.getpid()}-{next(self._numbers)}"
        folder = self.folder / name
        folder.mkdir()
        variables = self.environment(machine, f"/rig/{name}", settings or {}) | dict(environment or {})
        inside = [] if self.root == Path("/") else ["chroot", str(self.root)]
        assignments = [f"{key}={value}" for key, value in variables.items()]
        try:
            ended = subprocess.run(
                [*inside, "/usr/bin/env", "-i", *assignments, *command], capture_output=True, text=True, timeout=timeout
            )
            return Outcome(ended.returncode, ended.stdout, ended.stderr, read_counts(folder))
        finally:
            shutil.rmtree(folder)

    def probe(self, machine: str | None, *commands: object, settings: Mapping[str, object] | None = None) -> Outcome:
        """Runs the probe (probe/probe.cpp) with these commands."""
        return self.run(["/rig/probe", *map(str, commands)], machine, settings=settings)


def read_counts(folder: Path) -> list[Counts]:
    """Of all processes that left theirs in a folder."""
    names = [one.name for one in fields(Counts)]
    files = sorted(folder.glob("*.json"), key=lambda file: int(file.stem))
    read = [json.loads(file.read_text(encoding="utf-8")) for file in files]
    return [Counts(**{name: counts[name] for name in names}) for counts in read]
