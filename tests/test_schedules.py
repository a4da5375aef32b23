"""Sigmas: those of the models' reference pipelines."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdcpp_py.families import FAMILIES, FLUX2_KLEIN, Z_IMAGE, Family

RECORDED = json.loads((Path(__file__).parent / "data" / "sigmas.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize(("family", "key"), [(FLUX2_KLEIN, "klein"), (Z_IMAGE, "z-image")])
def test_sigmas_are_the_reference_pipelines(family: Family, key: str) -> None:
    """For many step counts and sizes the sigmas are those that diffusers' pipelines ran (see docs/testing.md)."""
    cases: list[dict[str, Any]] = RECORDED[key]
    assert len({(case["steps"], case["width"], case["height"]) for case in cases}) >= 50
    for case in cases:
        ours = family.sigmas(case["steps"], case["width"], case["height"])
        assert len(ours) == case["steps"] + 1
        np.testing.assert_allclose(np.float32(ours), np.float32(case["sigmas"]), rtol=0, atol=3e-7, err_msg=str(case))


def test_klein_in_four_steps() -> None:
    """Klein's four steps at 256x256 are 1, .955, .877, .704, 0."""
    assert [round(sigma, 3) for sigma in FLUX2_KLEIN.sigmas(4, 256, 256)] == [1.0, 0.955, 0.877, 0.704, 0.0]


@given(st.sampled_from(FAMILIES), st.integers(1, 200), st.integers(4, 256), st.integers(4, 256))
def test_sigmas_fall_from_one_to_nothing(family: Family, steps: int, columns: int, rows: int) -> None:
    """For any number of steps and any size, sigmas begin at 1, fall strictly, and end at 0."""
    sigmas = family.sigmas(steps, 16 * columns, 16 * rows)
    assert sigmas[0] == 1.0
    assert sigmas[-1] == 0.0
    assert all(later < earlier for earlier, later in itertools.pairwise(sigmas))
