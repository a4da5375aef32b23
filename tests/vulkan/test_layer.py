"""The Vulkan layer does what its settings say, asked by a program of a few commands (probe/probe.cpp)."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from . import machines
from .rig import Outcome, Rig

pytestmark = pytest.mark.vulkan

SUCCESS, OUT_OF_DEVICE_MEMORY, DEVICE_LOST, MAP_FAILED = 0, -2, -4, -5
INVALID_EXTERNAL_HANDLE = -1000072003
RENOIR = "renoir-16gb"
# A dispatch that makes 42 of 41 in 32 x 32 places. It is called as ggml calls a matrix product, with the constants of
# one over 1000 numbers for each result.
PRODUCT = ("compute", "matmul_q8_0_f32_l", 32, 32, 1000)
RESULTS = 32 * 32
GFLOP = 2 * RESULTS * 1000 / 1e9


def answers(outcome: Outcome) -> list[Any]:
    """What the probe wrote, a line for each command."""
    assert outcome.status == 0, outcome.errors
    return [json.loads(line) for line in outcome.output.splitlines()]


def ask(rig: Rig, *commands: object, machine: str | None = RENOIR, **settings: object) -> list[Any]:
    """The probe's answers."""
    return answers(rig.probe(machine, *commands, settings=settings))


@pytest.mark.parametrize("name", machines.names())
def test_a_machine_says_what_its_file_says(rig: Rig, name: str) -> None:
    """Kind, vendor, name, heaps, memory types and limits are those of the file."""
    settings = machines.settings_of(name)
    (said,) = ask(rig, "describe", machine=name)
    integrated_gpu = 1
    assert (said["type"], said["vendor"], said["name"]) == (integrated_gpu, 0x1002, settings["name"])
    assert said["driver"] == settings["driver"]
    assert [heap["size"] for heap in said["heaps"]] == list(machines.machine(name).heaps)
    assert [index for index, heap in enumerate(said["heaps"]) if heap["local"]] == list(machines.machine(name).local)
    assert [heap for heap, _ in said["types"]] == [
        int(settings[f"memory_type.{number}"].split()[0]) for number in range(len(said["types"]))
    ]
    largest = 2**31 if settings["max_allocation"] == "2GiB" else int(settings["max_allocation"])
    assert said["max_allocation"] == largest


def test_without_a_machine_the_driver_speaks_for_itself(rig: Rig) -> None:
    """A layer that has no machine to play changes nothing and counts."""
    outcome = rig.probe(None, "describe", *PRODUCT)
    said, computed = answers(outcome)
    assert "llvmpipe" in said["name"]
    assert computed["least"] == computed["most"] == 42
    assert outcome.counts.dispatches == 1


def test_results_are_the_drivers(rig: Rig) -> None:
    """What is computed on a machine is right, and so is what lies behind it in memory."""
    (computed,) = ask(rig, *PRODUCT)
    assert computed == {"submitted": 0, "waited": 0, "nan": 0, "least": 42, "most": 42, "untouched": RESULTS}


def test_a_heap_gives_no_more_than_it_has(rig: Rig) -> None:
    """Allocations that a heap has no room for are refused, and room comes back when memory is freed."""
    room = machines.machine("vega-8gb").heaps[1]
    full, too_much, from_other = ("allocate", 0, room - 2**20), ("allocate", 0, 2**21), ("allocate", 2, 2**21)
    said = ask(rig, *full, *too_much, *from_other, "free", *too_much, machine="vega-8gb")
    assert said == [SUCCESS, OUT_OF_DEVICE_MEMORY, SUCCESS, SUCCESS, SUCCESS]


def test_a_driver_that_refuses_by_the_whole(rig: Rig) -> None:
    """Where it is said so, a heap may be exceeded as long as all of them together have room."""
    own, all_of_it = machines.machine("vega-8gb").heaps[1], sum(machines.machine("vega-8gb").heaps)
    commands = ("allocate", 0, own, "allocate", 0, 2**21, "allocate", 0, all_of_it - own)
    said = ask(rig, *commands, machine="vega-8gb", refuses="total")
    assert said == [SUCCESS, SUCCESS, OUT_OF_DEVICE_MEMORY]


def test_one_allocation_has_a_largest_size(rig: Rig) -> None:
    """More than ``max_allocation`` at once is refused though the heap has room."""
    said = ask(rig, "allocate", 0, 2**31, "allocate", 0, 2**31 + 4096, machine="renoir-2gib-limits")
    assert said == [SUCCESS, OUT_OF_DEVICE_MEMORY]


