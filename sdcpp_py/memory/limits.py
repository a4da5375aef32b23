"""How much memory the parts of a model may take on each device."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sdcpp_py._native.library import Device, find_device
from sdcpp_py.errors import SettingsError
from sdcpp_py.memory.pool import Bounds, Pool, sharing
from sdcpp_py.naming import named
from sdcpp_py.system.byte_sizes import parse_bytes
from sdcpp_py.system.carve_out import carve_out
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
        together: bytes that must be kept to by all devices that share the host's memory; None where that is left open.
    """

    exact: Mapping[str, int]
    auto: bool
    together: int | None = None

    @classmethod
    def parse(cls, wish: object, denoiser_device: str, devices: Sequence[Device] = ()) -> Limits:
        """From ``Generator(memory=...)``.

        A size alone is for the denoiser's device; where that shares the host's memory with another of ``devices``,
        those that take part, it is for all that share it.

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
        size = _size(named("memory"), wish)
        if denoiser_device in sharing(devices):
            return cls({}, True, size)
        return cls({denoiser_device: size}, True)

    def without(self, taken: Mapping[str, int]) -> Limits:
        """The same where so many bytes of devices are taken by what no plan has."""
        exact = {name: max(0, size - taken.get(name, 0)) for name, size in self.exact.items()}
        together = None if self.together is None else max(0, self.together - sum(taken.values()))
        return Limits(exact, self.auto, together)

    def now(self, devices: Sequence[Device], held: Mapping[str, int]) -> Bounds:
        """What the devices may hold, each and together. Those that nothing is known of have no limit.

        What a driver says that its GPU has free counts as far as the system says so too, where that GPU shares the
        host's memory.

        Args:
            devices: those that take part.
            held: bytes that are held there already, and count as free.
        """
        total, free = memory()
        shared = sharing(devices)
        carved, carved_free = _carved([device for device in devices if device.name in shared])
        on_cpu, on_gpus = held.get("cpu", 0), sum(held.get(name, 0) for name in shared if name != "cpu")
        # What GPUs hold beyond that which was set aside for them lies in the RAM: the CPU could have it instead.
        ram = _within(total, free, on_cpu + max(0, on_gpus - carved))
        whole = _within(total and total + carved, free + carved_free, on_cpu + on_gpus)
        if self.together is not None:
            ram = whole = self.together  # goes before what is free, as a size for the CPU alone does
        elif not self.auto:
            ram = whole = None
        limits = {}
        for device in devices:
            name = device.name
            limit = self.exact.get(name)
            if limit is None and self.auto:
                pooled = whole if name in shared else None
                own = ram
                if device.is_gpu:
                    # Behind heaps in the RAM, a share of that is spared already.
                    own = _within(*_gpu_memory(name), held.get(name, 0), spared=pooled is not None)
                limit = _lower(own, pooled)
            if limit is not None:
                limits[name] = limit
        return Bounds(limits, Pool(shared, whole, (whole or 0) - (ram or 0)) if shared else None)


def _size(name: str, wish: object) -> int:
    """The bytes of a size. Raises SettingsError, also where its unit was forgotten: nothing runs in so few bytes."""
    size = parse_bytes(name, wish)
    if size < _FEWEST and (not isinstance(wish, str) or wish.strip()[-1:].isdigit()):
        meant = f"{size}GiB" if size <= 1024 else f"{size}MiB"
        raise SettingsError(f"{name} is {wish!r}, which is {size} bytes; did you mean {meant}?")
    return size


def _within(total: int, free: int, held: int, *, spared: bool = False) -> int | None:
    """Bytes to hold at most, of a memory with so many free and held by us; None where nothing is known of it.

    ``spared``: whether other programs have their share of it already.
    """
    if not total:
        return None
    left = max(_SPARED_LEAST, 0 if spared else int(free * _SPARED_SHARE))
    return min(max(0, free - left) + held, total)


def _lower(*limits: int | None) -> int | None:
    return min((limit for limit in limits if limit is not None), default=None)


def _gpu_memory(name: str) -> tuple[int, int]:
    """Bytes that a GPU has in all, and free now; 0 where that is not known."""
    device = find_device(name)  # anew: what is free changes
    # Drivers of some integrated GPUs say that nothing is free.
    return device.memory_total, device.memory_free or device.memory_total


def _carved(gpus: Sequence[Device]) -> tuple[int, int]:
    """Bytes that are set aside for GPUs that share the host's memory: in all, and free now. A machine has one."""
    return max((carve_out(gpu.memory_total) for gpu in gpus if gpu.is_integrated), default=(0, 0))
