"""The rig that tests of Vulkan run on."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from .rig import Rig


@pytest.fixture(scope="session")
def rig() -> Rig:
    """Mesa's software driver in the root that the environment names (docs/testing.md says how to make it)."""
    return Rig(Path(os.environ["SDCPP_PY_VULKAN_ROOT"]))
