"""The noise levels of this library against those of diffusers' pipelines."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from sdcpp_py.families import FLUX2_KLEIN, Z_IMAGE, Family

pytestmark = pytest.mark.reference

SIGMAS_FILE = Path(__file__).parent.parent / "data" / "sigmas.json"


def test_the_stored_noise_levels_are_those_of_the_installed_pipelines() -> None:
    """What write_sigmas.py would write now is what lies in the repository."""
    from tests.reference.write_sigmas import as_text, reference_sigmas

    assert SIGMAS_FILE.read_text(encoding="utf-8") == as_text(reference_sigmas())


@pytest.mark.parametrize(("section", "family"), [("klein", FLUX2_KLEIN), ("z-image", Z_IMAGE)])
def test_the_default_noise_levels_are_those_of_the_pipeline(section: str, family: Family) -> None:
    """For every size and number of steps the two differ by no more than the last digits of float32."""
    for entry in json.loads(SIGMAS_FILE.read_text(encoding="utf-8"))[section]:
        ours = family.sigmas(entry["steps"], entry["width"], entry["height"])
        np.testing.assert_allclose(ours, entry["sigmas"], rtol=0, atol=2.5e-7)
