"""Files that were damaged, or made to do harm: the process lives, and each is read or refused with an error of ours."""

from __future__ import annotations

import os

import pytest

from tests.hostile.__main__ import SHARES
from tests.hostile.kinds import SomeFiles
from tests.hostile.watch import Tally, try_mutants

SEED = 17
MANY = int(os.environ.get("SDCPP_PY_TEST_MUTANTS", "10"))
"""Of each kind; ``python -m tests.hostile`` tries thousands."""
TYPES = 2940
"""Tensors of each kind in the package's model, times the types of both formats."""


def check(tally: Tally, count: int) -> None:
    assert not tally.faults, "\n".join(tally.faults)
    assert tally.attempts == count


def test_a_few_mutants_of_each_kind_are_read_or_refused() -> None:
    """Models, adapters, indices, prompts, catalogues and pictures, in a process whose death would show."""
    count = 6 * len(SomeFiles.kinds)
    check(try_mutants("some-files", count, seed=SEED), count)


@pytest.mark.slow
@pytest.mark.parametrize("kind", SHARES)
def test_many_mutants_are_read_or_refused(kind: str) -> None:
    """More of each kind, all families' models among them (docs/reliability.md has the command for thousands)."""
    check(try_mutants(kind, MANY, seed=SEED), MANY)


@pytest.mark.slow
@pytest.mark.parametrize("share", range(7))
def test_a_tensor_of_any_type_is_computed_or_refused(share: int) -> None:
    """Types that a file can claim, of all of them, at every kind of tensor of all three parts, in both formats.

    Ggml stores more types than it computes with, and calls a null pointer for the others.
    """
    check(try_mutants("type", MANY, first=share * (TYPES // 7)), MANY)


def test_a_death_is_noticed() -> None:
    """What all this stands on: where the process dies at a mutant, that is a fault, and another goes on behind it."""
    tally = try_mutants("deadly", 3)
    assert tally.outcomes == {"lived": 2}
    assert [fault.partition("\n")[0] for fault in tally.faults] == [
        "deadly seed 0 number 1: the process ended by SIGSEGV"
    ]


def test_none_is_begun_when_the_time_is_over() -> None:
    """What was tried until then counts, and what was begun then is no fault."""
    tally = try_mutants("deadly", 1000, time_share=0.0)
    assert tally.outcomes == {"lived": 1}
    assert not tally.faults
