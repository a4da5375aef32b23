"""What this installation and this machine are, for ``sdcpp-py doctor`` and for reports of faults."""

from __future__ import annotations

import os
import platform
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sdcpp_py._native import library
from sdcpp_py.memory.limits import Limits
from sdcpp_py.memory.tested_gpus import known_gpu
from sdcpp_py.system.cpu import default_threads, physical_cores
from sdcpp_py.system.gpu_watchdog import gpu_watchdog
from sdcpp_py.system.ram import memory
from sdcpp_py.version import __version__


def describe_machine() -> dict[str, Any]:
    """The facts as plain values, ready for JSON. Raises NativeLibraryError where the native library does not work."""
    devices = library.devices()
    total, available = memory()
    pool = Limits.parse("auto", "cpu").now(devices, {}).pool
    return {
        "version": __version__,
        "engine_commit": library.engine_commit(),
        "ggml_version": library.ggml_version(),
        "cpu": {
            "name": cpu_name(),
            "physical_cores": physical_cores(),
            "logical_cores": os.cpu_count() or 1,
            "default_threads": default_threads(),
            "module": library.cpu_module(),
            "modules_built": library.modules_built("cpu"),
            "features": library.cpu_features(),
        },
        "memory": {"total": total, "available": available},
        "pool": None if pool is None else asdict(pool),
        "backends": _backends(devices),
        "vulkan_cure": library.vulkan_cure(),
        "shaders_lack": library.shaders_lack(),
        "devices": [
            {
                "name": device.name,
                "description": device.description,
                "is_gpu": device.is_gpu,
                "is_integrated": device.is_integrated,
                "memory_free": device.memory_free,
                "memory_total": device.memory_total,
                "driver": device.driver,
                "float16": device.float16,
                "matrix_cores": device.matrix_cores,
                "integer_dot": device.integer_dot,
                "self_test": _kept(device),
            }
            for device in devices
        ],
        "gpu_watchdog": gpu_watchdog(),
    }


def _kept(device: library.Device) -> dict[str, Any] | None:
    """What the self-test found of a GPU before."""
    record = known_gpu(device)
    return None if record is None else record.plain()


def _backends(devices: list[library.Device]) -> list[str]:
    """The backends that were built, and whether each has a device here."""
    if not library.modules_built("vulkan"):
        return ["cpu", "vulkan (not built)"]
    return ["cpu", "vulkan" if any(device.is_gpu for device in devices) else "vulkan (no driver or no GPU here)"]


def cpu_name() -> str:
    """The CPU's own name."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
