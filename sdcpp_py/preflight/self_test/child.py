"""The process that tests a device with one setting, which is in its environment; it may hang, or die by the driver.

``python -m sdcpp_py.preflight.self_test.child DEVICE [quick]`` writes a line of JSON before and after each check. With
``--seconds`` it ends by and by once they are over, with ``--first`` it begins with the checks of these names, and with
``--timed`` it ends after the timing.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sdcpp_py._native import library, operations
from sdcpp_py._native.vulkan_build import SELF_TEST_VARIABLE
from sdcpp_py.errors import OutOfMemoryError, SettingsError
from sdcpp_py.generator import Generator
from sdcpp_py.preflight.self_test.checks import Check, Compute
from sdcpp_py.preflight.self_test.import_checks import import_checks
from sdcpp_py.preflight.self_test.order import foremost, further_checks, telling_checks
from sdcpp_py.preflight.self_test.outcomes import (
    LARGEST_DIFFERENCE,
    PICTURE,
    PICTURES,
    TIMING,
    Findings,
    Outcome,
    findings,
)
from sdcpp_py.preflight.self_test.timing import import_speeds, speeds
from sdcpp_py.system.cpu import default_threads
from sdcpp_py.system.gpu_records import GpuRecord, learn
from sdcpp_py.system.vulkan_drivers import is_software

MARK = "self-test "
"""What lines of the test begin with; a driver may write others."""
Draw = Callable[[str], NDArray[np.uint8]]
_PROMPT = "a red circle on a blue background"
# Of the time, so much is for single operations; the rest is left for the picture, which shows what none of them does.
_FOR_OPERATIONS = 0.6


class _Clock:
    """How much of the time is over."""

    def __init__(self, seconds: float) -> None:
        self._begin, self._seconds = time.monotonic(), seconds

    def left(self, share: float = 1) -> bool:
        """Whether this share of the time is not over yet."""
        return time.monotonic() - self._begin < share * self._seconds


def main(arguments: Sequence[str], compute: Compute | None = None, draw: Draw | None = None) -> None:
    """Tests a device.

    Args:
        arguments: as the program's.
        compute, draw: take the place of the device's operations and pictures.
    """
    options = _parsed(arguments)
    clock = _Clock(options.seconds)
    # The module is loaded with this process's switches; from then on, what it finds out itself counts.
    device = library.find_device(options.device)
    quick = options.mode == "quick" or is_software(device.driver)
    os.environ.pop(SELF_TEST_VARIABLE, None)
    _say(device=asdict(device))
    on_device = compute or partial(operations.compute, device=device.name, threads=default_threads())
    telling = foremost([*telling_checks()], options.first)
    further = [] if quick or options.timed else foremost([*further_checks()], options.first)
    # A fault of before that is among the others is looked for first.
    wanted = [check for check in further if check.name in options.first]
    further = further[len(wanted) :]
    imports = [] if options.timed else [*import_checks()]
    ahead = Counter(check.kind for check in (*wanted, *telling, *further, *imports))
    ahead |= Counter({TIMING: 1} if options.timed else {TIMING: 1, PICTURES: 1})
    _say(ahead=ahead)
    for_operations = partial(clock.left, 1 if options.timed else _FOR_OPERATIONS)
    outcomes = _outcomes((*wanted, *telling), on_device, for_operations)
    share, timed = 0.25 if quick else 1.0, {}
    if for_operations():
        _say(begins=TIMING)
        timed = speeds(on_device, share)
        _say(speeds=timed)
    if options.timed:
        _say(ends=True)
        return
    outcomes += _outcomes(further, on_device, for_operations)
    found = findings(outcomes)
    # What computes wrongly draws wrongly.
    if not found.faults and clock.left():
        learn(library.gpu_build(), _record(device, found))
        _say(begins=PICTURE)
        _outcome(PICTURES, PICTURE, LARGEST_DIFFERENCE, lambda: _difference(device.name, draw or _drawn))
    _say(ends=True)
    # A device is right without imports: a driver that dies or hangs over them is not used for them, and no more.
    if not found.faults and findings(_outcomes(imports, on_device, clock.left)).imported:
        _say(speeds={**timed, **import_speeds(on_device, share)})


def _parsed(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("device")
    parser.add_argument("mode", nargs="?")
    parser.add_argument("--seconds", type=float, default=math.inf)
    parser.add_argument("--first", type=json.loads, default=[])
    parser.add_argument("--timed", action="store_true")
    return parser.parse_args(arguments)


def _outcomes(checks: Iterable[Check], on_device: Compute, more: Callable[[], bool]) -> list[Outcome]:
    """What checks give, one after the other, as long as there is time for more."""
    outcomes = []
    for check in checks:
        if not more():
            break
        _say(begins=check.name)
        outcomes.append(_outcome(check.kind, check.name, check.most, lambda run=check.run: run(on_device)))  # type: ignore[misc]
    return outcomes


def _say(**what: Any) -> None:
    sys.stdout.write(f"{MARK}{json.dumps(what)}\n")
    sys.stdout.flush()


def _outcome(kind: str, name: str, most: float, run: Callable[[], float]) -> Outcome:
    try:
        outcome = Outcome(kind, name, most, run())
    except SettingsError as error:  # what a device does not compute; other errors end the process
        outcome = Outcome(kind, name, most, math.inf, str(error))
    except OutOfMemoryError as error:  # others fill it now, and may not tomorrow
        outcome = Outcome(kind, name, most, math.inf, str(error))
        _say(short=True)
    _say(outcome=outcome.plain())
    return outcome


def _record(device: library.Device, found: Findings) -> GpuRecord:
    return GpuRecord(
        device.description,
        device.driver,
        True,
        float32_sums=found.float32_sums,
        direct_convolutions=found.direct,
        im2col_convolutions=found.im2col,
    )


def _drawn(device: str) -> NDArray[np.uint8]:
    # In this process, whose switches are those of the setting.
    with Generator.from_pretrained(
        "tiny", device=device, isolation="thread", fallback=False, cache_prompts=False
    ) as generator:
        return np.asarray(generator.generate(_PROMPT, seed=0).image)


def _difference(device: str, draw: Draw) -> float:
    """Grey levels between a device's picture and the CPU's, in the mean."""
    pictures = [draw(where).astype(np.float64) for where in (device, "cpu")]
    return float(np.abs(pictures[0] - pictures[1]).mean())


if __name__ == "__main__":
    main(sys.argv[1:])
