"""Which part of a model computes on which device."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sdcpp_py._native.library import Device, find_device
from sdcpp_py.errors import NativeLibraryError, SettingsError
from sdcpp_py.memory.plan import MemoryPlan
from sdcpp_py.memory.tested_gpus import known_gpu, refusal, say_once
from sdcpp_py.naming import named
from sdcpp_py.parts import PARTS
from sdcpp_py.system.gpu_records import GpuRecord

DeviceChoice = str | Mapping[str, str]
"""What ``Generator(device=...)`` takes."""

# A GPU of less memory than this holds a denoiser, and no text encoder beside it.
_SMALL = 8 << 30
# What was timed stands for all that a part computes: less of a difference decides nothing.
_CLEARLY = 1.5
# A part is on the CPU that a GPU computes at most so many times as quick. Where that computes the VAE as quickly, no
# picture takes longer, and in a batch it decodes while the GPU denoises.
_CPU_FROM = {"text_encoder": 1 / _CLEARLY, "diffusion_model": 1 / _CLEARLY, "vae": 1.0}


@dataclass(frozen=True)
class Placement:
    """A device for each part.

    Attributes:
        devices: by the part's name.
        known: what is known of GPUs among them, by the device's name.
        why: why parts are where they are, in a phrase; "" where that was not left open.
        with_room: it is to be taken only where memory leaves the choice: where all weights stay in it.
    """

    devices: Mapping[str, Device]
    known: Mapping[str, GpuRecord] = field(default_factory=dict, compare=False)
    why: str = field(default="", compare=False)
    with_room: bool = field(default=False, compare=False)

    def suits(self, plan: MemoryPlan) -> bool:
        """Whether it is to be taken, by the plan of pictures on it."""
        return plan.fits and (plan.all_resident or not self.with_room)

    def __getitem__(self, part: str) -> Device:
        return self.devices[part]

    @property
    def denoiser(self) -> Device:
        """The device of the denoiser."""
        return self.devices["diffusion_model"]

    def sums(self, sizes: Mapping[str, int]) -> dict[str, int]:
        """What sizes of parts come to, by the names of the parts' devices."""
        sums: dict[str, int] = {}
        for part, size in sizes.items():
            name = self[part].name
            sums[name] = sums.get(name, 0) + size
        return sums

    @property
    def all(self) -> tuple[Device, ...]:
        """Each device once."""
        return tuple(dict.fromkeys(self.devices.values()))

    def __str__(self) -> str:
        if len(self.all) == 1:
            return self.denoiser.name
        return ", ".join(f"{part} on {device.name}" for part, device in self.devices.items())


def placements(choice: object, *, heed: bool = True, apart: bool = True) -> list[Placement]:
    """The placements that a choice leaves open, the best first: the first one that suits its plan is to be taken.

    Args:
        choice: a device's name for all parts, "auto", or names by part; parts that are not named are on "auto".
        heed: whether what the self-test found of GPUs counts.
        apart: whether an engine on a GPU has a process of its own.

    "auto" computes on the CPU where there is no GPU. With one, the denoiser is on it, the text encoder too unless the
    GPU is integrated or has less than 8 GiB (it computes once, and then only takes room), and the VAE where there is
    room. Where the self-test found one of these two clearly quicker elsewhere, it is there if all weights have room. So
    is the VAE on a CPU that is as quick as the GPU: a batch has both at work then. A GPU that the self-test found
    wrong, or clearly slower than the CPU at what a denoiser computes, is left out.

    Raises:
        SettingsError: it names no part, or is no name.
        NativeLibraryError: there is no such device, or the self-test found it wrong.
    """
    if not isinstance(choice, Mapping):
        if not isinstance(choice, str):
            raise SettingsError(
                f"{named('device')} must be a string such as 'auto' or 'cpu', or one for each part, not {choice!r}"
            )
        if choice.lower() != "auto":
            device = _chosen(choice, heed, apart)
            return [_placed(dict.fromkeys(PARTS, device), heed)]
        choice = {}
    for part in choice:
        if part not in PARTS:
            raise SettingsError(f"{named('device')} names {', '.join(PARTS)}, not {part!r}")
    fixed = {part: _chosen(name, heed, apart) for part, name in choice.items() if name != "auto"}
    return _automatic(fixed, heed, apart)


