"""The laptops that the Vulkan layer plays, as their files in ``machines/`` describe them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sdcpp_py.system.byte_sizes import parse_bytes

FOLDER = Path(__file__).parent / "machines"
_PAGE = 4096


@dataclass(frozen=True)
class Machine:
    """What a test needs to know of one: the rest is the layer's business.

    Attributes:
        heaps: bytes of each, as its driver says them.
        local: the numbers of those that are the GPU's own.
        host_memory, host_available: bytes of the host's memory, in all and free.
        tflops: 10^12 operations that it computes in a second.
    """

    name: str
    file: Path
    heaps: tuple[int, ...]
    local: tuple[int, ...]
    host_memory: int
    host_available: int
    tflops: float


def names() -> list[str]:
    """All that there are."""
    return sorted(file.stem for file in FOLDER.glob("*.machine"))


def settings_of(name: str) -> dict[str, str]:
    """The lines of a machine's file, over those of the one that it is like."""
    lines = (FOLDER / f"{name}.machine").read_text(encoding="utf-8").splitlines()
    settings = settings_of(lines[0].split()[1]) if lines[0].startswith("like ") else {}
    for line in lines[1:] if settings else lines:
        key, equals, value = line.partition("#")[0].partition("=")
        if equals:
            settings[key.strip()] = value.strip()
    return settings


def machine(name: str) -> Machine:
    """The machine of that name. Raises FileNotFoundError."""
    settings = settings_of(name)
    heaps = [settings[f"heap.{index}"].split() for index in range(sum(key.startswith("heap.") for key in settings))]
    return Machine(
        name,
        FOLDER / f"{name}.machine",
        tuple(_pages(words[0]) for words in heaps),
        tuple(index for index, words in enumerate(heaps) if "local" in words),
        _pages(settings["host_memory"]),
        _pages(settings["host_available"]),
        float(settings["tflops"]),
    )


def _pages(text: str) -> int:
    return parse_bytes("a machine", text) // _PAGE * _PAGE
