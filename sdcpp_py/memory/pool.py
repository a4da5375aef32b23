"""Devices that share the host's memory: the CPU, integrated GPUs, and Vulkan that is computed by the CPU."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sdcpp_py._native.library import Device
from sdcpp_py.system.byte_sizes import format_bytes
from sdcpp_py.system.vulkan_drivers import is_software


@dataclass(frozen=True)
class Pool:
    """The host's memory, where devices share it: what one of them holds, another cannot have.

    Attributes:
        devices: the names of those that share it, "cpu" first.
        limit: bytes that they may hold together; None: no limit.
        carve_out: how many of these are a GPU's alone: firmware has set them aside, and the CPU cannot have them.
    """

    devices: tuple[str, ...]
    limit: int | None
    carve_out: int = 0

    def __str__(self) -> str:
        alone = f" ({format_bytes(self.carve_out)} of it the GPU's alone)" if self.carve_out else ""
        return f"the memory that {' and '.join(self.devices)} share{alone}"


@dataclass(frozen=True)
class Bounds:
    """What devices may hold.

    Attributes:
        devices: bytes by device, each for itself; a device that is not there has no limit of its own.
        pool: the memory that some of them share; None where each has its own.
    """

    devices: Mapping[str, int]
    pool: Pool | None = None


def in_host_memory(device: Device) -> bool:
    """Whether a GPU computes in the host's memory: it is integrated, or its driver computes on the CPU."""
    # A driver that computes on the CPU does not say that it is integrated, and its memory is RAM.
    return device.is_gpu and (device.is_integrated or is_software(device.description))


def sharing(devices: Sequence[Device]) -> tuple[str, ...]:
    """The names of the devices that share the host's memory, the CPU first; none where no GPU does."""
    gpus = [device.name for device in devices if in_host_memory(device)]
    return ("cpu", *gpus) if gpus else ()
