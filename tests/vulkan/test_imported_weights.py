"""Weights that the GPU of a laptop imports, which the Vulkan layer plays: nothing of them is sent to it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from .rig import Rig
from .test_library import RENOIR, Drawn, difference, draw

pytestmark = pytest.mark.vulkan

SCRIPT = Path(__file__).parent / "draw_shared.py"
IMPORTED = {"SDCPP_PY_WEIGHTS": "imported"}
REFUSED = "of this process's memory for its own; such weights are uploaded"


@pytest.fixture(scope="module")
def uploaded(rig: Rig) -> Drawn:
    """A picture whose weights are sent to the GPU."""
    return draw(rig)


def test_imported_weights_are_not_sent(rig: Rig, uploaded: Drawn) -> None:
    """The same picture, with all weights in imported memory and as many bytes less that commands copy to the GPU."""
    drawn = draw(rig, environment=IMPORTED)
    assert difference(drawn, uploaded) == 0
    counts, weights = drawn.outcome.counts, drawn.said["weight_bytes"]
    assert counts.imported_bytes == weights > 5e6
    saved = uploaded.outcome.counts.uploaded_bytes - counts.uploaded_bytes
    assert saved == pytest.approx(uploaded.said["weight_bytes"], rel=0.02)
    assert counts.uploaded_bytes < 0.2 * uploaded.outcome.counts.uploaded_bytes
    # RADV has memory of the process in the heap of the host, not in the GPU's own.
    assert counts.most_bytes(0) >= counts.imported_bytes
    assert counts.submissions < uploaded.outcome.counts.submissions
    assert (counts.complaints, counts.refused_allocations) == ([], 0)


@pytest.mark.parametrize("how", [{"imports": "no"}, {"hide": "external_memory_host"}])
def test_where_nothing_is_imported_weights_are_sent(rig: Rig, uploaded: Drawn, how: dict[str, Any]) -> None:
    """A driver that refuses imports, or does not know them: the same picture, uploads, a line in the log, no error."""
    drawn = draw(rig, environment=IMPORTED, **how)
    assert drawn.said["error"] is None
    assert difference(drawn, uploaded) == 0
    assert drawn.outcome.counts.imported_bytes == 0
    assert drawn.outcome.counts.uploaded_bytes == uploaded.outcome.counts.uploaded_bytes
    assert drawn.outcome.errors.count(REFUSED) == 1


def test_imported_weights_are_streamed_and_shared(rig: Rig) -> None:
    """In the least memory they are streamed, right and within it; a generator on the CPU has the same bytes.

    The CPU's picture is to the bit that of weights which it has read itself.
    """
    shutil.copy(SCRIPT, rig.folder)
    outcome = rig.run(
        ["/venv/bin/python", f"/rig/{SCRIPT.name}", "/rig/shared.npz"], RENOIR, timeout=1200, environment=IMPORTED
    )
    assert outcome.status == 0, outcome.errors
    said = json.loads(outcome.output.splitlines()[-1])
    assert said["held"] == said["planned"] == said["on_gpu"] == said["shared"]
    assert (said["on_cpu"], said["after"]) == (0, 0)
    assert "streamed" in said["stays"]
    assert said["most"] <= said["least"]
    pictures = np.load(rig.folder / "shared.npz")
    assert np.array_equal(pictures["whole"], pictures["streamed"])
    assert np.array_equal(pictures["alone"], pictures["shared"])
