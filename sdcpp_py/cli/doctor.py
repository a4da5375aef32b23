"""``sdcpp-py doctor``."""

from __future__ import annotations

import argparse
import json
import platform
from typing import Any

from sdcpp_py.cli.report import report
from sdcpp_py.cli.screen import Column, show_heading, show_table
from sdcpp_py.cli.self_test import run_test, summary
from sdcpp_py.memory.pool import Pool
from sdcpp_py.preflight.machine import describe_machine
from sdcpp_py.preflight.recommendation import recommend
from sdcpp_py.preflight.speed import kept_speed
from sdcpp_py.system.gpu_records import GpuRecord


def run(options: argparse.Namespace) -> None:
    """Prints what this installation and this machine are, or tests a device. Raises NativeLibraryError.

    Raises GenerationError where a device is tested and wrong.
    """
    if options.test is not None:
        run_test(options.test, options.json)
        return
    machine = describe_machine()
    if options.report:
        print(report(machine), end="")
        return
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
        *(("", machine[name]) for name in ("vulkan_cure", "shaders_lack") if machine[name]),
        *(("device", _device(device)) for device in machine["devices"]),
        *(("self-test", _tested(device)) for device in machine["devices"] if device["is_gpu"]),
        *([("shared", _pool(Pool(**machine["pool"])))] if machine["pool"] else []),
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
    text = (
        f"{device['name']}: {device['description']} ({kind}), "
        f"{_gib(device['memory_free'])} free of {_gib(device['memory_total'])}"
    )
    return f"{text}; {_abilities(device)}" if device["is_gpu"] else text


def _tested(device: dict[str, Any]) -> str:
    record = GpuRecord.from_plain(device["self_test"])
    if record is None:
        return f"{device['name']} is tested before its first use, or now by `sdcpp-py doctor --test {device['name']}`"
    return f"{device['name']}: {summary(record)[0]}"


def _abilities(device: dict[str, Any]) -> str:
    """What a GPU and this build make of each other."""
    numbers = "half precision" if device["float16"] else "float32"
    cores = f"matrix cores by {device['matrix_cores']}" if device["matrix_cores"] else "no matrix cores"
    dot = "products of bytes" if device["integer_dot"] else "no products of bytes"
    return f"driver {device['driver'] or 'unknown'}, {numbers}, {cores}, {dot}"


def _pool(pool: Pool) -> str:
    amount = "no limit is known of" if pool.limit is None else f"{_gib(pool.limit)} may be taken now of"
    return f"{amount} {pool}"


def _gib(size: int) -> str:
    return f"{size / 2**30:.1f} GiB"
