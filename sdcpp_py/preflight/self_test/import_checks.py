"""Whether a device computes rightly with weights in memory of the process, which it imports."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from sdcpp_py.preflight.self_test.checks import Check, Compute, convolution, product

IMPORTS = "imported weights"
"""The kind of these checks."""


def import_checks() -> Iterator[Check]:
    """Products and a convolution, as those of single operations are, with weights that the CPU writes."""
    yield _imported(product("F16", 67, 1056, 64, True))
    yield _imported(product("Q8_0", 67, 1056, 333, True))
    yield _imported(product("Q8_0", 1024, 1024, 8, True))
    yield _imported(convolution(64, 48, 33, 40, 3, True))


def _imported(check: Check) -> Check:
    def run(compute: Compute) -> float:
        return check.run(partial(compute, imported=True))

    return replace(check, kind=IMPORTS, name=f"{check.name}, weights imported", run=run)
