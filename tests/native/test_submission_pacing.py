"""How large submissions to a GPU are, when what was measured of it before is right, wrong, or absurd.

The device is played: it computes each kind of operation at a pace of its own, and takes time to start.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from sdcpp_py._native.library import ffi, lib
from sdcpp_py._native.status import raise_failure

# The usual target, half of which is aimed at, and the shortest time in which a driver gives up.
TARGET, WATCHDOG = 0.25, 2.0
# Where nothing is known of a device: 4 GFLOP in a quarter of a second.
GUESS = 16e9

# Slower than the careful guess expects any device to be, nothing holds.
paces = st.lists(st.floats(2.5e9, 9e12), min_size=3, max_size=3)
starts = st.floats(0, 0.003)
kinds = st.lists(st.integers(0, 2), min_size=1, max_size=60)


def play(seeds: list[float], true: list[float], shares: NDArray[np.float64], start: float = 0.0) -> NDArray[np.float64]:
    """Seconds of one submission after the other."""
    lib.sdpy_set_submission_target(int(1000 * TARGET))
    shares = np.ascontiguousarray(shares, np.float64)
    seconds, failure = np.zeros(len(shares)), ffi.new("sdpy_failure *")
    if lib.sdpy_play_submissions(
        seeds,
        true,
        start,
        ffi.from_buffer("double[]", shares),
        len(shares),
        ffi.from_buffer("double[]", seconds),
        failure,
    ):
        raise_failure(failure, ffi)
    return seconds


def of_kinds(which: list[int]) -> NDArray[np.float64]:
    """Submissions of one kind of work each."""
    return np.eye(3)[which]


@given(true=paces, wrong=st.lists(st.floats(-2, 2), min_size=3, max_size=3), which=kinds, start=starts)
def test_a_wrong_seed_never_lasts_too_long(
    true: list[float], wrong: list[float], which: list[int], start: float
) -> None:
    """Whatever was measured, up to a hundred times too high or too low: no submission lasts as long as a driver allows.

    A kind's first submission may be too long for the target, if the seed was too high; the ones that follow are not.
    """
    seeds = [pace * 10**power for pace, power in zip(true, wrong, strict=True)]
    seconds = play(seeds, true, of_kinds(which), start)
    assert (seconds < WATCHDOG / 2).all()
    again = [kind in which[:index] for index, kind in enumerate(which)]
    assert (seconds[again] <= TARGET + start).all()


@given(
    true=paces,
    wrong=st.lists(st.floats(-2, 2), min_size=3, max_size=3),
    shares=st.lists(st.lists(st.floats(0.01, 1), min_size=3, max_size=3), min_size=1, max_size=60),
    start=starts,
)
def test_mixed_submissions_do_not_last_too_long(
    true: list[float], wrong: list[float], shares: list[list[float]], start: float
) -> None:
    """The same where each submission has work of all kinds, whose seeds are wrong in different ways."""
    mixed = np.array(shares)
    seeds = [pace * 10**power for pace, power in zip(true, wrong, strict=True)]
    assert (play(seeds, true, mixed / mixed.sum(1, keepdims=True), start) < WATCHDOG).all()


@given(true=paces, start=st.floats(0, 0.001))
def test_a_right_seed_is_reached_at_once(true: list[float], start: float) -> None:
    """After one small submission that bears it out, the next of its kind is as long as is aimed at; not without one."""
    seconds = play(true, true, of_kinds([0, 0, 1, 1, 2, 2]), start)
    assert (seconds[1::2] > 0.8 * TARGET / 2).all()
    assert (seconds[::2] < TARGET / 8).all()
    quick = [GUESS * 20] * 3
    assert play([0.0] * 3, quick, of_kinds([0, 0]))[1] < 0.1 * TARGET / 2


@given(true=st.floats(1e10, 9e12), power=st.floats(-2, 2))
def test_a_wrong_seed_is_corrected(true: float, power: float) -> None:
    """By and by, submissions are as long as is aimed at, whatever the seed was."""
    seconds = play([true * 10**power] * 3, [true] * 3, of_kinds([0] * 40))
    assert seconds[-1] == pytest.approx(TARGET / 2, rel=0.1)


@pytest.mark.parametrize("seed", [float("nan"), float("inf"), -1e12, 0.0, 1e7, 1e16, float("-inf")])
def test_an_absurd_seed_is_not_believed(seed: float) -> None:
    """What no device can be leaves the careful guess as it is."""
    true = [1e12] * 3
    np.testing.assert_array_equal(
        play([seed] * 3, true, of_kinds([0, 1, 2])), play([0.0] * 3, true, of_kinds([0, 1, 2]))
    )
    assert play([seed] * 3, [GUESS] * 3, of_kinds([0]))[0] == pytest.approx(TARGET / 2)
