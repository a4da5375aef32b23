"""``sdcpp-py doctor``."""

from __future__ import annotations

import argparse
import json
import platform
from typing import Any

from sdcpp_py.cli.screen import Column, show_heading, show_table
from sdcpp_py.preflight.machine import describe_machine
from sdcpp_py.preflight.recommendation import recommend
from sdcpp_py.preflight.speed import kept_speed


def run(options: argparse.Namespace) -> None:
    """Prints what this installation and this machine are. Raises NativeLibraryError."""
    machine = describe_machine()
    if options.json:
        print(json.dumps(machine, indent=2))
        return
    show_heading(f"sdcpp_py {machine['version']}, Python {platform.python_version()}, {platform.platform()}")
    show_table((Column(style="cyan", least=8), Column(folds=True)), _rows(machine))


def _rows(machine: dict[str, Any]) -> list[tuple[str, str]]:
    cpu, memory = machine["cpu"], machine["memory"]
    return [
        ("engine", f"stable-diffusion.cpp {machine['engine_commit']}, ggml {machine['ggml_version']}"),
        (
            "CPU",
            f"{cpu['name']}: {cpu['physical_cores']} cores, {cpu['logical_cores']} threads; "
            f"{cpu['default_threads']} are used by default",
        ),
        ("module", f"{cpu['module']} of {', '.join(cpu['modules_built'])}"),
        ("features", ", ".join(cpu["features"])),
        ("RAM", f"{_gib(memory['available'])} available of {_gib(memory['total'])}"),
        ("backends", ", ".join(machine["backends"])),
        *([("", machine["vulkan_cure"])] if machine["vulkan_cure"] else []),
        *(("device", _device(device)) for device in machine["devices"]),
        ("watchdog", machine["gpu_watchdog"]),
        ("models", _models()),
    ]


def _models() -> str:
    """The first models that suit this machine, where its speed is known; this command times nothing."""
    speed = kept_speed()
    if speed is None:
        return "`sdcpp-py recommend` says which suit this machine"
    found = recommend(count=3, speed=speed)
    return f"{', '.join(one.name for one in found) or 'none fits'} (`sdcpp-py recommend` says more)"


def _device(device: dict[str, Any]) -> str:
    kind = "CPU"
    if device["is_gpu"]:
        kind = "integrated GPU" if device["is_integrated"] else "GPU"
    return (
        f"{device['name']}: {device['description']} ({kind}), "
        f"{_gib(device['memory_free'])} free of {_gib(device['memory_total'])}"
    )


def _gib(size: int) -> str:
    return f"{size / 2**30:.1f} GiB"
