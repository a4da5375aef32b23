"""Why a GPU that may be there does not show: no driver for Vulkan, or no right to use it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from sdcpp_py.system.vulkan_drivers import DRIVER_VARIABLES, driver_manifests


def gpu_nodes(root: Path = Path("/")) -> list[Path]:
    """The GPUs that the kernel of a Linux system offers to programs, as its files of them."""
    return sorted((root / "dev/dri").glob("renderD*"))


def missing_gpu(root: Path = Path("/"), environment: Mapping[str, str] = os.environ) -> str:
    """Why Vulkan shows no GPU on a Linux system, and the command that mends it, in a sentence; "" where none is known.

    Args:
        root: of the file system.
        environment: of the process.
    """
    nodes = gpu_nodes(root)
    if not nodes:
        return ""  # no GPU, or one of which the kernel knows nothing
    if not any(environment.get(name) for name in DRIVER_VARIABLES) and not driver_manifests(root, environment):
        return (
            "no Vulkan driver is installed for the GPU: `sudo apt install mesa-vulkan-drivers` (Debian, Ubuntu), "
            "`sudo dnf install mesa-vulkan-drivers` (Fedora), `sudo pacman -S vulkan-radeon` (Arch)"
        )
    if not any(os.access(node, os.R_OK | os.W_OK) for node in nodes):
        return (
            f"this user may not use the GPU (/{nodes[0].relative_to(root)}): `sudo usermod -aG render,video $USER`, "
            "then log in anew"
        )
    return ""
