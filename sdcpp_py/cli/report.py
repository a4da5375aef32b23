"""``sdcpp-py doctor --report``: what a report of a fault needs, and nothing of the person who writes it."""

from __future__ import annotations

import getpass
import os
import platform
import re
import socket
from collections.abc import Iterator, Mapping
from typing import Any

from sdcpp_py.cli.self_test import summary
from sdcpp_py.system.gpu_records import GpuRecord
from sdcpp_py.system.paths import home_folder

# Of the environment only what is known to hold no path and no name.
_OURS = ("SDCPP_PY_KERNELS", "SDCPP_PY_CPU_MODULE", "SDCPP_PY_SELF_TEST", "SDCPP_PY_WEIGHTS")
_GGML = "GGML_VK_"
# Shorter ones are words.
_LEAST = 3


def report(machine: Mapping[str, Any]) -> str:
    """A text about an installation and its machine, for a report of a fault.

    Args:
        machine: of ``describe_machine``.
    """
    return without_names("\n".join(_lines(machine)) + "\n", _personal())


def _lines(machine: Mapping[str, Any]) -> Iterator[str]:
    cpu, memory = machine["cpu"], machine["memory"]
    yield f"sdcpp_py {machine['version']}, Python {platform.python_version()}"
    yield f"engine {machine['engine_commit']}, ggml {machine['ggml_version']}"
    yield f"system {platform.system()} {platform.release()}, {platform.machine()}, {' '.join(platform.libc_ver())}"
    yield f"CPU {cpu['name']}, {cpu['physical_cores']} cores, module {cpu['module']}"
    yield f"RAM {memory['available'] >> 20} MiB available of {memory['total'] >> 20}"
    yield f"backends {', '.join(machine['backends'])}"
    yield from (machine[name] for name in ("vulkan_cure", "shaders_lack") if machine[name])
    yield f"watchdog {machine['gpu_watchdog']}"
    for device in machine["devices"]:
        if device["is_gpu"]:
            yield from _gpu(device)
    for name, value in sorted(os.environ.items()):
        if name in _OURS or name.startswith(_GGML):
            yield f"{name}={value}"


def _gpu(device: Mapping[str, Any]) -> Iterator[str]:
    yield f"{device['name']}: {device['description']}, driver {device['driver'] or 'unknown'}"
    kind = "integrated" if device["is_integrated"] else "of its own memory"
    yield f"  {kind}, {device['memory_free'] >> 20} MiB free of {device['memory_total'] >> 20}"
    abilities = (f"{name} {device[name] or 'no'}" for name in ("float16", "matrix_cores", "integer_dot"))
    yield f"  {', '.join(abilities)}"
    record = GpuRecord.from_plain(device["self_test"])
    if record is None:
        yield "  not tested: `sdcpp-py doctor --test` does it"
    else:
        yield from (f"  {line}" for line in summary(record))


def _personal() -> dict[str, str]:
    """What must not be in a report, and what stands for it."""
    found = {}
    home = home_folder()
    if home is not None and len(home.parts) > 1:
        found[str(home)] = "~"
    for name, find in (("HOST", socket.gethostname), ("HOST", platform.node), ("USER", getpass.getuser)):
        try:
            value = find()
        except (OSError, KeyError, ImportError):  # a user whom the system has no entry for
            continue
        for part in {value, value.partition(".")[0]}:
            found.setdefault(part, name)
    return {value: name for value, name in found.items() if len(value) >= _LEAST}


def without_names(text: str, personal: Mapping[str, str]) -> str:
    """A text in which what is personal is replaced where it stands as a word of its own, the longest first."""
    for value, name in sorted(personal.items(), key=lambda pair: -len(pair[0])):
        text = re.sub(rf"(?<![A-Za-z0-9]){re.escape(value)}(?![A-Za-z0-9])", lambda _, name=name: name, text)  # type: ignore[misc]
    return text
