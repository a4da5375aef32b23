"""A laptop's GPU of 0.36 TFLOP/s, whose driver ends what takes two seconds: pictures of full width, counted, not seen.

Dispatches are left out, and submissions take as long as that machine would need for them. On such a laptop other
programs have drawn at 256x256 and lost the device at 512x512.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from .rig import Counts, Rig

pytestmark = pytest.mark.vulkan

RENOIR = "renoir-16gb"
SCRIPT = Path(__file__).parent / "draw_wide.py"
WATCHDOG = 2  # seconds
# What a submission should take, and what an estimate of the next one may be off by at the most.
LONGEST = 0.25 * 2
OFF_BY = 0.05
MIB = 1 << 20

PLANS = """
import json
from sdcpp_py.preflight.named_files import files_named
from sdcpp_py.preflight.plan_files import plan_files

devices = {"text_encoder": "cpu", "diffusion_model": "vulkan0", "vae": "vulkan0"}
with files_named("flux2-klein-4b:Q4_K", hollow=True) as found:
    for size in (512, 1024):
        plan = plan_files(found.files, width=size, height=size, device=devices, memory={"vulkan0": "5.28GiB"})
        print(json.dumps({
            "size": size, "fits": plan.fits, "tiles": plan.vae_tile_size, "vae": plan.part("vae").need.working,
            "stays": sorted({part.stay.value for part in plan.parts}), "peak": plan.peak("vulkan0"),
        }))
"""


def drawn(rig: Rig, family: str, size: int, **settings: object) -> tuple[dict[str, Any], Counts]:
    """What the script says of a family, and what the layer counted."""
    shutil.copy(SCRIPT, rig.folder)
    outcome = rig.run(
        ["/venv/bin/python", f"/rig/{SCRIPT.name}", "vulkan0", family, str(size)],
        RENOIR,
        timeout=3600,
        settings={"computes": "no", "keeps_pace": "yes", "watchdog": WATCHDOG, **settings},
    )
    assert outcome.status == 0, outcome.errors
    return json.loads(outcome.output.splitlines()[-1]), outcome.counts


@pytest.mark.parametrize(
    ("family", "size"),
    [
        ("klein-4b-short", 256),
        ("klein-4b-short", 512),
        # Each waits as long as the laptop would compute, which takes a minute and more.
        pytest.param("klein-4b-short", 1024, marks=pytest.mark.slow),
        pytest.param("klein-9b-short", 1024, marks=pytest.mark.slow),
        pytest.param("z-image-turbo-short", 1024, marks=pytest.mark.slow),
    ],
)
def test_the_wall_is_passed(rig: Rig, family: str, size: int) -> None:
    """No submission comes near the watchdog, the VAE decodes in one piece, and the bytes are those of the plan."""
    said, counts = drawn(rig, family, size)
    assert (said["error"], counts.lost_at, counts.refused_allocations) == (None, 0, 0)
    assert said["tiles"] == 0
    # By the layer's count of the work, which no other program on this machine can lengthen.
    assert counts.longest_submission_gflop <= 360 * LONGEST
    assert abs(said["planned"] - said["allocated"]) <= OFF_BY * said["allocated"]
    assert said["allocated"] <= said["planned"]


def test_a_single_operation_would_be_the_end(rig: Rig) -> None:
    """Where nothing is divided, because the device seems to be quick, one product is more than the watchdog allows."""
    said, counts = drawn(rig, "klein-4b-short", 1024, keeps_pace="no")
    assert said["error"] == "DeviceLostError"
    assert counts.longest_dispatch_gflop > 360 * WATCHDOG


def test_klein_fits_whole_into_what_the_driver_calls_its_own(rig: Rig) -> None:
    """Klein 4B at 1024x1024 is resident within 5.28 GiB, without tiles; the VAE's buffer is a third of im2col's."""
    outcome = rig.run(["/venv/bin/python", "-c", PLANS], RENOIR, timeout=300)
    assert outcome.status == 0, outcome.errors
    small, large = (json.loads(line) for line in outcome.output.splitlines())
    assert small["vae"] <= 710 * MIB
    assert large["vae"] <= 2.6 * 1024 * MIB
    assert (large["fits"], large["tiles"], large["stays"]) == (True, 0, ["resident"])
    assert large["peak"] <= 5.28 * 1024 * MIB
