"""What a picture costs in submissions and uploaded bytes, as the engine would have it and as it is.

``SDCPP_PY_VULKAN_ROOT=FOLDER/debian13 python -m tests.vulkan.picture_costs`` prints a table for docs/measurements.md,
after tests/vulkan/run.sh has made the root and installed the wheel there.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from .rig import Counts, Rig
from .test_library import draw

HOW = {
    "as the engine has it": {"SDCPP_PY_KERNELS": "off"},
    "weights uploaded": {"SDCPP_PY_WEIGHTS": "uploaded"},
    "weights imported": {"SDCPP_PY_WEIGHTS": "imported"},
}
COLUMNS = ("", "submissions", "dispatches", "GFLOP", "allocations", "uploaded MiB", "imported MiB", "most MiB")


def rows(rig: Rig) -> Iterator[tuple[str, ...]]:
    """Of each way, its name and what was counted, of the model in the package at 64x64 in two steps."""
    for name, environment in HOW.items():
        yield name, *_figures(draw(rig, environment=environment).outcome.counts)


def _figures(counts: Counts) -> Iterator[str]:
    yield from (f"{count}" for count in (counts.submissions, counts.dispatches))
    yield f"{counts.gflop:.1f}"
    yield f"{counts.allocations}"
    held = sum(heap["most"] for heap in counts.heaps)
    yield from (f"{size / 2**20:.1f}" for size in (counts.uploaded_bytes, counts.imported_bytes, held))


def main() -> None:
    """Prints the table."""
    print(f"| {' | '.join(COLUMNS)} |\n|{' --- |' * len(COLUMNS)}")
    for row in rows(Rig(Path(os.environ["SDCPP_PY_VULKAN_ROOT"]))):
        print(f"| {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main()
