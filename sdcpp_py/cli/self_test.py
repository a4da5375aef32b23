"""``sdcpp-py doctor --test``: what a device computes, beside what is right."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from typing import Any

from sdcpp_py._native import library
from sdcpp_py._native.library import Device
from sdcpp_py.cli.output import complain
from sdcpp_py.cli.screen import Column, show_heading, show_table, show_text
from sdcpp_py.errors import GenerationError, NativeLibraryError
from sdcpp_py.preflight.self_test.outcomes import PICTURES, Outcome
from sdcpp_py.preflight.self_test.setting import Tried
from sdcpp_py.preflight.self_test.verdict import SelfTest, run_self_test
from sdcpp_py.system.gpu_records import HOST_MEMORY, IMPORTED, UNITS, UPLOADED, WRITTEN, GpuRecord

logger = logging.getLogger("sdcpp_py")

# Who asks for the test waits longer than who asks for a picture.
_SECONDS = 600.0

_COLUMNS = (Column("checks"), Column("count", right=True), Column("worst", right=True), Column("at most", right=True),
            Column("", folds=True))  # fmt: skip


def run_test(name: str, as_json: bool) -> None:
    """Tests a device, or all GPUs, and prints what was found.

    Args:
        name: the device's; "" means all GPUs.
        as_json: print JSON.

    Raises GenerationError where a device is wrong, NativeLibraryError where there is none.
    """
    found = []
    for device in _devices(name):
        complain(
            f"sdcpp-py: testing {device.name} ({device.description}); what takes longer than "
            f"{_SECONDS / 60:.0f} minutes, as on a software driver, is left out"
        )
        found.append(run_self_test(device, seconds=_SECONDS, on_outcome=lambda outcome: logger.debug("%s", outcome)))
    if as_json:
        print(json.dumps([_plain(one) for one in found], indent=2))
    else:
        for one in found:
            _show(one)
    wrong = [one for one in found if not one.record.usable]
    if wrong:
        raise GenerationError("; ".join(f"{one.device.name} must not be used: {one.record.reason}" for one in wrong))


def _devices(name: str) -> Sequence[Device]:
    if name:
        return [library.find_device(name)]
    gpus = [device for device in library.devices() if device.is_gpu]
    if not gpus:
        cure = library.vulkan_cure()
        raise NativeLibraryError(
            "there is no GPU to be tested; `--test cpu` tests the CPU" + (f". {cure}" if cure else "")
        )
    return gpus


def _plain(test: SelfTest) -> dict[str, Any]:
    settings = [
        {
            "switches": list(tried.switches),
            "ended": tried.ended,
            "unreached": list(tried.unreached),
            "speeds": tried.speeds,
            "outcomes": [outcome.plain() | {"right": outcome.right} for outcome in tried.outcomes],
        }
        for tried in test.tried
    ]
    return {"device": test.device.name, "record": test.record.plain(), "settings": settings}


def _show(test: SelfTest) -> None:
    for tried in test.tried:
        show_heading(f"{test.device.name} ({test.device.description}), {' '.join(tried.switches) or 'as it is'}")
        show_table(_COLUMNS, _rows(tried))
        if tried.ended:
            show_text(tried.ended, "red")
    for line in summary(test.record, is_gpu=test.device.is_gpu):
        show_text(line)


def _rows(tried: Tried) -> Iterator[tuple[str, ...]]:
    for kind in dict.fromkeys(outcome.kind for outcome in tried.outcomes):
        outcomes = [outcome for outcome in tried.outcomes if outcome.kind == kind]
        computed = [outcome for outcome in outcomes if not outcome.refused]
        worst = max(computed, key=lambda outcome: outcome.error / outcome.most, default=None)
        error, most = ("-", "-") if worst is None else (_amount(worst, worst.error), _amount(worst, worst.most))
        yield kind, str(len(outcomes)), error, most, _verdict(outcomes)


def _amount(outcome: Outcome, value: float) -> str:
    if value == float("inf"):
        return "no number"
    return f"{value:.2f} levels" if outcome.kind == PICTURES else f"{value:.2%}"


def _verdict(outcomes: Sequence[Outcome]) -> str:
    wrong = [outcome for outcome in outcomes if not outcome.right]
    refused = [outcome for outcome in outcomes if outcome.refused]
    if wrong:
        return f"{len(wrong)} wrong: {wrong[0].name}"
    return f"{len(refused)} not computed: {refused[0].refused}" if refused else "right"


def summary(record: GpuRecord, *, is_gpu: bool = True) -> list[str]:
    """What a record says, in lines. ``is_gpu``: weights have a way to it."""
    if not record.usable:
        return [f"must not be used: {record.reason}", *record.faults]
    sums = "products are to be summed up in float32" if record.float32_sums else "products are summed up as ggml has it"
    ways = {
        (True, True): "convolutions are right in one pass and by im2col",
        (True, False): "convolutions are right in one pass, and wrong by im2col",
        (False, True): "convolutions are right by im2col, and wrong in one pass",
    }
    way = ways.get((record.direct_convolutions, record.im2col_convolutions), "convolutions are wrong")
    return [
        f"right{f' {record.reason}' if record.reason else ''}; {sums}; {way}",
        *(f"{name}: {speed:.3g} {UNITS.get(name, 'TFLOP/s')}" for name, speed in record.speeds.items()),
        *([_WEIGHTS[record.weights]] if is_gpu else []),
        *map(_quickest, record.quicker, record.quicker.values()),
        *([f"the time did not suffice for: {', '.join(record.unreached)}"] if record.unreached else []),
        *record.faults,
    ]


_WEIGHTS = {
    UPLOADED: "weights are uploaded",
    IMPORTED: "weights are imported where the GPU shares the host's memory",
    WRITTEN: f"weights are written into memory that CPU and GPU see ({HOST_MEMORY})",
}


def _quickest(part: str, times: float) -> str:
    """Where a part is quickest."""
    return f"{part} is quickest on " + (
        f"the GPU, by {times:.1f} times" if times >= 1 else f"cpu, by {1 / times:.1f} times"
    )
