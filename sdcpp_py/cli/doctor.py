"""``sdcpp-py doctor``."""

from __future__ import annotations

import argparse
import json
import platform
from typing import Any

from sdcpp_py.preflight.machine import describe_machine
from sdcpp_py.preflight.recommendation import recommend
from sdcpp_py.preflight.speed import kept_speed


def run(options: argparse.Namespace) -> None:
    """Prints what this installation and this machine are. Raises NativeLibraryError."""
    machine = describe_machine()
    if options.json:
        print(json.dumps(machine, indent=2))
        return
    print(f"sdcpp_py {machine['version']}, Python {platform.python_version()}, {platform.platform()}")
    print(f"engine    stable-diffusion.cpp {machine['engine_commit']}, ggml {machine['ggml_version']}")
    cpu = machine["cpu"]
    print(f"CPU       {cpu['name']}: {cpu['physical_cores']} cores, {cpu['logical_cores']} threads; "
          f"{cpu['default_threads']} are used by default")  # fmt: skip
    print(f"module    {cpu['module']} of {', '.join(cpu['modules_built'])}")
    print(f"features  {', '.join(cpu['features'])}")
    memory = machine["memory"]
    print(f"RAM       {_gib(memory['available'])} available of {_gib(memory['total'])}")
    print(f"backends  {', '.join(machine['backends'])}")
    if machine["vulkan_cure"]:
        print(f"          {machine['vulkan_cure']}")
    for device in machine["devices"]:
        print(f"device    {_device(device)}")
    print(f"watchdog  {machine['gpu_watchdog']}")
    print(f"models    {_models()}")


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
