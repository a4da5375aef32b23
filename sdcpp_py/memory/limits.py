"""How much memory the parts of a model may take on each device."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sdcpp_py._native.library import Device, find_device
from sdcpp_py.errors import SettingsError
from sdcpp_py.naming import named
from sdcpp_py.system.byte_sizes import parse_bytes
from sdcpp_py.system.ram import memory

MemoryLimit = str | int | Mapping[str, str | int]
"""What ``Generator(memory=...)`` takes."""

# Of what is free, this much stays free: other programs go on, and some of what is counted as free is not at once.
_SPARED_SHARE = 0.08
_SPARED_LEAST = 128 << 20
_FEWEST = 1 << 20


@dataclass(frozen=True)
class Limits:
    """What was asked for.

    Attributes:
        exact: bytes by device name, that must be kept to.
        auto: whether devices that are not named are limited by what they have free.
    """

    exact: Mapping[str, int]
    auto: bool

    @classmethod
    def parse(cls, wish: object, denoiser_device: str) -> Limits:
        """From ``Generator(memory=...)``: a size alone is for the denoiser's device.

        Raises SettingsError, and NativeLibraryError where it names a device that there is not.
        """
        if isinstance(wish, str) and wish.lower() in ("auto", "all"):
            return cls({}, wish.lower() == "auto")
        if isinstance(wish, Mapping):
            for name in wish:
                if not isinstance(name, str):
                    raise SettingsError(f"{named('memory')} names devices such as 'cpu', not {name!r}")
            sizes = {name: _size(f"{named('memory')} of {name!r}", size) for name, size in wish.items()}
            return cls({find_device(name).name: size for name, size in sizes.items()}, True)
        if isinstance(wish, str) and not any(letter.isdigit() for letter in wish):
            raise SettingsError(f"{named('memory')} must be 'auto', 'all' or a size such as '6GiB', not {wish!r}")
        return cls({denoiser_device: _size(named("memory"), wish)}, True)

    def now(self, devices: Sequence[Device], held: Mapping[str, int]) -> dict[str, int]:
        """Bytes by device. Devices that nothing is known of have no limit.

        Args:
            devices: those that take part.
            held: bytes that are held there already, and count as free.
        """
        limits = {}
        for device in devices:
            if device.name in self.exact:
                limits[device.name] = self.exact[device.name]
            elif self.auto:
                free, total = _memory(device.name)
                if total:
                    spared = max(_SPARED_LEAST, int(free * _SPARED_SHARE))
                    limits[device.name] = min(max(0, free - spared) + held.get(device.name, 0), total)
        return limits


def _size(name: str, wish: object) -> int:
    """The bytes of a size. Raises SettingsError, also where its unit was forgotten: nothing runs in so few bytes."""
    size = parse_bytes(name, wish)
    if size < _FEWEST and (not isinstance(wish, str) or wish.strip()[-1:].isdigit()):
        meant = f"{size}GiB" if size <= 1024 else f"{size}MiB"
        raise SettingsError(f"{name} is {wish!r}, which is {size} bytes; did you mean {meant}?")
    return size


def _memory(name: str) -> tuple[int, int]:
    """Bytes that a device has free now, and in all; 0 where that is not known."""
    device = find_device(name)  # anew: what is free changes
    if not device.is_gpu:
        total, free = memory()
        return free, total
    # Drivers of some integrated GPUs say that nothing is free.
    return device.memory_free or device.memory_total, device.memory_total
