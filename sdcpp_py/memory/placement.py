"""Which part of a model computes on which device."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sdcpp_py._native.library import Device, find_device
from sdcpp_py.errors import SettingsError
from sdcpp_py.naming import named
from sdcpp_py.parts import PARTS

DeviceChoice = str | Mapping[str, str]
"""What ``Generator(device=...)`` takes."""

# A GPU of less memory than this holds a denoiser, and no text encoder beside it.
_SMALL = 8 << 30


@dataclass(frozen=True)
class Placement:
    """A device for each part, by the part's name."""

    devices: Mapping[str, Device]

    def __getitem__(self, part: str) -> Device:
        return self.devices[part]

    @property
    def denoiser(self) -> Device:
        """The device of the denoiser."""
        return self.devices["diffusion_model"]

    @property
    def all(self) -> tuple[Device, ...]:
        """Each device once."""
        return tuple(dict.fromkeys(self.devices.values()))

    def __str__(self) -> str:
        if len(self.all) == 1:
            return self.denoiser.name
        return ", ".join(f"{part} on {device.name}" for part, device in self.devices.items())


def placements(choice: object) -> list[Placement]:
    """The placements that a choice leaves open, the best first: the first one whose memory suffices is to be taken.

    Args:
        choice: a device's name for all parts, "auto", or names by part; parts that are not named are on "auto".

    "auto" computes on the CPU where there is no GPU. With one, the denoiser is on it, the text encoder too unless the
    GPU is integrated or has less than 8 GiB (it computes once, and then only takes room), and the VAE where there is
    room.

    Raises:
        SettingsError: it names no part, or is no name.
        NativeLibraryError: there is no such device.
    """
    if not isinstance(choice, Mapping):
        if not isinstance(choice, str):
            raise SettingsError(
                f"{named('device')} must be a string such as 'auto' or 'cpu', or one for each part, not {choice!r}"
            )
        if choice.lower() != "auto":
            device = find_device(choice)
            return [Placement(dict.fromkeys(PARTS, device))]
        choice = {}
    for part in choice:
        if part not in PARTS:
            raise SettingsError(f"{named('device')} names {', '.join(PARTS)}, not {part!r}")
    return _automatic({part: find_device(name) for part, name in choice.items() if name != "auto"})


def _automatic(fixed: Mapping[str, Device]) -> list[Placement]:
    cpu = find_device("cpu")
    denoiser = fixed.get("diffusion_model") or find_device("auto")
    if not denoiser.is_gpu:
        return [Placement({**dict.fromkeys(PARTS, denoiser), **fixed})]
    small = denoiser.is_integrated or denoiser.memory_total < _SMALL
    wishes = [
        {"text_encoder": cpu if small else denoiser, "diffusion_model": denoiser, "vae": denoiser},
        {"text_encoder": cpu, "diffusion_model": denoiser, "vae": denoiser},
        {"text_encoder": cpu, "diffusion_model": denoiser, "vae": cpu},
    ]
    found = []
    for wish in wishes:
        placement = Placement({**wish, **fixed})
        if placement not in found:
            found.append(placement)
    return found
