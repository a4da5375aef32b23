"""GPUs that were tested, and those that were not: when the test runs, and what its result decides."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from sdcpp_py import Generator
from sdcpp_py._native import library
from sdcpp_py._native.requests import OpenRequest
from sdcpp_py.cli import main
from sdcpp_py.cli.report import without_names
from sdcpp_py.errors import GenerationError, NativeLibraryError, SettingsError
from sdcpp_py.memory import tested_gpus
from sdcpp_py.memory.gpu_rules import GpuRules, gpu_paces, gpu_rules
from sdcpp_py.memory.placement import placements
from sdcpp_py.memory.plan import PartNeed
from sdcpp_py.memory.planning import make_plan
from sdcpp_py.memory.tested_gpus import advise, ensure_tested, known_gpu, refusal
from sdcpp_py.parts import PARTS
from sdcpp_py.pipeline.isolation import process
from sdcpp_py.pipeline.options import PipelineOptions
from sdcpp_py.system import python_process
from sdcpp_py.system.gpu_records import (
    CONVOLUTIONS,
    IMPORTED,
    OTHERS,
    PRODUCTS,
    PRODUCTS_IN_FLOAT32,
    SWITCHES,
    UPLOAD,
    UPLOADED,
    GpuRecord,
    forget,
    keep,
    learn,
)
from sdcpp_py.system.paths import CACHE_VARIABLE
from sdcpp_py.system.python_process import module_command

BUILD = ("a build of these tests",)
GPU = library.Device("vulkan0", "A GPU", True, True, 1 << 33, 1 << 33, "Vulkan0", "radv", True)
RIGHT = GpuRecord("A GPU", "radv", True, float32_sums=False)
WRONG = GpuRecord("A GPU", "radv", False, "product of Q8_0: off by 200%; update the GPU's driver")
SWITCHED = GpuRecord("A GPU", "radv", True, "without matrix cores, because of a product", (SWITCHES[1],))


@pytest.fixture(autouse=True)
def a_gpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine that has an integrated GPU, of which nothing is known."""
    devices = library.devices()
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    monkeypatch.setattr(library, "devices", lambda: [GPU, *devices])
    monkeypatch.setattr(library, "gpu_build", lambda: BUILD)
    monkeypatch.setattr(tested_gpus, "_not_testable", set())
    monkeypatch.setattr(tested_gpus, "_said", set())
    forget(BUILD)


