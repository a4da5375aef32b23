"""Machines whose GPU shares the host's memory, in numbers, and this machine made to say what they would.

No such machine was at hand. ``pretended`` gives the process a GPU by name whose work the CPU does, so that models
really are loaded and pictures drawn as planned for it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pytest

from sdcpp_py import Device
from sdcpp_py._native import library
from sdcpp_py.memory.limits import Limits
from sdcpp_py.memory.plan import PartNeed
from sdcpp_py.memory.pool import Bounds
from sdcpp_py.system.carve_out import carve_out

MIB, GIB = 1 << 20, 1 << 30
CPU = Device("cpu", "a CPU", False, False, 0, 0, "CPU")


@dataclass(frozen=True)
class Laptop:
    """What a machine says of its memory, in GiB.

    Attributes:
        ram, available: as the system counts them.
        heaps, heaps_free: of the GPU, all of them together, as its driver says.
        set_aside, set_aside_used: the carve-out, as the kernel's driver says.
    """

    ram: float
    available: float
    heaps: float
    heaps_free: float
    set_aside: float = 0
    set_aside_used: float = 0

    @property
    def gpu(self) -> Device:
        """Its GPU, which the CPU computes for."""
        sizes = int(self.heaps_free * GIB), int(self.heaps * GIB)
        return Device("vulkan0", "AMD Radeon Graphics (RADV RENOIR)", True, True, *sizes, "CPU")

    def bounds(self, patch: pytest.MonkeyPatch, root: Path, memory: object = "auto") -> Bounds:
        """What a model may hold on it whose text encoder is on the CPU and whose other parts are on the GPU."""
        pretended(patch, root, self)
        return Limits.parse(memory, "vulkan0", [CPU, self.gpu]).now([CPU, self.gpu], {})


# GTT (half of the RAM) and carve-out are what Mesa offers. Half a GiB of carve-out is a desktop's own picture's.
LAPTOPS = {
    "16 GB, 13 free, heaps of 7.92": Laptop(15.0, 13.0, 7.92, 7.92),
    "16 GB, 13 free, none of it by the driver": Laptop(15.0, 13.0, 7.92, 0.0),
    "16 GB, 13 free, heaps of 5.28": Laptop(15.0, 13.0, 5.28, 5.28),
    "8 GB, 4.8 free, heaps of 3.9": Laptop(7.0, 4.8, 3.9, 3.9),
    "8 GB, 3.0 free, heaps of 3.9": Laptop(7.0, 3.0, 3.9, 3.9),
    "16 GB with 4 set aside, 9.5 free": Laptop(11.5, 9.5, 9.75, 9.45, 4.0, 0.3),
    "32 GB, 27 free, heaps of 15.8": Laptop(30.6, 27.0, 15.8, 15.8),
}

# Bytes as the engine's graphs say (`sdcpp-py plan MODEL --quant Q4_K --json`): weights, and least room when streamed.
# Compute buffers in MiB, at 512 and 1024: of encoder and denoiser as on the CPU; of the VAE as measured on Vulkan, in
# one piece and convolved directly.
_WEIGHTS = {
    "klein 4b": ((2024721408, 413276160), (2460383232, 141166592), (99324576, 54392992)),
    "z-image": ((2521635840, 413276160), (3864219904, 194320640), (99166496, 54234912)),
    "klein 9b": ((3747032064, 661241856), (5616214016, 249563136), (99324576, 54392992)),
}
_BUFFERS = {
    "klein 4b": {512: (77, 347, 705), 1024: (77, 1147, 2562)},
    "z-image": {512: (62, 272, 705), 1024: (62, 874, 2562)},
    "klein 9b": {512: (90, 466, 705), 1024: (90, 1412, 2562)},
}
MODELS = tuple(_WEIGHTS)
SIZES = (512, 1024)


def needs_of(model: str, size: int, *, encodes: bool = True) -> list[PartNeed]:
    """What the parts of a model need for a square picture: the encoder of the CPU, the others of the GPU."""
    parts = zip(("text_encoder", "diffusion_model", "vae"), _WEIGHTS[model], _BUFFERS[model][size], strict=True)
    needs = [
        PartNeed(name, "cpu" if name == "text_encoder" else "vulkan0", weights, least, buffer * MIB)
        for name, (weights, least), buffer in parts
    ]
    return needs if encodes else [replace(needs[0], working=0, needed=False), *needs[1:]]


def pretended(patch: pytest.MonkeyPatch, root: Path, laptop: Laptop) -> None:
    """Makes this process see a laptop's memory and GPU; ``root`` is an empty folder."""
    cards = {"card0": laptop.set_aside, "card1": 0.0}
    for card, size in cards.items():
        folder = root / "sys/class/drm" / card / "device"
        folder.mkdir(parents=True)
        if size:
            _say(folder / "mem_info_vram_total", size)
            _say(folder / "mem_info_vram_used", laptop.set_aside_used)
            _say(folder / "mem_info_gtt_total", laptop.heaps - size)
    real = library.devices()
    patch.setattr(library, "devices", lambda: [*real, laptop.gpu])
    patch.setattr("sdcpp_py.memory.limits.memory", lambda: (int(laptop.ram * GIB), int(laptop.available * GIB)))
    patch.setattr("sdcpp_py.memory.limits.carve_out", partial(carve_out, root=root))


def _say(file: Path, gib: float) -> None:
    file.write_text(f"{int(gib * GIB)}\n", encoding="ascii")
