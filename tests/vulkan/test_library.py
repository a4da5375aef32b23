"""The library on a laptop that the Vulkan layer plays, drawing with the model in the package."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from . import machines
from .rig import Outcome, Rig

pytestmark = pytest.mark.vulkan

RENOIR = "renoir-16gb"
LARGEST_MEAN_DIFFERENCE = 0.2  # grey levels
SCRIPT = Path(__file__).parent / "draw_tiny.py"


@dataclass(frozen=True)
class Drawn:
    """What the script said, its picture where it drew one, and what the layer counted."""

    said: dict[str, Any]
    pixels: np.ndarray[Any, Any] | None
    outcome: Outcome


def draw(
    rig: Rig,
    device: str = "vulkan0",
    size: int = 64,
    *,
    steps: int = 2,
    perf: bool = False,
    isolation: str = "thread",
    environment: Mapping[str, str] | None = None,
    **settings: object,
) -> Drawn:
    """Draws with the package's model inside the root."""
    shutil.copy(SCRIPT, rig.folder)
    picture = rig.folder / "drawn.npy"
    picture.unlink(missing_ok=True)
    command = ["/venv/bin/python", f"/rig/{SCRIPT.name}", device, "/rig/drawn.npy", str(size), str(steps), isolation]
    variables = dict(environment or {}) | ({"GGML_VK_PERF_LOGGER": "1"} if perf else {})
    outcome = rig.run(command, RENOIR, timeout=1200, environment=variables, settings=settings)
    assert outcome.status == 0, outcome.errors
    pixels = np.load(picture) if picture.exists() else None
    return Drawn(json.loads(outcome.output.splitlines()[-1]), pixels, outcome)


@pytest.fixture(scope="module")
def drawn(rig: Rig) -> Drawn:
    """A picture on the Renoir."""
    return draw(rig)


def test_the_laptop_is_listed(drawn: Drawn) -> None:
    """An integrated GPU is found by ggml without being told to look, and its heaps are its memory."""
    gpu = next(one for one in drawn.said["devices"] if one["name"] == "vulkan0")
    assert gpu["is_integrated"]
    assert gpu["description"] == machines.settings_of(RENOIR)["name"]
    assert gpu["memory_total"] == sum(machines.machine(RENOIR).heaps)


def test_the_picture_is_the_cpus(rig: Rig) -> None:
    """What is drawn on the laptop's GPU is what the CPU draws, to within rounding.

    Of a size that the model was trained on: smaller ones differ by as much between a CPU with AVX-512 and one without.
    """
    assert difference(draw(rig, size=128, steps=4), draw(rig, "cpu", 128, steps=4)) < LARGEST_MEAN_DIFFERENCE


def test_everything_is_counted_by_name(drawn: Drawn) -> None:
    """Weights are uploaded through staging into the GPU's own heap, and ggml names each shader."""
    counts = drawn.outcome.counts
    assert counts.most_bytes(1) > counts.uploaded_bytes / 2 > 5e6
    assert counts.dispatches == sum(one["dispatches"] for one in counts.shaders) > 500
    assert all(one["name"] != one["hash"] for one in counts.shaders)
    assert any(one["name"].startswith("conv") for one in counts.shaders)
    assert (counts.complaints, counts.lost_at, counts.refused_allocations) == ([], 0, 0)


def test_the_work_of_products_is_what_ggml_says(rig: Rig) -> None:
    """The layer's estimate of all matrix products together is the sum of the sizes that ggml itself logs."""
    measured = draw(rig, perf=True)
    line = re.compile(r"MUL_MAT\S* .*?m=(\d+) n=(\d+) k=(\d+)(?: batch=(\d+))?.*?: (\d+) x")
    sizes = [[int(number or 1) for number in match] for match in line.findall(measured.outcome.errors)]
    by_ggml = sum(2 * m * n * k * batch * times for m, n, k, batch, times in sizes) / 1e9
    products = [one for one in measured.outcome.counts.shaders if one["name"].startswith(("matmul_", "mul_mat_vec_"))]
    assert sum(one["gflop"] for one in products) == pytest.approx(by_ggml, rel=1e-6)
    assert by_ggml > 10


def test_a_lost_device_is_an_error(rig: Rig) -> None:
    """A device that is lost in the middle of a picture raises DeviceLostError, and the process goes on."""
    # The slower a device, the more submissions a picture is divided into: there are never fewer than here.
    fewest = draw(rig, computes="no").outcome.counts.submissions
    lost = draw(rig, lose_at=fewest - 100)
    assert lost.said["error"] == "DeviceLostError"
    assert lost.outcome.counts.lost_why == "it was asked for"


def test_a_device_that_is_lost_while_weights_come_is_left(rig: Rig) -> None:
    """Each process counts its submissions anew, and loses the device, until the picture is the CPU's, to the bit."""
    on_the_way = draw(rig, "auto", isolation="process", lose_at=20)
    assert on_the_way.said["error"] is None
    assert on_the_way.said["device"] == "cpu"
    assert "vulkan0 was lost" in on_the_way.outcome.errors
    assert "the CPU computes it all from here on" in on_the_way.outcome.errors
    assert difference(on_the_way, draw(rig, "cpu")) == 0


def test_a_lost_device_goes_on(rig: Rig, drawn: Drawn) -> None:
    """One that is lost in a picture goes on in another process, and the picture is what it would have been, to within
    rounding; its events say so.
    """
    # The slower a device, the more submissions a picture is divided into: there are never fewer than here.
    fewest = draw(rig, "auto", computes="no").outcome.counts.submissions
    on_the_way = draw(rig, "auto", isolation="process", lose_at=fewest - 5)
    assert on_the_way.said["error"] is None
    assert on_the_way.said["events"][:2] == ["device_lost", "smaller_submissions"]
    assert difference(on_the_way, drawn) < LARGEST_MEAN_DIFFERENCE


def difference(one: Drawn, other: Drawn) -> float:
    """Of two pictures' pixels, in grey levels, on average."""
    assert one.pixels is not None
    assert other.pixels is not None
    return float(np.abs(one.pixels.astype(float) - other.pixels.astype(float)).mean())


def test_a_watchdog_that_the_work_is_too_much_for(rig: Rig) -> None:
    """Where one dispatch is more than the watchdog allows, the device is lost over the submission that has it."""
    # A device that does not compute is so quick that nothing is divided for it.
    counts = draw(rig, computes="no").outcome.counts
    lost = draw(rig, computes="no", tflops=1, watchdog=counts.longest_dispatch_gflop / 1000 * 0.9)
    assert lost.said["error"] == "DeviceLostError"
    assert counts.longest_dispatch_of in lost.outcome.counts.lost_why


def test_spoiled_results_are_in_the_picture(rig: Rig) -> None:
    """Convolutions that give zeros make a flat picture: the rig can spoil what the library draws."""
    spoiled = draw(rig, spoil="conv2d_*", spoiling="zeros")
    assert spoiled.outcome.counts.spoiled_dispatches > 10
    assert spoiled.outcome.counts.complaints == []
    assert spoiled.pixels is None or spoiled.pixels.std() < 1


def test_a_large_picture_without_computing(rig: Rig) -> None:
    """A machine that does not compute counts the whole work of a picture of 1024x1024 in seconds."""
    large = draw(rig, size=1024, computes="no")
    assert large.said["error"] is None
    assert large.outcome.counts.gflop > 500
