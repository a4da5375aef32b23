"""How parts on a GPU compute otherwise than the engine would have it: in float32 where half precision is too little."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from sdcpp_py._native import library
from sdcpp_py._native.library import Device
from sdcpp_py._native.vulkan_build import wished_weights
from sdcpp_py.memory.placement import Placement
from sdcpp_py.memory.pool import in_host_memory
from sdcpp_py.system.carve_out import carve_out
from sdcpp_py.system.gpu_records import IMPORTED, GpuRecord

Precision = Literal["auto", "fast"]
"""What ``Generator(precision=...)`` takes."""
PRECISIONS: tuple[str, ...] = get_args(Precision)

# What compute buffers fill of it anyway.
_LITTLE_SET_ASIDE = 512 << 20


@dataclass(frozen=True)
class GpuRules:
    """Of one part.

    Attributes:
        direct_convolutions: convolutions in one pass, summed up in float32 and in less than half of the memory; the
            engine writes each input nine times over in half precision.
        float32_sums: products are summed up in float32. A GPU without matrix cores that computes in half precision
            would sum up in that: 0.8 to 1.6% off in each layer, and cut off, without a word, what passes its range.
        imported_weights: weights lie in memory of the engine's process, which the GPU imports, instead of its own.
    """

    direct_convolutions: bool = False
    float32_sums: bool = False
    imported_weights: bool = False


def gpu_rules(placement: Placement, precision: str) -> Mapping[str, GpuRules]:
    """The rules by the part's name. Parts on a CPU have none, nor has any where the kernels are switched off."""
    engine_alone = library.kernels() == "off"
    return {
        part: GpuRules()
        if engine_alone or not device.is_gpu
        else _on_gpu(part, device, precision, placement.known.get(device.name))
        for part, device in placement.devices.items()
    }


def _on_gpu(part: str, device: Device, precision: str, known: GpuRecord | None) -> GpuRules:
    """The rules of a part on a GPU: by what was found out about it, or else by what it is."""
    imported = _imports(device, known)
    # U-Nets are a little quicker by im2col; VAEs are three times slower by it, and their pictures need its memory.
    directly = part == "vae"
    if known is None:
        return GpuRules(directly, device.float16 and not device.matrix_cores and precision == "auto", imported)
    directly = known.direct_convolutions and (directly or not known.im2col_convolutions)
    return GpuRules(directly, known.float32_sums and precision == "auto", imported)


def _imports(device: Device, known: GpuRecord | None) -> bool:
    """Whether a GPU reads weights where the engine's process has them: as it is wished, or as it was found out.

    One that has a memory of its own would fetch them over the bus, again and again. Of the host's memory, what firmware
    has set aside for a GPU holds nothing that is imported: where that is much, weights are to go there.
    """
    wish = wished_weights()
    if wish:
        return wish == "imported"
    return known is not None and known.weights == IMPORTED and weights_may_be_anywhere(device)


def weights_may_be_anywhere(device: Device) -> bool:
    """Whether a GPU reads all of the host's memory as quickly as its own, and has little that is its alone."""
    return in_host_memory(device) and carve_out(device.memory_total)[0] <= _LITTLE_SET_ASIDE


def gpu_paces(placement: Placement, rules: Mapping[str, GpuRules]) -> Mapping[str, tuple[float, float, float]]:
    """What the self-test measured of parts' GPUs, as ``GpuRecord.paces`` has it, by the part's name.

    Args:
        placement: of the parts.
        rules: of theirs.
    """
    known = {part: placement.known.get(device.name) for part, device in placement.devices.items()}
    return {
        part: record.paces(float32_sums=rules[part].float32_sums)
        for part, record in known.items()
        if record is not None
    }
