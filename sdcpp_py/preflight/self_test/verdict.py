"""A device with one setting after the other, until one computes rightly; and what is to be kept of that."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace

from sdcpp_py._native import library
from sdcpp_py._native.library import Device
from sdcpp_py.errors import NativeLibraryError
from sdcpp_py.preflight.self_test.host_memory import LEAST_SECONDS, better, may_be_written, try_written
from sdcpp_py.preflight.self_test.outcomes import Outcome
from sdcpp_py.preflight.self_test.setting import SILENCE, Tried, try_setting
from sdcpp_py.system.gpu_records import (
    CONVOLUTIONS,
    IM2COL,
    IMPORTED,
    ON_CPU,
    PRODUCTS,
    PRODUCTS_IN_FLOAT32,
    PRODUCTS_OF_IMPORTS,
    PRODUCTS_OF_UPLOADS,
    SWITCHES,
    UPLOAD,
    UPLOAD_WRITTEN,
    UPLOADED,
    WRITTEN,
    GpuRecord,
    keep,
    learn,
    sound_figures,
)
from sdcpp_py.system.gpu_watchdog import gpu_watchdog
from sdcpp_py.system.python_process import module_command

SECONDS = 60.0
"""What a device that is right has for its test. Each setting that may mend a wrong one has half of that."""
# Another setting is begun no later than after so many times as long.
_PATIENCE = 3
# What is not uploaded comes so much sooner that a product may be a little slower for it.
_NOT_MUCH_SLOWER = 0.9


@dataclass(frozen=True)
class SelfTest:
    """What the self-test of a device found.

    Attributes:
        device: which one.
        tried: each setting, in order; the last one may be that of weights which the CPU writes.
        record: what follows.
    """

    device: Device
    tried: Sequence[Tried]
    record: GpuRecord


def run_self_test(
    device: Device,
    *,
    command: Sequence[str] | None = None,
    silence: float = SILENCE,
    seconds: float = SECONDS,
    on_outcome: Callable[[Outcome], object] | None = None,
) -> SelfTest:
    """Tests a device with the default setting, and, where something is wrong, with those that may mend it.

    Where it is right and its weights are not imported, also whether they come quicker where the CPU writes them.

    What is found of a GPU is kept for all processes of this user, unless others had filled its memory.

    Args:
        device: one of ``library.devices()``.
        command: of the process that tests one setting; where None, that of ``child``.
        silence: as ``try_setting`` takes it.
        seconds: for the default setting; what they do not suffice for is said in the record.
        on_outcome: is told each outcome.

    Raises NativeLibraryError where no process can be started, or it ends for another reason than the device.
    """
    command = command or module_command("sdcpp_py.preflight.self_test.child", device.name)
    if command is None:
        raise NativeLibraryError("the self-test needs a Python interpreter to start processes with, and knows of none")
    tried: list[Tried] = []
    begin = time.monotonic()
    for switches in _settings(device, tried):
        sought: frozenset[str] = frozenset().union(*(one.wrong for one in tried))
        given = seconds / 2 if tried else seconds
        try:
            tried.append(
                try_setting(command, switches, silence=silence, seconds=given, sought=sought, on_outcome=on_outcome)
            )
        except OSError as error:
            raise NativeLibraryError(f"the self-test's process cannot be started: {error}") from error
        if tried[-1].failed:
            raise NativeLibraryError(f"{device.name} cannot be tested: {tried[-1].ended}")
        if not tried[-1].fault or tried[-1].stuck or time.monotonic() - begin > _PATIENCE * seconds:
            break
    record = judged(device, tried)
    short = any(one.short for one in tried)
    right = next((one for one in tried if not one.fault), None)
    if right is not None and may_be_written(device, record, right):
        left = seconds - (time.monotonic() - begin)
        if left >= LEAST_SECONDS:
            with contextlib.suppress(OSError):  # what cannot be tried is not taken
                tried.append(try_written(command, right, silence=silence, left=left))
                record = with_written(record, tried[-1], right)
    if device.is_gpu and library.gpu_build():
        (learn if short else keep)(library.gpu_build(), record)
    return SelfTest(device, tried, record)


def _settings(device: Device, tried: Sequence[Tried]) -> Iterator[tuple[str, ...]]:
    """The settings to be tried: the default, each switch that means something for the device, and all of these."""
    yield ()
    # This process may have switched off what the device has; the one that tried it as it is has not, and may have died.
    seen = [asdict(device), tried[0].device]
    has = (any(facts.get(name) for facts in seen) for name in ("integer_dot", "matrix_cores", "float16"))
    in_force = library.switches()
    useful = [one for one, there in zip(SWITCHES, has, strict=True) if device.is_gpu and (there or one in in_force)]
    yield from ((switch,) for switch in useful)
    if len(useful) > 1:
        yield tuple(useful)


def judged(device: Device, tried: Sequence[Tried]) -> GpuRecord:
    """What is to be kept of settings that were tried in order: the first that is right, or why none is."""
    faults = tuple(f"{' '.join(one.switches) or 'as it is'}: {one.fault}" for one in tried if one.fault)
    right = next((one for one in tried if not one.fault), None)
    if right is None:
        return GpuRecord(device.description, device.driver, False, _refusal(tried), faults=faults)
    found = right.found
    reason = f"without {' and '.join(map(_called, right.switches))}, because of {tried[0].fault}"
    return GpuRecord(
        device.description,
        device.driver,
        True,
        reason if right.switches else "",
        right.switches,
        found.float32_sums,
        found.direct,
        found.im2col,
        right.speeds,
        faults,
        _quicker(right) if device.is_gpu else {},
        right.unreached,
        IMPORTED if found.imported and _imports_are_quick(right.speeds) else UPLOADED,
    )


def with_written(record: GpuRecord, written: Tried, right: Tried) -> GpuRecord:
    """The record once it was tried whether weights come quicker where the CPU writes them."""
    upload = {UPLOAD_WRITTEN: written.speeds[UPLOAD]} if UPLOAD in written.speeds else {}
    weights = WRITTEN if better(written, right) else record.weights
    return replace(record, speeds={**record.speeds, **upload}, weights=weights)


def _imports_are_quick(speeds: Mapping[str, float]) -> bool:
    """Whether products are about as quick with imported weights, by what was timed."""
    uploaded, imported = speeds.get(PRODUCTS_OF_UPLOADS), speeds.get(PRODUCTS_OF_IMPORTS)
    return uploaded is not None and imported is not None and imported >= _NOT_MUCH_SLOWER * uploaded


def _quicker(right: Tried) -> dict[str, float]:
    """How many times as quick as the CPU a device computes what parts mostly compute, by what was timed of both."""
    found = right.found
    products = PRODUCTS_IN_FLOAT32 if found.float32_sums else PRODUCTS
    on_device = {
        "text_encoder": products,
        "diffusion_model": products,
        "vae": CONVOLUTIONS if found.direct else IM2COL,
    }
    timed = right.speeds
    return sound_figures(
        {
            part: timed[name] / timed[ON_CPU[part]]
            for part, name in on_device.items()
            if name in timed and ON_CPU[part] in timed
        }
    )


def _called(switch: str) -> str:
    return {SWITCHES[0]: "products of bytes", SWITCHES[1]: "matrix cores", SWITCHES[2]: "half precision"}[switch]


def _refusal(tried: Sequence[Tried]) -> str:
    """Why a device must not be used, and what a person can do."""
    first = tried[0].fault
    mends = "no other setting mends it" if len(tried) > 1 else "there is no setting that may mend it"
    if any(one.stuck for one in tried):
        return f"{first}; its process cannot be ended: start the machine anew, and update the GPU's driver"
    if "DeviceLost" in first:
        return (
            f"{first}; {mends}: update kernel and driver, or give the GPU more time by the kernel's parameter "
            f"amdgpu.lockup_timeout ({gpu_watchdog()})"
        )
    return f"{first}; {mends}: update the GPU's driver (Mesa's package, or the vendor's), or compute on the CPU"
