"""The recorded noise levels of tests/models/test_sigmas.py against diffusers' pipelines."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.reference


def test_the_recorded_noise_levels_are_those_of_the_installed_pipelines() -> None:
    """What write_sigmas.py would write now is what lies in the repository."""
    from .write_sigmas import SIGMAS_FILE, as_text, reference_sigmas

    assert SIGMAS_FILE.read_text(encoding="utf-8") == as_text(reference_sigmas())