def test_what_is_free_falls_with_what_is_allocated(rig: Rig) -> None:
    """The budget of a heap is without what the process has, and without what others are said to have."""
    before, _, after = ask(rig, "describe", "allocate", 0, 2**30, "describe")
    assert before["heaps"][1]["free"] - after["heaps"][1]["free"] == 2**30
    (full,) = ask(rig, "describe", machine="renoir-nothing-free")
    assert [heap["free"] for heap in full["heaps"]] == [0, 0]


def test_the_gpus_own_memory_is_not_mapped(rig: Rig) -> None:
    """Memory of a type that the host cannot see is not mapped, though the driver below could."""
    assert ask(rig, "map", 0, "map", 3, "map", 5) == [MAP_FAILED, SUCCESS, SUCCESS]


def test_memory_of_a_file_is_not_imported(rig: Rig) -> None:
    """A process's own memory can be imported and is counted, a file's mapping is refused as amdgpu does."""
    outcome = rig.probe(RENOIR, "import", "anonymous", "import", "file")
    assert answers(outcome) == [SUCCESS, INVALID_EXTERNAL_HANDLE]
    assert outcome.counts.imported_bytes == outcome.counts.most_bytes(0) == 2**16


def test_a_machine_that_imports_nothing(rig: Rig) -> None:
    """Where it is said so, the process's own memory is refused as well, with the same answer."""
    assert ask(rig, "import", "anonymous", imports="no") == [INVALID_EXTERNAL_HANDLE]


def test_features_are_hidden(rig: Rig) -> None:
    """A machine can be without half precision, integer dot products and imported memory."""
    (with_all,) = ask(rig, "describe")
    (without,) = ask(rig, "describe", hide="float16 integer_dot_product external_memory_host")
    assert (with_all["float16"], without["float16"]) == (True, False)
    gone = {"VK_KHR_shader_float16_int8", "VK_KHR_shader_integer_dot_product", "VK_EXT_external_memory_host"}
    assert set(with_all["extensions"]) - set(without["extensions"]) == gone


def test_allocation_n_fails(rig: Rig) -> None:
    """The allocation of that number fails, those before and after it do not."""
    said = ask(rig, "allocate", 0, 4096, "allocate", 0, 4096, "allocate", 0, 4096, fail_allocation=2)
    assert said == [SUCCESS, OUT_OF_DEVICE_MEMORY, SUCCESS]


@pytest.mark.parametrize("lost", ["at_wait", "at_submit"])
def test_the_device_is_lost_at_submission_n(rig: Rig, lost: str) -> None:
    """It is lost when it is waited for, or when it is submitted to, and everything after that is lost too."""
    outcome = rig.probe(RENOIR, *PRODUCT, *PRODUCT, *PRODUCT, settings={"lose_at": 2, "lost": lost})
    said = [(one["submitted"], one["waited"]) for one in answers(outcome)]
    at_once = (DEVICE_LOST, DEVICE_LOST)
    assert said == [(SUCCESS, SUCCESS), (SUCCESS, DEVICE_LOST) if lost == "at_wait" else at_once, at_once]
    assert outcome.counts.lost_at == outcome.counts.submissions == 2


def test_the_watchdog_allows_so_much_work(rig: Rig) -> None:
    """A submission of more operations than the machine computes in the watchdog's seconds loses the device."""
    settings = {"tflops": 1, "watchdog": 1.5 * GFLOP / 1000}
    outcome = rig.probe(RENOIR, *PRODUCT, *PRODUCT, "compute", "matmul_f32_l", 32, 32, 2000, settings=settings)
    assert [one["waited"] for one in answers(outcome)] == [SUCCESS, SUCCESS, DEVICE_LOST]
    assert "matmul_f32_l" in outcome.counts.lost_why


def test_a_fault_is_had_once(rig: Rig) -> None:
    """With a file for it, the device is lost in the first process that comes so far and not in the next."""
    once = rig.folder / "once"
    once.unlink(missing_ok=True)
    runs = [ask(rig, *PRODUCT, lose_at=1, once="/rig/once")[0]["waited"] for _ in range(2)]
    assert runs == [DEVICE_LOST, SUCCESS]


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("nan", {"nan": RESULTS}),
        ("zeros", {"least": 0, "most": 0}),
        ("clamped", {"least": 0.5, "most": 0.5}),
        ("scaled", {"least": 21, "most": 21}),
    ],
)
def test_results_are_spoiled(rig: Rig, how: str, expected: dict[str, float]) -> None:
    """Of the shaders that a pattern names all results are spoiled, what lies behind them and other shaders' are not."""
    other = ("compute", "matmul_q4_k_f32_l", 32, 32, 1000)
    settings = {"spoil": "matmul_q8_*", "spoiling": how, "spoil_amount": 0.5}
    outcome = rig.probe(RENOIR, *PRODUCT, *other, settings=settings)
    spoiled, right = answers(outcome)
    assert expected.items() <= spoiled.items()
    assert spoiled["untouched"] == RESULTS
    assert (right["least"], right["most"], right["nan"]) == (42, 42, 0)
    assert outcome.counts.spoiled_dispatches == 1