@pytest.fixture
def tests(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """The devices of each test that ran; it finds the GPU right."""
    return program(monkeypatch, f"print({json.dumps(json.dumps({'record': RIGHT.plain()}))})")


def program(monkeypatch: pytest.MonkeyPatch, code: str) -> list[tuple[str, ...]]:
    """Puts a program in the place of the one that tests GPUs; returns what devices it was told of, each time."""
    ran: list[tuple[str, ...]] = []

    def command(module: str, *names: str) -> list[str]:
        ran.append(names)
        return [sys.executable, "-c", code]

    monkeypatch.setattr(tested_gpus, "module_command", command)
    return ran


@pytest.mark.parametrize("choice", ["auto", "vulkan0", "VULKAN0", {"vae": "cpu"}, {"vae": "vulkan0"}, {}])
def test_a_gpu_is_tested_once_before_its_first_use(choice: Any, tests: list[tuple[str, ...]]) -> None:
    """Whatever way it is chosen, it is tested the first time, and never again."""
    for _ in range(2):
        PipelineOptions.of(choice, "auto", None, self_test="auto")
    assert tests == [("vulkan0",)]
    assert known_gpu(GPU) == RIGHT


@pytest.mark.parametrize(("choice", "wish"), [("cpu", "auto"), ("auto", "off"), ("vulkan0", "off"), ("auto", None)])
def test_nothing_is_tested_on_the_cpu_or_against_a_wish(
    choice: str, wish: str | None, tests: list[tuple[str, ...]]
) -> None:
    """The CPU needs no test, "off" runs none, and a plan runs none."""
    PipelineOptions.of(choice, "auto", None, self_test=wish)
    PipelineOptions.of({"text_encoder": "cpu", "diffusion_model": "cpu", "vae": "cpu"}, "auto", None, self_test="auto")
    assert tests == []


def test_the_environment_turns_it_off(monkeypatch: pytest.MonkeyPatch, tests: list[tuple[str, ...]]) -> None:
    """SDCPP_PY_SELF_TEST=off runs none and heeds none, for all generators of a process."""
    learn(BUILD, WRONG)
    monkeypatch.setenv("SDCPP_PY_SELF_TEST", "off")
    assert PipelineOptions.of("auto", "auto", None, self_test="auto").placements[0].denoiser == GPU
    assert tests == []


def test_other_words_in_the_environment_are_refused(run_python: Callable[..., CompletedProcess[str]]) -> None:
    """What is neither "auto" nor "off" is an error that says so, and no test that somebody thinks is off."""
    code = "import os, sdcpp_py; os.environ['SDCPP_PY_SELF_TEST'] = 'no'; sdcpp_py.devices()"
    assert "SDCPP_PY_SELF_TEST is 'no'; it must be auto or off, or left unset" in run_python(code).stderr


def test_a_wrong_gpu_gives_way_to_the_cpu(tests: list[tuple[str, ...]], caplog: pytest.LogCaptureFixture) -> None:
    """By "auto" it is the CPU then, which says why, once; a GPU that was named is an error; "off" uses it still."""
    learn(BUILD, WRONG)
    with caplog.at_level(logging.WARNING, "sdcpp_py"):
        for _ in range(2):
            assert placements("auto")[0].denoiser.name == "cpu"
    [said] = [record.getMessage() for record in caplog.records]
    assert WRONG.reason in said
    for choice in ("vulkan0", {"vae": "vulkan0"}):
        with pytest.raises(NativeLibraryError, match=r"vulkan0 \(A GPU\) must not be used: product of Q8_0"):
            placements(choice)
    with pytest.raises(NativeLibraryError, match="must not be used"):
        Generator.from_pretrained("tiny", device="vulkan0")
    with Generator.from_pretrained("tiny", device="auto") as generator:
        assert generator.device == "cpu"
    assert PipelineOptions.of("vulkan0", "auto", None, self_test="off").placements[0].denoiser == GPU
    assert tests == []


def test_switches_that_come_too_late_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """The native library has started: a GPU that needs a switch is for engines in new processes alone."""
    learn(BUILD, SWITCHED)
    assert "start this program anew" in refusal(known_gpu(GPU), apart=False)
    assert PipelineOptions.of("auto", "auto", None, isolation="thread").placements[0].denoiser.name == "cpu"
    with pytest.raises(NativeLibraryError, match="computes rightly only without matrix cores"):
        PipelineOptions.of("vulkan0", "auto", None, isolation="thread")
    assert PipelineOptions.of("auto", "auto", None).placements[0].denoiser == GPU
    monkeypatch.setattr(library, "switches", lambda: SWITCHES)
    assert PipelineOptions.of("auto", "auto", None, isolation="thread").placements[0].denoiser == GPU


def test_an_engine_of_its_own_process_has_the_switches(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What was found after this process started is in the environment of the engine's process, and not in ours."""
    learn(BUILD, SWITCHED)
    seen: list[dict[str, str]] = []

    class Refused(subprocess.Popen):  # type: ignore[type-arg]
        def __init__(self, *arguments: Any, env: dict[str, str], **options: Any) -> None:
            seen.append(env)
            raise OSError("no more processes")

    monkeypatch.setattr("sdcpp_py.pipeline.isolation.process.subprocess.Popen", Refused)
    with pytest.raises(GenerationError, match="no more processes"):
        process.start([0])
    assert seen[0][SWITCHES[1]] == "1"
    assert SWITCHES[1] not in os.environ


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("import os; os.abort()", "status -6"),
        ("raise RuntimeError('the end')", "RuntimeError: the end"),
        ("print('{'); print('[]'); print('{\"record\": {}}'); print(3)", ""),
    ],
)
def test_a_gpu_that_cannot_be_tested_is_used(
    code: str, said: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A test that dies or says nonsense is said and not repeated; the GPU is used as one that is not known."""
    ran = program(monkeypatch, code)
    for _ in range(2):
        ensure_tested("auto")
    assert len(ran) == 1
    assert said in caplog.text
    assert placements("auto")[0].denoiser == GPU


def test_a_process_without_an_interpreter(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """A program that embeds Python has none to start: the GPU is used untested, and that is said."""
    with monkeypatch.context() as frozen:
        frozen.setattr(sys, "frozen", True, raising=False)
        assert module_command("a.module") is None, "it would start itself"
    monkeypatch.setattr(python_process, "interpreter", lambda: None)
    assert module_command("a.module") is None
    ensure_tested("auto")
    assert "untested" in caplog.text
    monkeypatch.setattr(tested_gpus, "_not_testable", set())
    monkeypatch.setattr(python_process, "interpreter", lambda: "/nowhere/python")
    ensure_tested("auto")
    assert "No such file" in caplog.text


@pytest.mark.parametrize("wish", ["AUTO", "", None, True, "on"])
def test_other_wishes_are_refused(wish: Any) -> None:
    """Each is an error that names the two there are."""
    if wish is not None:
        with pytest.raises(SettingsError, match=r"self_test is .*; it must be one of: auto, off"):
            Generator.from_pretrained("tiny", device="cpu", self_test=wish)
    else:
        with pytest.raises(SettingsError, match="self_test"):
            tested_gpus.check_self_test(wish)


def test_before_the_library_starts_a_gpu_is_looked_for_once(
    monkeypatch: pytest.MonkeyPatch, tests: list[tuple[str, ...]]
) -> None:
    """The test comes first where there may be a GPU, for its switches to be set in time; where there is none, once."""
    monkeypatch.setattr(library, "started", lambda: False)
    monkeypatch.setattr(tested_gpus, "missing_gpu", lambda: "")
    monkeypatch.setattr(tested_gpus, "gpu_nodes", list)
    monkeypatch.setattr(library, "devices", lambda real=library.devices: real()[1:])
    ensure_tested("auto")
    assert tests == []
    monkeypatch.setattr(tested_gpus, "gpu_nodes", lambda: [Path("/dev/dri/renderD128")])
    for _ in range(2):
        forget(BUILD)
        ensure_tested("auto")
    assert tests == [("auto",)]


INTERRUPTED = """
import os, signal, sys, threading, time
from pathlib import Path
from sdcpp_py import GenerationTimeoutError
from sdcpp_py.system.deadline import Deadline
from sdcpp_py.memory import tested_gpus
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
program = (
    "import sys, time\\n"
    "from sdcpp_py.preflight.self_test import __main__ as program\\n"
    "import signal; signal.signal(signal.SIGTERM, program._stop)\\n"
    "try:\\n"
    "    open(sys.argv[1], 'w').close()\\n"
    "    time.sleep(600)\\n"
    "finally:\\n"
    "    open(sys.argv[2], 'w').close()\\n"
)
begun, ended = Path(sys.argv[1], "begun"), Path(sys.argv[1], "ended")
tested_gpus._TO_END = 600.0  # as long as it takes on a busy machine
tested_gpus.module_command = lambda *_: [sys.executable, "-c", program, str(begun), str(ended)]

def interrupt():
    while not begun.exists():
        time.sleep(0.05)
    if sys.argv[2] == "KeyboardInterrupt":
        os.kill(os.getpid(), signal.SIGINT)

class AsSoonAsBegun(Deadline):  # a program that is told to end before it can hear ends otherwise
    @property
    def left(self):
        while not begun.exists():
            time.sleep(0.05)
        return 0.01 if sys.argv[2] != "KeyboardInterrupt" else 1000

deadline = AsSoonAsBegun(1000)
threading.Thread(target=interrupt).start()
try:
    tested_gpus._test(["vulkan0"], deadline)
except (KeyboardInterrupt, GenerationTimeoutError) as error:
    for thread in threading.enumerate():
        if thread is not threading.main_thread():
            thread.join()
    print(type(error).__name__, ended.exists())
"""


@pytest.mark.parametrize("error", ["KeyboardInterrupt", "GenerationTimeoutError"])
def test_a_test_is_stopped_with_the_program(
    tmp_path: Path, run_python: Callable[..., CompletedProcess[str]], error: str
) -> None:
    """Where Ctrl-C comes while a GPU is tested, or a timeout is over, so it does here, and the test's process ends."""
    result = run_python(INTERRUPTED, tmp_path, error)
    assert result.stdout.strip() == f"{error} True", result.stderr


DIRECT, SUMS = {"direct_convolutions": True}, {"float32_sums": True}


@pytest.mark.parametrize(
    ("record", "denoiser", "vae"),
    [
        (None, GpuRules(**SUMS), GpuRules(True, True)),
        (RIGHT, GpuRules(), GpuRules(**DIRECT)),
        (replace(RIGHT, float32_sums=True), GpuRules(**SUMS), GpuRules(True, True)),
        (replace(RIGHT, direct_convolutions=False), GpuRules(), GpuRules()),
        (replace(RIGHT, im2col_convolutions=False), GpuRules(**DIRECT), GpuRules(**DIRECT)),
    ],
)
def test_the_rules_of_a_gpu_are_what_was_found(record: GpuRecord | None, denoiser: GpuRules, vae: GpuRules) -> None:
    """Sums and convolutions follow from the record; without one, from what the GPU is. "fast" still means fast."""
    if record is not None:
        learn(BUILD, record)
    rules = gpu_rules(placements("vulkan0")[0], "auto")
    assert (rules["diffusion_model"], rules["vae"]) == (denoiser, vae)
    assert not any(rule.float32_sums for rule in gpu_rules(placements("vulkan0")[0], "fast").values())


@pytest.mark.parametrize(
    ("imports", "integrated", "wish", "imported"),
    [
        (True, True, "", True),
        (True, False, "", False),
        (False, True, "", False),
        (None, True, "", False),
        (True, True, "uploaded", False),
        (None, False, "imported", True),
    ],
)
def test_weights_are_imported_where_it_was_found_right(
    imports: bool | None, integrated: bool, wish: str, imported: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a GPU that shares the host's memory and was found to do it rightly; a wish goes before that. Not by a CPU."""
    monkeypatch.setenv("SDCPP_PY_WEIGHTS", wish)
    if imports is not None:
        learn(BUILD, replace(RIGHT, weights=IMPORTED if imports else UPLOADED))
    place = placements("vulkan0")[0]
    gpu = replace(place.denoiser, is_integrated=integrated)
    devices = {**place.devices, "diffusion_model": gpu, "vae": library.find_device("cpu")}
    rules = gpu_rules(replace(place, devices=devices), "auto")
    assert (rules["diffusion_model"].imported_weights, rules["vae"].imported_weights) == (imported, False)


@pytest.mark.parametrize(("set_aside", "imported"), [(0.5, True), (4, False)])
def test_what_is_set_aside_for_a_gpu_is_used(set_aside: float, imported: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where firmware keeps much memory for the GPU alone, weights go there: what is imported never could."""
    learn(BUILD, replace(RIGHT, weights=IMPORTED))
    size = int(set_aside * 2**30)
    monkeypatch.setattr("sdcpp_py.memory.gpu_rules.carve_out", lambda total: (size, size))
    rules = gpu_rules(placements("vulkan0")[0], "auto")
    assert {rule.imported_weights for rule in rules.values()} == {imported}


QUICK, SLOW = {"text_encoder": 4.0}, {"vae": 0.5}


@pytest.mark.parametrize(
    ("quicker", "choice", "places"),
    [
        ({}, "auto", ["cgg", "cgc"]),
        ({"text_encoder": 0.7, "vae": 1.1}, "auto", ["cgg", "cgc"]),
        ({"text_encoder": 1.4, "vae": 1.0}, "auto", ["cgc", "cgg", "cgc"]),
        (QUICK, "auto", ["ggg", "cgg", "cgc"]),
        (SLOW, "auto", ["cgc", "cgg", "cgc"]),
        ({**QUICK, **SLOW}, "auto", ["ggc", "cgg", "cgc"]),
        (QUICK, {"text_encoder": "cpu"}, ["cgg", "cgc"]),
        (SLOW, {"vae": "vulkan0"}, ["cgg"]),
        (QUICK, "vulkan0", ["ggg"]),
        (QUICK, "cpu", ["ccc"]),
    ],
)
def test_parts_are_tried_first_where_they_are_quickest(
    quicker: dict[str, float], choice: Any, places: list[str]
) -> None:
    """What is clearly quicker elsewhere is tried there first, if it has room; so is the VAE on a CPU that is as quick,
    for the halves of a batch. What was chosen stays.

    A letter for each part: c for the CPU, g for the GPU.
    """
    learn(BUILD, replace(RIGHT, quicker=quicker))
    found = placements(choice)
    assert ["".join("cg"[device.is_gpu] for device in one.devices.values()) for one in found] == places
    by_speed = len(places) > 1 and places[0] != "cgg"
    assert [one.with_room for one in found] == [by_speed, *[False] * (len(found) - 1)]
    assert any(one.why for one in found) == (choice not in ("cpu", "vulkan0"))


@pytest.mark.parametrize(("times", "chosen"), [(0.5, "cpu"), (0.7, "vulkan0"), (3.0, "vulkan0")])
def test_a_gpu_that_is_clearly_slower_is_left_to_those_who_name_it(
    times: float, chosen: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Where the CPU denoises quicker by the self-test, "auto" is it, and says so; a device that is named is taken."""
    learn(BUILD, replace(RIGHT, quicker={"diffusion_model": times}))
    for _ in range(2):
        assert {one.denoiser.name for one in placements("auto")} == {chosen}
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == (chosen == "cpu")
    assert all("2.0 times as quick" in line for line in said)
    assert placements("vulkan0")[0].denoiser.name == "vulkan0"
    assert placements({"diffusion_model": "vulkan0"})[0].denoiser.name == "vulkan0"
    assert placements("auto", heed=False)[0].denoiser.name == "vulkan0"


def test_what_was_timed_does_not_count_where_nothing_is_heeded() -> None:
    """With self_test="off", parts are where they are on a GPU that is not known, and its pace is not told."""
    learn(BUILD, replace(RIGHT, quicker=QUICK, speeds=SPEEDS))
    [first, *_] = placements("auto", heed=False)
    assert first["text_encoder"].name == "cpu"
    assert gpu_paces(first, gpu_rules(first, "auto")) == {}


def test_a_quicker_place_needs_room_for_all_weights() -> None:
    """A plan that streams or stages anything suits no placement that is there for speed; the usual one it does."""
    learn(BUILD, replace(RIGHT, quicker=QUICK))
    quick, usual, *_ = placements("auto")
    needs = [PartNeed(part, "vulkan0", 1 << 30, 1 << 20, 1 << 20) for part in PARTS]
    for limit, suits in ((4 << 30, (True, True)), (2 << 30, (False, True)), (1 << 20, (False, False))):
        plan = make_plan(needs, {"vulkan0": limit}, width=64, height=64)
        assert (quick.suits(plan), usual.suits(plan)) == suits


SPEEDS = {
    PRODUCTS_IN_FLOAT32: 0.2, PRODUCTS: 0.4, CONVOLUTIONS: 0.3, OTHERS: 0.01, UPLOAD: 5000.0
}  # fmt: skip


@pytest.mark.parametrize(("sums", "products"), [(True, 0.2e12), (False, 0.4e12)])
def test_what_was_timed_is_told_to_the_engine(sums: bool, products: float) -> None:
    """The pace of parts on the GPU, for the sums that they have; nothing of those on the CPU."""
    learn(BUILD, replace(RIGHT, float32_sums=sums, speeds=SPEEDS))
    place = placements("auto")[0]
    paces = gpu_paces(place, gpu_rules(place, "auto"))
    assert set(paces) == {"diffusion_model", "vae"}
    assert paces["vae"] == pytest.approx((products, 0.3e12, 0.01e12))
    native, _ = OpenRequest({}, dict.fromkeys(PARTS, "CPU"), 1, paces=paces).native(False)
    assert [list(of_part) for of_part in native.paces] == [[0, 0, 0], list(paces["vae"]), list(paces["vae"])]
    learn(BUILD, replace(RIGHT, float32_sums=sums))
    assert gpu_paces(placements("vulkan0")[0], gpu_rules(place, "auto"))["vae"] == (0, 0, 0)


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda text: text.replace("0.2", "NaN"),
        lambda text: text.replace("0.2", "-0.2"),
        lambda text: text.replace("0.2", '\\"fast\\"'),
        lambda text: text.replace('"form": 4', '"form": 3'),
        lambda text: text.replace("[", "[" * 100_000),
    ],
)
def test_a_damaged_record_is_measured_anew(damage: Callable[[str], str], tests: list[tuple[str, ...]]) -> None:
    """What is cut short, absurd or of an older layout is as if nothing were known: the GPU is tested, once."""
    keep(BUILD, replace(RIGHT, speeds=SPEEDS))
    forget(BUILD)
    assert known_gpu(GPU) is not None
    file = Path(os.environ[CACHE_VARIABLE]) / "gpus.json"
    whole = file.read_text(encoding="utf-8")
    file.write_text(damage(whole), encoding="utf-8")
    assert file.read_text(encoding="utf-8") != whole
    for _ in range(2):
        ensure_tested("auto")
    assert tests == [("vulkan0",)]


def test_what_the_time_did_not_suffice_for_is_not_asked_again(tests: list[tuple[str, ...]]) -> None:
    """A record says what was not reached, and is one: the next start does not test."""
    keep(BUILD, replace(RIGHT, unreached=("12 of 96 products", "pictures")))
    forget(BUILD)
    ensure_tested("auto")
    assert tests == []


def test_first_use_says_what_would_mend_it(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """Why a GPU that is there is not used, or not all of it: one line, the first time and never again."""
    monkeypatch.setattr(tested_gpus, "gpu_nodes", lambda: [Path("/dev/dri/renderD128")])
    monkeypatch.setattr(library, "vulkan_cure", lambda: "no driver: `sudo apt install mesa-vulkan-drivers`")
    monkeypatch.setattr(library, "shaders_lack", lambda: "no matrix cores: build it anew")
    for _ in range(2):
        advise(library.find_device("cpu"))
        advise(GPU)
        tested_gpus._said.clear()  # as in another process
    assert [record.getMessage() for record in caplog.records] == [library.vulkan_cure(), library.shaders_lack()]


def test_first_use_is_silent_where_there_is_no_gpu(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Who has no GPU is not told that this build could use none."""
    monkeypatch.setattr(tested_gpus, "gpu_nodes", list)
    monkeypatch.setattr(library, "vulkan_cure", lambda: "Vulkan was not built")
    advise(library.find_device("cpu"))
    assert not caplog.records


STARTS = """
import os, sys
from sdcpp_py._native import library
from sdcpp_py.system.gpu_records import GpuRecord, learn
library._build = ("b",)
learn(("b",), GpuRecord("A GPU", "radv", True, "", ("GGML_VK_DISABLE_F16",)))
real, seen = library.lib, []

class Watching:
    def __getattr__(self, name):
        if name == "sdpy_start":
            seen.append(os.environ.get("GGML_VK_DISABLE_F16"))
        return getattr(real, name)

library.lib = Watching()
print(library.started(), library.switches(), seen, os.environ.get("GGML_VK_DISABLE_F16"))
"""


def test_switches_are_set_while_the_module_is_loaded(run_python: Callable[..., CompletedProcess[str]]) -> None:
    """The environment has them as the native library starts, and not before or after."""
    result = run_python(STARTS)
    assert result.stdout.strip() == "False ('GGML_VK_DISABLE_F16',) ['1'] None", result.stderr


def test_a_module_runs_with_this_process_modules(
    tmp_path: Path, run_python: Callable[..., CompletedProcess[str]]
) -> None:
    """A started program finds the modules that this process has, and none of the current folder."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    for name in ("json", "runpy", "numpy", "argparse"):
        (folder / f"{name}.py").write_text("raise SystemExit('the wrong one')")
    code = (
        "import os, subprocess, sys; from sdcpp_py.system.python_process import module_command; os.chdir(sys.argv[1]); "
        "command = module_command('sdcpp_py', '--version'); "
        "print(subprocess.run(command, capture_output=True, text=True).stdout)"
    )
    result = run_python(code, folder)
    assert result.stdout.startswith("sdcpp_py "), result.stdout + result.stderr


def test_doctor_says_what_was_found(capsys: pytest.CaptureFixture[str]) -> None:
    """A GPU is right, wrong and why, or not tested yet; as text and as JSON."""
    assert main(["doctor"]) == 0
    assert "vulkan0 is tested before its first use" in " ".join(capsys.readouterr().out.split())
    learn(BUILD, WRONG)
    assert main(["doctor"]) == 0
    assert f"must not be used: {WRONG.reason}" in " ".join(capsys.readouterr().out.split())
    assert main(["doctor", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["devices"][0]["self_test"]["usable"] is False


def test_a_report_has_the_machine_and_not_the_person(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Device, driver and faults are in it; user, host and home are not, wherever they stood."""
    monkeypatch.setenv("HOME", "/home/grace")
    monkeypatch.setenv("GGML_VK_PIPELINE_CACHE", "/home/grace/cache")
    monkeypatch.setenv("SECRET_TOKEN", "hf_0123456789")
    monkeypatch.setattr("getpass.getuser", lambda: "grace")
    monkeypatch.setattr("socket.gethostname", lambda: "hopper.example.org")
    monkeypatch.setattr("platform.node", lambda: "hopper")
    learn(BUILD, replace(WRONG, reason="grace's file /home/grace/model on hopper is wrong"))
    assert main(["doctor", "--report"]) == 0
    text = capsys.readouterr().out
    assert "vulkan0: A GPU, driver radv" in text
    assert "USER's file ~/model on HOST is wrong" in text
    assert "GGML_VK_PIPELINE_CACHE=~/cache" in text
    for word in ("grace", "hopper", "example.org", "hf_"):
        assert word not in text


def test_names_are_replaced_as_words() -> None:
    """A user called "cpu" or "ram" does not make the report unreadable in the middle of words."""
    assert without_names("program of ram: ram_2", {"ram": "USER"}) == "program of USER: USER_2"


def test_a_device_is_tested_or_described(capsys: pytest.CaptureFixture[str]) -> None:
    """``--test`` and ``--report`` do not go together."""
    with pytest.raises(SystemExit) as ended:
        main(["doctor", "--test", "--report"])
    assert ended.value.code == 2
    assert "not allowed with" in capsys.readouterr().err
