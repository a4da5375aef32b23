"""Whether weights come quicker to a GPU whose memory the CPU writes into: the other way where none are imported."""

from __future__ import annotations

import os
from collections.abc import Sequence

from sdcpp_py._native import library
from sdcpp_py._native.library import Device
from sdcpp_py.memory.gpu_rules import weights_may_be_anywhere
from sdcpp_py.preflight.self_test.setting import Tried, try_setting
from sdcpp_py.system.gpu_records import (
    CONVOLUTIONS,
    HOST_MEMORY,
    IM2COL,
    PRODUCTS,
    PRODUCTS_IN_FLOAT32,
    UPLOAD,
    UPLOADED,
    GpuRecord,
)
from sdcpp_py.system.vulkan_drivers import is_software

_PACES = (PRODUCTS_IN_FLOAT32, PRODUCTS, CONVOLUTIONS, IM2COL)
# Every product of every step would pay for weights that come sooner, once.
_AS_QUICK = 0.95
LEAST_SECONDS = 5.0
"""A process takes some of it to start; in less, nothing would come of it."""


def may_be_written(device: Device, record: GpuRecord, right: Tried) -> bool:
    """Whether it is to be found out: of the only GPU, which shares the host's memory, imports nothing and was timed.

    Args:
        device: that was tested.
        record: what is known of it by now.
        right: the setting that it is used with.
    """
    return (
        device.is_gpu
        and record.usable
        and record.weights == UPLOADED
        and not right.short
        and {PRODUCTS_IN_FLOAT32, UPLOAD} <= set(right.speeds)
        and HOST_MEMORY not in os.environ
        and weights_may_be_anywhere(device)
        and not is_software(device.driver)
        # The module reads the variable for all of them, and one with a memory of its own would not use that any more.
        and not any(other.is_gpu and other.name != device.name for other in library.devices())
    )


def try_written(command: Sequence[str], right: Tried, *, silence: float, left: float) -> Tried:
    """The checks that tell most, and the timing, with weights that the CPU writes. Arguments as of ``try_setting``.

    Raises OSError where no process can be started.
    """
    return try_setting([*command, "--timed"], (*right.switches, HOST_MEMORY), silence=silence, seconds=left)


def better(written: Tried, right: Tried) -> bool:
    """Whether a GPU whose weights the CPU writes is as right, as quick, and has them sooner."""
    if written.fault or written.late or written.short or written.failed or written.unreached:
        return False
    # A way that is wrong in any case is not used.
    known = {one.name for one in right.outcomes if not one.right or one.refused}
    if any((not one.right or one.refused) and one.name not in known for one in written.outcomes):
        return False
    paces = [name for name in _PACES if name in right.speeds]
    if any(written.speeds.get(name, 0.0) < _AS_QUICK * right.speeds[name] for name in paces):
        return False
    return written.speeds.get(UPLOAD, 0.0) > right.speeds[UPLOAD]
