"""Which checks a device has to pass, those first that tell most: the time may not suffice for all of them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from sdcpp_py.preflight.self_test.attention_checks import attention_checks, flash_attention_checks
from sdcpp_py.preflight.self_test.checks import Check, single_operations


def telling_checks() -> Iterator[Check]:
    """A few of each kind: enough to draw a picture by, and all that is asked of what computes on a CPU."""
    yield from single_operations(quick=True)
    yield from attention_checks(quick=True)


def further_checks() -> Iterator[Check]:
    """All others."""
    told = {check.name for check in telling_checks()}
    for found in (single_operations(), attention_checks(), flash_attention_checks()):
        yield from (check for check in found if check.name not in told)


def checks(quick: bool = False) -> Iterator[Check]:
    """All, in order. ``quick``: those that tell most."""
    yield from telling_checks()
    if not quick:
        yield from further_checks()


def foremost(found: Sequence[Check], names: Collection[str]) -> list[Check]:
    """The same checks, those of the names before the others."""
    return sorted(found, key=lambda check: check.name not in names)
