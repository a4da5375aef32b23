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

from sdcpp_py.models.families import FAMILIES, FLUX1, FLUX1_SCHNELL, FLUX2_KLEIN, QWEN_IMAGE, SD3, Z_IMAGE, Family

RECORDED = json.loads((Path(__file__).parents[1] / "data" / "sigmas.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("family", "key"),
    [
        (FLUX2_KLEIN, "klein"),
        (Z_IMAGE, "z-image"),
        (FLUX1, "flux1"),
        (FLUX1_SCHNELL, "flux1-schnell"),
        (SD3, "sd3"),
        (QWEN_IMAGE, "qwen-image"),
    ],
)
def test_sigmas_are_the_reference_pipelines(family: Family, key: str) -> None:
    """For many step counts and sizes the sigmas are those that diffusers' pipelines ran (see docs/testing.md)."""
    assert family.sigmas is not None
    cases: list[dict[str, Any]] = RECORDED[key]
    assert len({(case["steps"], case["width"], case["height"]) for case in cases}) >= 50
    for case in cases:
        ours = family.sigmas(case["steps"], case["width"], case["height"])
        assert len(ours) == case["steps"] + 1
        np.testing.assert_allclose(
            np.array(ours, np.float32), np.array(case["sigmas"], np.float32), rtol=0, atol=3e-7, err_msg=str(case)
        )


def test_klein_in_four_steps() -> None:
    """Klein's four steps at 256x256 are 1, .955, .877, .704, 0."""
    assert FLUX2_KLEIN.sigmas is not None
    assert [round(sigma, 3) for sigma in FLUX2_KLEIN.sigmas(4, 256, 256)] == [1.0, 0.955, 0.877, 0.704, 0.0]


SCHEDULED = [family for family in (*FAMILIES, FLUX1_SCHNELL) if family.sigmas is not None]


@given(st.sampled_from(SCHEDULED), st.integers(1, 200), st.integers(4, 256), st.integers(4, 256))
def test_sigmas_fall_from_one_to_nothing(family: Family, steps: int, columns: int, rows: int) -> None:
    """For any number of steps and any size, sigmas begin at 1, fall strictly, and end at 0."""
    assert family.sigmas is not None
    sigmas = family.sigmas(steps, 16 * columns, 16 * rows)
    assert sigmas[0] == 1.0
    assert sigmas[-1] == 0.0
    assert all(later < earlier for earlier, later in itertools.pairwise(sigmas))


@given(st.sampled_from(SCHEDULED), st.integers(1, 100), st.floats(0.01, 1), st.floats(0.01, 1))
def test_less_strength_begins_lower_and_takes_fewer_steps(
    family: Family, steps: int, strength: float, another: float
) -> None:
    """A schedule begins at the sigma that is its strength; with less it has no more steps, and all fall to 0."""
    assert family.sigmas is not None
    weak, strong = (family.sigmas(steps, 512, 512, value) for value in sorted((strength, another)))
    assert (weak[0], strong[0]) == tuple(sorted((strength, another)))
    assert 2 <= len(weak) <= len(strong) <= steps + 1
    for sigmas in (weak, strong):
        assert sigmas[-1] == 0.0
        assert all(later < earlier for earlier, later in itertools.pairwise(sigmas))
