"""The self-test on a laptop that the Vulkan layer plays, with shaders that it spoils."""

from __future__ import annotations

import json
import shutil
from typing import Any

import pytest

from sdcpp_py.preflight.self_test.child import MARK
from sdcpp_py.preflight.self_test.setting import Tried

from .rig import Rig
from .test_library import LARGEST_MEAN_DIFFERENCE, difference, draw

# Minutes each: the driver compiles a shader for each kind of operation.
pytestmark = [pytest.mark.vulkan, pytest.mark.slow]


# As `sdcpp-py doctor --test` does it, but with the few checks of a software driver and as long as they take.
KEEP_A_RECORD = """
import math
from sdcpp_py._native import library
from sdcpp_py.preflight.self_test.verdict import run_self_test
from sdcpp_py.system.python_process import module_command

command = module_command("sdcpp_py.preflight.self_test.child", "vulkan0", "quick")
record = run_self_test(library.find_device("vulkan0"), command=command, silence=1200, seconds=math.inf).record
print(record.usable, record.direct_convolutions, record.im2col_convolutions)
"""


def tried_on(rig: Rig, **settings: object) -> Tried:
    """What the self-test's process says on a Renoir; in short, because the driver computes on the CPU."""
    command = ["/venv/bin/python", "-m", "sdcpp_py.preflight.self_test.child", "vulkan0", "quick"]
    outcome = rig.run(command, "renoir-16gb", timeout=2400, settings=settings)
    assert outcome.status == 0, outcome.errors
    assert bool(outcome.counts.spoiled_dispatches) == bool(settings)
    tried = Tried()
    for line in outcome.output.splitlines():
        if line.startswith(MARK):
            tried.hear(json.loads(line.removeprefix(MARK)))
    tried.end("the test was not over")
    assert not tried.ended
    return tried


def test_a_sound_gpu_is_right_with_sums_in_float32(rig: Rig) -> None:
    """All is right, with the tiny model's picture; ggml's sums in half precision are not taken."""
    found = tried_on(rig).found
    assert found.faults == ()
    assert (found.float32_sums, found.direct, found.im2col) == (True, True, True)


def test_spoilt_convolutions_give_way(rig: Rig) -> None:
    """Convolutions in one pass that give zeros are found, and the picture is right by im2col."""
    tried = tried_on(rig, spoil="conv2d_*", spoiling="zeros")
    assert (tried.found.direct, tried.found.im2col) == (False, True)
    assert tried.found.faults == ()
    assert any(outcome.kind == "pictures" and outcome.right for outcome in tried.outcomes)


def test_a_spoilt_shader_is_in_no_picture(rig: Rig) -> None:
    """What the self-test finds and keeps, a later process goes by: the shader is not used, and the picture is right."""
    cache = rig.folder / "cache"
    shutil.rmtree(cache, ignore_errors=True)
    environment = {"SDCPP_PY_CACHE": "/rig/cache", "SDCPP_PY_SELF_TEST": "auto"}
    settings: dict[str, Any] = {"spoil": "conv2d_*", "spoiling": "zeros"}
    command = ["/venv/bin/python", "-c", KEEP_A_RECORD]
    found = rig.run(command, "renoir-16gb", timeout=2400, environment=environment, settings=settings)
    assert found.status == 0, found.errors
    assert found.output.split() == ["True", "False", "True"]
    drawn = draw(rig, size=128, steps=4, environment=environment, **settings)
    assert drawn.outcome.counts.spoiled_dispatches == 0
    assert difference(drawn, draw(rig, "cpu", 128, steps=4)) < LARGEST_MEAN_DIFFERENCE


@pytest.mark.parametrize(
    ("spoil", "how", "named"),
    [("matmul_q8_0_*", "noise", "product of Q8_0"), ("norm_*", "nan", "norm of"), ("soft_max*", "zeros", "soft max")],
)
def test_other_spoilt_shaders_are_named(rig: Rig, spoil: str, how: str, named: str) -> None:
    """What no way of computing avoids is a fault, by its name."""
    assert named in tried_on(rig, spoil=spoil, spoiling=how).fault