def test_noise_is_of_the_size_that_is_asked_for(rig: Rig) -> None:
    """Noise fills the range from -amount to amount."""
    (spoiled,) = ask(rig, *PRODUCT, spoil="matmul_*", spoiling="noise", spoil_amount=3)
    assert -3 <= spoiled["least"] < -2.8
    assert 2.8 < spoiled["most"] <= 3


def test_a_shader_is_named_by_its_hash_and_by_the_time(rig: Rig) -> None:
    """A hash that was counted names the same shader, and of its dispatches those from n on are spoiled."""
    (shader,) = rig.probe(RENOIR, *PRODUCT).counts.shaders
    settings = {"spoil": shader["hash"], "spoiling": "zeros", "spoil_from": 2, "spoil_count": 1}
    said = ask(rig, *PRODUCT, *PRODUCT, *PRODUCT, **settings)
    assert [one["most"] for one in said] == [42, 0, 42]


def test_a_shader_whose_results_are_not_known_is_not_spoiled(rig: Rig) -> None:
    """Where it is not known how much a shader writes, nothing is spoiled and the counts complain."""
    outcome = rig.probe(RENOIR, "compute", "mystery", 32, 32, 1, settings={"spoil": "mystery"})
    assert answers(outcome)[0]["most"] == 42
    assert len(outcome.counts.complaints) == 1
    assert outcome.counts.spoiled_dispatches == 0


def test_work_and_bytes_are_counted(rig: Rig) -> None:
    """Submissions, dispatches, operations, uploaded and downloaded bytes are counted, and the longest of each."""
    longer = ("compute", "matmul_q4_k_f32_l", 32, 32, 4000)
    counts = rig.probe(RENOIR, *PRODUCT, *longer).counts
    assert (counts.submissions, counts.dispatches) == (2, 2)
    assert counts.gflop == pytest.approx(5 * GFLOP)
    assert counts.longest_submission_gflop == counts.longest_dispatch_gflop == pytest.approx(4 * GFLOP)
    assert counts.longest_submission_of == "matmul_q4_k_f32_l"
    bytes_of_a_buffer = 2 * RESULTS * 4
    assert counts.uploaded_bytes == 2 * 2 * bytes_of_a_buffer
    assert counts.downloaded_bytes == 2 * bytes_of_a_buffer
    assert {one["name"]: one["dispatches"] for one in counts.shaders} == {PRODUCT[1]: 1, longer[1]: 1}


def test_work_that_is_no_product_counts_by_elements(rig: Rig) -> None:
    """Of a shader that is not known each invocation counts as one element, which costs what the machine says."""
    counts = rig.probe(RENOIR, "compute", "mystery", 32, 32, 1, settings={"element_cost": 50}).counts
    assert counts.gflop == pytest.approx(50 * RESULTS / 1e9)


def test_a_machine_that_does_not_compute(rig: Rig) -> None:
    """Dispatches are counted and left out, their results are zeros where that is known, and copies are done."""
    outcome = rig.probe(RENOIR, *PRODUCT, "compute", "mystery", 32, 32, 1, settings={"computes": "no"})
    product, mystery = answers(outcome)
    assert (product["most"], product["untouched"], mystery["most"]) == (0, RESULTS, 41)
    assert outcome.counts.dispatches == 2


@pytest.mark.parametrize(
    "line", ["nonsense=1", "tflops=fast", "heap.0=2GiB golden", "memory_type.11=7 local", "tflops=0;watchdog=2"]
)
def test_a_machine_that_is_not_understood_is_refused(rig: Rig, line: str) -> None:
    """A wrong line is an error that names it or says what is missing, not a machine that is another than was meant."""
    key, _, value = line.partition("=")
    outcome = rig.probe(RENOIR, "describe", settings={key: value})
    assert outcome.status == 1
    assert "VK_LAYER_SDCPP_rig: " in outcome.errors


@pytest.mark.skipif(
    not (Path(os.environ.get("SDCPP_PY_VULKAN_ROOT", "/")) / "swiftshader").exists(), reason="SwiftShader is not there"
)
def test_the_layer_lies_over_another_driver_as_well(rig: Rig) -> None:
    """Over SwiftShader, which has neither budgets nor half precision, the machine is the same one."""
    second = Rig(rig.root, "swiftshader")
    outcome = second.probe(RENOIR, "describe", *PRODUCT, settings={"spoil": "matmul_*", "spoiling": "zeros"})
    said, spoiled = answers(outcome)
    assert said["heaps"] == ask(rig, "describe")[0]["heaps"]
    assert said["float16"] is False
    assert (spoiled["most"], spoiled["untouched"]) == (0, RESULTS)
