"""A failure at any place of a run ends in its error or in the right picture, and the right picture comes next."""

from __future__ import annotations

import os
import shutil

import pytest

from tests.hostile.failures import FAILURES
from tests.hostile.kinds import SomeFailures
from tests.hostile.watch import Tally, try_mutants

MANY = int(os.environ.get("SDCPP_PY_TEST_MUTANTS", "10"))


def check(tally: Tally, count: int) -> None:
    assert not tally.faults, "\n".join(tally.faults)
    assert tally.attempts == count


def test_a_failure_of_each_kind_becomes_an_error() -> None:
    """Nodes that throw, fail, want memory, or give NaN or infinity; reads that come short, end early or fail."""
    count = len(SomeFailures.kinds)
    check(try_mutants("some-failures", count, first=2 * count), count)  # at nodes of the VAE


@pytest.mark.slow
@pytest.mark.parametrize("kind", [kind for kind in FAILURES if kind != "allocation"])
def test_failures_at_many_places_become_errors(kind: str) -> None:
    """More of each kind (docs/reliability.md has the command for all places)."""
    check(try_mutants(kind, MANY), MANY)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("cc") is None, reason="the allocator that fails is compiled")
def test_allocations_that_fail_become_errors() -> None:
    """Each allocation of the native threads, in turn, finds no memory."""
    check(try_mutants("allocation", MANY), MANY)