def _chosen(name: str, heed: bool, apart: bool) -> Device:
    """The device of a name that was given. Raises NativeLibraryError where it must not be used."""
    device = find_device(name)
    why = refusal(known_gpu(device), apart=apart) if heed else ""
    if why:
        raise NativeLibraryError(
            f"{device.name} ({device.description}) must not be used: {why}. `sdcpp-py doctor --test` tests it anew; "
            f"{named('self_test')} 'off' uses it all the same"
        )
    return device


def _best(heed: bool, apart: bool) -> Device:
    """The device that "auto" means; the CPU where the GPU that it would be must not be used, or is clearly slower."""
    device = find_device("auto")
    record = known_gpu(device) if heed else None
    why = refusal(record, apart=apart)
    times = record.quicker.get("diffusion_model") if record is not None else None
    if why:
        say_once(f"the CPU computes in place of {device.name} ({device.description}), which must not be used: {why}")
    elif times is not None and times <= _CPU_FROM["diffusion_model"]:
        say_once(
            f"the CPU computes in place of {device.name} ({device.description}): it was {1 / times:.1f} times as quick "
            f"in the self-test; {named('device')} {device.name!r} computes there all the same"
        )
    else:
        return device
    return find_device("cpu")


def _placed(devices: Mapping[str, Device], heed: bool, why: str = "", *, with_room: bool = False) -> Placement:
    found = {device.name: known_gpu(device) for device in devices.values()} if heed else {}
    known = {name: record for name, record in found.items() if record is not None}
    return Placement(devices, known, why, with_room)


def _automatic(fixed: Mapping[str, Device], heed: bool, apart: bool) -> list[Placement]:
    cpu = find_device("cpu")
    denoiser = fixed.get("diffusion_model") or _best(heed, apart)
    if not denoiser.is_gpu:
        return [_placed({**dict.fromkeys(PARTS, denoiser), **fixed}, heed)]
    small = denoiser.is_integrated or denoiser.memory_total < _SMALL
    usual = {"text_encoder": cpu if small else denoiser, "diffusion_model": denoiser, "vae": denoiser}
    record = known_gpu(denoiser) if heed else None
    times = record.quicker if record is not None else {}
    quick = {part: _quickest(part, times.get(part), denoiser, cpu) or where for part, where in usual.items()}
    wishes = [usual, {**usual, "text_encoder": cpu}, {**usual, "text_encoder": cpu, "vae": cpu}]
    found: list[Placement] = []
    for wish in (quick, *wishes):
        devices = {**wish, **fixed}
        by_speed = wish is quick and devices != {**usual, **fixed}
        reasons = [_reason(part, devices[part], denoiser, times.get(part)) for part in PARTS if part not in fixed]
        placement = _placed(devices, heed, "; ".join(filter(None, reasons)), with_room=by_speed)
        # One that was there for its speed may be there again, for want of memory elsewhere.
        if placement not in [one for one in found if not one.with_room]:
            found.append(placement)
    return found


def _quickest(part: str, times: float | None, gpu: Device, cpu: Device) -> Device | None:
    """Where a part is quickest that the GPU computes so many times as quick as the CPU; None where it is not clear."""
    if times is None:
        return None
    if times >= _CLEARLY:
        return gpu
    return cpu if times <= _CPU_FROM[part] else None


def _reason(part: str, device: Device, gpu: Device, times: float | None) -> str:
    """Why a part is there, in a phrase; "" where there is nothing to be said."""
    by_speed = times is not None and _quickest(part, times, gpu, device) == device
    if device == gpu:
        return f"{part} on {gpu.name}, {times:.1f} times as quick as cpu in the self-test" if by_speed else ""
    if times is not None and by_speed:
        return f"{part} on {device.name}, {1 / times:.1f} times as quick as {gpu.name} in the self-test"
    return f"{part} on {device.name}, for the memory of {gpu.name}"
