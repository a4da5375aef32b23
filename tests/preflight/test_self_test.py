"""The self-test: right devices pass, and each kind of wrong one is found and named."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import gguf
import numpy as np
import pytest
from gguf.quants import dequantize

from sdcpp_py._native import library
from sdcpp_py._native.operations import Computed, compute
from sdcpp_py.cli import main
from sdcpp_py.cli.self_test import summary
from sdcpp_py.errors import NativeLibraryError, OutOfMemoryError, SettingsError
from sdcpp_py.preflight.self_test import child, setting, verdict
from sdcpp_py.preflight.self_test.checks import Check, off, off_or_not_finite
from sdcpp_py.preflight.self_test.host_memory import better, may_be_written
from sdcpp_py.preflight.self_test.import_checks import import_checks
from sdcpp_py.preflight.self_test.order import checks, foremost
from sdcpp_py.preflight.self_test.outcomes import PICTURE, Findings, Outcome, findings
from sdcpp_py.preflight.self_test.setting import Tried, try_setting
from sdcpp_py.preflight.self_test.stored_numbers import TYPES, random_weights
from sdcpp_py.preflight.self_test.verdict import judged, run_self_test
from sdcpp_py.system.gpu_records import (
    HOST_MEMORY,
    IMPORTED,
    PRODUCTS_OF_IMPORTS,
    PRODUCTS_OF_UPLOADS,
    SWITCHES,
    UPLOAD_WRITTEN,
    UPLOADED,
    WRITTEN,
    gpu_records,
)

from ..support import spoilt_device
from ..support.patience import PATIENCE
from ..support.spoilt_device import SPOILS

BUILD = ("a build",)


@pytest.mark.parametrize("kind", TYPES)
def test_stored_weights_are_the_numbers_that_they_stand_for(kind: str) -> None:
    """Each type's bytes mean what the format's own package reads from them, and are about as large as a layer's."""
    weights, numbers = random_weights(kind, 8, 512)
    number = gguf.GGMLQuantizationType[kind]
    assert weights.type == number.value
    rows = weights.rows.reshape(8, -1)
    read = (
        rows.view({"F32": np.float32, "F16": np.float16}[kind]) if kind in ("F32", "F16") else dequantize(rows, number)
    )
    np.testing.assert_array_equal(numbers, read.astype(np.float64))
    assert 0.9 < numbers.std() * np.sqrt(512) < 1.1


def test_one_wrong_number_among_many_shows() -> None:
    """A single result that is wrong counts as much as all of them being a little off."""
    right = np.random.default_rng(0).standard_normal((300, 100))
    found = right.astype(np.float32)
    assert off(found, right) < 1e-6
    found[7, 9] += 1
    assert off(found, right) > 0.1
    found[7, 9] = np.nan
    assert off(found, right) == np.inf
    assert off_or_not_finite(found, right) < 1e-6
    assert off_or_not_finite(np.full_like(found, np.inf), right) == 0


@pytest.fixture(scope="module")
def computed() -> list[tuple[Check, tuple[Any, ...], dict[str, Any], Computed]]:
    """What the CPU gives for each quick check, and how it was asked."""
    found = []
    for check in checks(quick=True):

        def once(*arguments: Any, check: Check = check, **how: Any) -> Computed:
            result = compute(*arguments, threads=2, **how)
            found.append((check, arguments, how, result))
            return result

        assert check.run(once) <= check.most, check.name
    return found


def outcomes_of(
    computed: list[tuple[Check, tuple[Any, ...], dict[str, Any], Computed]], fault: str
) -> Iterator[Outcome]:
    """What the checks say of a device that plays a fault over the CPU's results."""
    for check, arguments, how, result in computed:
        weights = arguments[2] if len(arguments) > 2 else None
        spoilt = SPOILS[fault](arguments[0], weights, how, result.result)
        error = check.run(lambda *_, spoilt=spoilt, result=result, **__: replace(result, result=spoilt))
        yield Outcome(check.kind, check.name, check.most, error)


def test_every_kind_of_thing_is_checked(computed: list[tuple[Check, Any, Any, Computed]]) -> None:
    """Quick or whole, checks are of all kinds; the whole has every type, one token and many, and 1024 pixels."""
    kinds = {check.kind for check, *_ in computed}
    whole = list(checks())
    assert kinds == {check.kind for check in whole} - {"flash attention"}
    assert len({check.name for check in whole}) == len(whole)
    names = " ".join(check.name for check in whole)
    assert all(f"product of {kind}," in names for kind in TYPES)
    assert all(f" {tokens} tokens" in names for tokens in (1, 8, 64, 333))
    assert "1024x1024" in names
    assert "512 -> 512 channels" in names
    assert sum(check.flops for check in whole) < 40e9, "a minute at 0.36 TFLOP/s has room for compiling"


RIGHT = Findings(False, True, True, ())


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ("nothing", RIGHT),
        ("overflowing", RIGHT),
        ("half sums", replace(RIGHT, float32_sums=True)),
        ("direct convolutions", replace(RIGHT, direct=False)),
        ("im2col convolutions", replace(RIGHT, im2col=False)),
    ],
)
def test_a_device_is_used_as_it_computes_rightly(
    computed: list[tuple[Check, Any, Any, Computed]], fault: str, expected: Findings
) -> None:
    """Sums in half precision are done in float32, a wrong kind of convolution gives way; neither condemns a GPU."""
    assert findings(list(outcomes_of(computed, fault))) == expected


@pytest.mark.parametrize(
    ("fault", "named"),
    [
        ("NaN", "no numbers come out"),
        ("one NaN", "no numbers come out"),
        ("zeros", "off by"),
        ("noise", "off by"),
        ("clamped", "activations of 3e+04"),
        ("products of bytes", "product of Q8_0"),
        ("all convolutions", "convolution"),
        ("last token", "333 tokens"),
        ("NORM", "norm of"),
        ("RMS_NORM", "rms norm of"),
        ("GROUP_NORM", "group norm of"),
        ("SOFT_MAX", "soft max of"),
        ("SILU", "silu of"),
        ("GELU", "gelu of"),
        ("UPSCALE", "upscale of"),
        ("ROPE", "rope of"),
        ("ROTATE", "rotation of"),
        ("ATTENTION", "attention of"),
    ],
)
def test_a_wrong_device_is_found_and_its_fault_named(
    computed: list[tuple[Check, Any, Any, Computed]], fault: str, named: str
) -> None:
    """Whatever is wrong, and no way of computing avoids, is a fault whose name says what."""
    faults = findings(list(outcomes_of(computed, fault))).faults
    assert faults
    assert named in str(faults[0])
    if fault == "products of bytes":
        assert all("of F" not in one.name for one in faults)


def test_what_no_graph_uses_decides_nothing() -> None:
    """Flash attention is shown, and is no fault; ggml's sums of attention that are wrong are not used."""
    names = [check.name for check in checks() if check.kind == "flash attention"]
    assert names
    sums = [Outcome(kind, "a, b", 1e-2, 1e-3) for kind in ("rounded products", "rounded large sums")]
    flash = Outcome("flash attention", names[0], 2e-2, 9.0)
    assert findings([*sums, flash]) == RIGHT
    assert findings([*sums, Outcome("rounded attention", "a, b", 4e-2, 9.0)]) == replace(RIGHT, float32_sums=True)
    assert findings([*sums, Outcome("attention", "a, b", 4e-2, 9.0)]).faults


def test_what_was_not_tried_is_not_trusted() -> None:
    """Without ggml's own sums, products have those in float32; convolutions stay as for a GPU that is not known."""
    assert findings([]) == replace(RIGHT, float32_sums=True)
    assert findings([Outcome("rounded products", "a, b", 1e-2, 1e-3)]).float32_sums


def test_what_a_device_does_not_compute_is_no_fault(capsys: pytest.CaptureFixture[str]) -> None:
    """A refused operation is noted; a device that has no memory now says so."""

    def refuse(*_: Any, **__: Any) -> Computed:
        raise SettingsError("the device cannot compute this")

    def fill(*_: Any, **__: Any) -> Computed:
        raise OutOfMemoryError("no room")

    for one in (refuse, fill):
        run: Callable[[], float] = lambda one=one: next(iter(checks(quick=True))).run(one)  # type: ignore[misc] # noqa: E731
        outcome = child._outcome("products", "a product", 1e-3, run)
        assert outcome.right
        assert "not computed" in str(outcome)
    assert capsys.readouterr().out.count('"short"') == 1
    assert findings([outcome]).faults == ()


def gpu(**facts: Any) -> library.Device:
    """A GPU that there is not."""
    device = library.Device("vulkan0", "A GPU", True, True, 1 << 33, 1 << 33, "Vulkan0", "a driver", True)
    return replace(device, **facts)


def playing(fault: str) -> list[str]:
    """By its file: ``-m`` would find the sources beside the tests, and no native library there, before the package."""
    return [sys.executable, spoilt_device.__file__, fault]


@pytest.fixture(autouse=True)
def _build(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library, "gpu_build", lambda: BUILD)
    monkeypatch.setattr(setting, "_TO_END", PATIENCE)


def self_test(device: library.Device, fault: str) -> verdict.SelfTest:
    """The test of a device that plays a fault, with all the time that it takes on this machine."""
    return run_self_test(device, command=playing(fault), silence=PATIENCE, seconds=math.inf)


def test_a_fault_that_a_switch_mends(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings are tried in order, each in a process that has its switch, until one is right; that is kept."""
    device = gpu(description="Mended", is_integrated=False)
    test = self_test(device, f"last token unless {SWITCHES[2]}")
    assert [tried.switches for tried in test.tried] == [(), (SWITCHES[2],)]
    record = test.record
    assert record.usable
    assert record.switches == (SWITCHES[2],)
    assert record.reason.startswith("without half precision, because of product of F32")
    assert len(record.faults) == 1
    assert {"there and back", "convolutions in one pass", "upload"} < set(record.speeds)
    assert all(pace > 0 for pace in record.paces(float32_sums=False))
    assert set(record.quicker) == {"text_encoder", "diffusion_model", "vae"}
    assert record.unreached == ()
    assert all(speed > 0 for speed in record.speeds.values())
    assert gpu_records(BUILD)["Mended", "a driver"] == record


@pytest.mark.parametrize(
    ("fault", "named", "silence"),
    [
        ("dies", "the test's process died by SIGSEGV in: its start", PATIENCE),
        ("hangs", "nothing was heard of it for too long in: its start", 1),
    ],
)
def test_processes_that_die_or_hang_are_results(fault: str, named: str, silence: float) -> None:
    """A driver that crashes or hangs condemns the GPU, in a sentence that says what can be done."""
    record = run_self_test(gpu(description=fault, float16=False), command=playing(fault), silence=silence).record
    assert not record.usable
    assert record.reason.startswith(named)
    assert "update the GPU's driver" in record.reason
    assert gpu_records(BUILD)[fault, "a driver"] == record


def test_weights_are_imported_where_that_is_right_and_quick() -> None:
    """Products and a convolution with weights that the CPU writes are right, and a product is about as quick so."""
    test = self_test(gpu(description="Imports", is_integrated=False), "nothing")
    (tried,) = test.tried
    imports = [outcome for outcome in tried.outcomes if outcome.kind == "imported weights"]
    assert len(imports) == len([*import_checks()])
    assert all(outcome.right and not outcome.refused for outcome in imports)
    uploaded, imported = (test.record.speeds[name] for name in (PRODUCTS_OF_UPLOADS, PRODUCTS_OF_IMPORTS))
    assert test.record.weights == (IMPORTED if imported >= 0.9 * uploaded else UPLOADED)
    assert test.record.unreached == ()


@pytest.mark.parametrize("fault", ["imports", "no imports", "dies of imports", "slow imports"])
def test_imports_that_fail_are_left_alone(fault: str) -> None:
    """A GPU that imports nothing, wrongly or slowly, or whose driver dies of it, is right, and is sent its weights."""
    if fault == "slow imports":
        # In figures: what the clock says of a busy machine is not to be relied on.
        speeds = {PRODUCTS_OF_UPLOADS: 1.0, PRODUCTS_OF_IMPORTS: 0.5}
        outcomes = [Outcome(check.kind, check.name, check.most, 0.0) for check in (*checks(True), *import_checks())]
        record = judged(gpu(), [Tried(outcomes=outcomes, speeds=speeds)])
        assert judged(gpu(), [Tried(outcomes=outcomes, speeds=dict.fromkeys(speeds, 1.0))]).weights == IMPORTED
    else:
        (tried,) = (test := self_test(gpu(description=fault, is_integrated=False), fault)).tried
        record = test.record
        assert "products, weights imported" not in tried.speeds
        assert "products, sums in float32" in tried.speeds
    assert (record.usable, record.faults, record.weights) == (True, (), UPLOADED)


@pytest.mark.parametrize(
    ("fault", "weights", "ended"),
    [
        ("writes", WRITTEN, ""),
        ("writes slowly", UPLOADED, ""),
        ("writes late", UPLOADED, ""),
        ("writes wrongly", UPLOADED, ""),
        ("dies of writing", UPLOADED, "the test's process died by SIGSEGV in: its start"),
    ],
)
def test_weights_are_written_where_none_are_imported_and_that_is_quicker(fault: str, weights: str, ended: str) -> None:
    """Tried in a process of its own, once all else is known; kept if all is right, as quick, and they come sooner."""
    test = run_self_test(gpu(description=fault), command=playing(fault), seconds=math.inf)
    first, written = test.tried
    assert (first.switches, written.switches) == ((), (HOST_MEMORY,))
    assert (written.ended, written.unreached) == (ended, ())
    record = test.record
    assert (record.usable, record.faults, record.switches, record.weights) == (True, (), (), weights)
    assert record.speeds["upload"] == pytest.approx(1e9 / 2**20)
    assert (UPLOAD_WRITTEN in record.speeds) == (not ended)
    assert gpu_records(BUILD)[fault, "a driver"] == record


def timed(**speeds: float) -> Tried:
    """A setting with outcomes and speeds, of which some are other than 1."""
    names = ("products, sums in float32", "products, sums as ggml has them", "convolutions in one pass", "upload")
    outcomes = [Outcome(check.kind, check.name, check.most, 0.0) for check in checks(quick=True)]
    return Tried(outcomes=outcomes, speeds={name: speeds.get(name.partition(",")[0].split()[0], 1.0) for name in names})


def test_written_weights_must_be_as_right_and_as_quick() -> None:
    """A twentieth slower is as quick; what comes no sooner, is wrong, refused, late or not reached is not taken."""
    assert better(timed(upload=1.1, products=0.95, convolutions=0.95), timed())
    assert not better(timed(), timed())
    assert not better(timed(upload=2, products=0.94), timed())
    assert not better(timed(upload=2, convolutions=0.94), timed())
    assert not better(Tried(outcomes=timed().outcomes, speeds={"upload": 2.0}), timed())
    for change in (
        {"ended": "it died"},
        {"late": True},
        {"short": True},
        {"failed": True},
        {"ahead": {"products": 1000}},
    ):
        assert not better(replace(timed(upload=2), **change), timed())
    # A way that is wrong in any case is not used.
    wrong = Outcome("direct convolutions", "a", 1e-2, 1.0)
    some, others = timed(upload=2), timed()
    some.outcomes.append(wrong)
    assert not better(some, others)
    others.outcomes.append(wrong)
    assert better(some, others)
    some.outcomes.append(Outcome("others", "b", 1e-2, 0.0, "not here"))
    assert not better(some, others)


def test_doctor_says_how_weights_come() -> None:
    """In one line, of a GPU; a CPU has them."""
    said = {
        UPLOADED: "uploaded",
        IMPORTED: "imported where",
        WRITTEN: f"written into memory that CPU and GPU see ({HOST_MEMORY})",
    }
    for weights, words in said.items():
        record = replace(judged(gpu(), [timed()]), weights=weights)
        assert [line.startswith(f"weights are {words}") for line in summary(record)].count(True) == 1
        assert not any("weights" in line for line in summary(record, is_gpu=False))


def test_written_weights_are_tried_where_they_may_be_of_use(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the only GPU, one that shares the host's memory and imports nothing; not twice, and not by software."""
    record = judged(gpu(), [timed()])
    assert may_be_written(gpu(), record, timed())
    assert not may_be_written(gpu(), replace(record, weights=IMPORTED), timed())
    assert not may_be_written(gpu(), replace(record, usable=False), timed())
    assert not may_be_written(gpu(is_integrated=False), record, timed())
    assert not may_be_written(gpu(driver="llvmpipe"), record, timed())
    assert not may_be_written(gpu(), record, Tried())
    assert not may_be_written(gpu(), record, replace(timed(), short=True))
    with monkeypatch.context() as patch:
        patch.setenv(HOST_MEMORY, "1")
        assert not may_be_written(gpu(), record, timed())
    with monkeypatch.context() as patch:
        patch.setattr(library, "devices", lambda: [gpu(), gpu(name="vulkan1")])
        assert not may_be_written(gpu(), record, timed())
    monkeypatch.setattr("sdcpp_py.memory.gpu_rules.carve_out", lambda total: (4 << 30, 4 << 30))
    assert not may_be_written(gpu(), record, timed())


def test_written_weights_are_tried_in_the_time_that_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the first test has left of the time is theirs; in a moment nothing is begun."""
    given: list[tuple[Sequence[str], tuple[str, ...], float]] = []

    def tried(command: Sequence[str], switches: Sequence[str] = (), *, seconds: float, **_: Any) -> Tried:
        given.append((command, tuple(switches), seconds))
        return replace(timed(), switches=tuple(switches))

    monkeypatch.setattr(verdict, "try_setting", tried)
    monkeypatch.setattr("sdcpp_py.preflight.self_test.host_memory.try_setting", tried)
    for over, left in ((40, [20]), (57, [])):
        times = iter([100, 100 + over])
        monkeypatch.setattr(verdict, "time", SimpleNamespace(monotonic=lambda times=times: next(times)))
        given.clear()
        run_self_test(gpu(description="Timed"), command=["test"], seconds=60)
        assert given == [(["test"], (), 60), *((["test", "--timed"], (HOST_MEMORY,), seconds) for seconds in left)]


def test_a_timed_test_ends_after_the_timing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the checks that tell most before it, and no picture after it."""
    monkeypatch.setattr(child, "speeds", lambda *_: {"upload": 5.0})
    child.main(["cpu", "--timed"], refusing, lambda device: pytest.fail("a picture was drawn"))
    tried = heard(capsys)
    assert [one.name for one in tried.outcomes] == [check.name for check in checks(quick=True)]
    assert (tried.ended, tried.unreached, tried.speeds) == ("", (), {"upload": 5.0})


def test_a_test_that_cannot_be_run_says_nothing_of_the_gpu() -> None:
    """An error before the device was opened, or an end by a signal from outside, is not its fault: nothing is kept."""
    for command in (playing("fails"), playing("is ended"), ["/nowhere/python"]):
        with pytest.raises(NativeLibraryError, match="test"):
            run_self_test(gpu(description="Untested"), command=command, silence=PATIENCE)
    assert ("Untested", "a driver") not in gpu_records(BUILD)


@pytest.mark.slow
def test_other_pictures_and_other_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """A picture unlike the CPU's is a fault; lines of a driver, and those cut short, are passed over."""
    heard: list[Outcome] = []
    tried = try_setting(playing("other picture"), silence=PATIENCE, on_outcome=heard.append)
    assert tried.fault == "picture of the tiny model: 60.00 grey levels from the CPU's, of 2 at most"
    assert heard == tried.outcomes
    tried = try_setting(playing("talks"), silence=PATIENCE)
    assert not tried.fault
    assert len(tried.outcomes) == len(heard)


def heard(capsys: pytest.CaptureFixture[str]) -> Tried:
    """What a test in this process has said."""
    tried = Tried()
    for line in capsys.readouterr().out.splitlines():
        tried.hear(json.loads(line.removeprefix(child.MARK)))
    tried.end("early")
    return tried


def refusing(*_: Any, **__: Any) -> Computed:
    raise SettingsError("the device cannot compute this")


def test_a_test_stops_when_its_time_is_over(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Operations have a part of the time, and the picture the rest; what was not reached is said by its kind."""
    monkeypatch.setattr(child, "speeds", lambda *_: {"upload": 5.0})
    # Each look at the clock takes a second: at 100, and until 160 there are operations.
    times = iter(range(100, 1000))
    monkeypatch.setattr("sdcpp_py.preflight.self_test.child.time", SimpleNamespace(monotonic=lambda: next(times)))
    child.main(["cpu", "--seconds", "100"], refusing, lambda device: np.zeros((8, 8, 3), np.uint8))
    tried = heard(capsys)
    assert not tried.ended
    imports = len([*import_checks()])
    assert len(tried.outcomes) == 59 + imports, "58 operations, the picture and what comes after it"
    assert tried.outcomes[-imports - 1].kind == "pictures"
    expected = {check.kind for check in (*checks(quick=True), *import_checks())} | {"pictures"}
    assert {one.kind for one in tried.outcomes} == expected
    assert "timing" not in tried.unreached
    missing = sum(int(text.split()[0]) for text in tried.unreached)
    assert missing == len(list(checks())) - 58
    child.main(["cpu", "--seconds", "0"], refusing, lambda device: pytest.fail("there was no time for it"))
    tried = heard(capsys)
    assert tried.outcomes == []
    assert {"timing", "pictures"} < set(tried.unreached)
    assert not tried.fault


def test_what_was_wrong_before_comes_first(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A setting that may mend a fault shows that before all else, and is not right where its time was over before."""
    monkeypatch.setattr(child, "speeds", lambda *_: {})
    sought = "convolution 16 -> 16 channels at 1024x1024, in one pass"
    child.main(["cpu", "--first", json.dumps([sought])], refusing, lambda device: np.zeros((8, 8, 3), np.uint8))
    tried = heard(capsys)
    assert tried.outcomes[0].name == sought
    assert len(tried.outcomes) == len(list(checks())) + 1 + len([*import_checks()])
    assert tried.unreached == ("timing",)
    quick = list(checks(quick=True))
    assert foremost(quick, [quick[5].name]) == [quick[5], *quick[:5], *quick[6:]]
    assert Tried(sought=frozenset({sought, PICTURE}), outcomes=tried.outcomes).fault == ""
    assert "the time did not suffice" in Tried(sought=frozenset({sought})).fault
    lost = Tried(ended="it died", _doing=sought)
    assert lost.wrong == {sought}
    assert not Tried(ended="it died").wrong


def test_settings_that_may_mend_seek_what_was_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    """They have half of the time each, are told the faults of those before, and are not begun much too late."""
    told: list[tuple[float, frozenset[str]]] = []

    def wrong(_: Any, switches: Any, *, seconds: float, sought: frozenset[str], **__: Any) -> Tried:
        told.append((seconds, sought))
        return Tried(tuple(switches), outcomes=[Outcome("others", f"{len(told)}", 1e-3, 1.0)])

    monkeypatch.setattr(verdict, "try_setting", wrong)
    device = gpu(description="Sought", integer_dot=True)
    run_self_test(device, seconds=40)
    assert told == [(40, frozenset()), (20, {"1"}), (20, {"1", "2"}), (20, {"1", "2", "3"})]
    told.clear()
    times = iter([0, 39, 121])
    monkeypatch.setattr("sdcpp_py.preflight.self_test.verdict.time", SimpleNamespace(monotonic=lambda: next(times)))
    run_self_test(device, seconds=40)
    assert len(told) == 2


def test_a_slow_software_driver_is_not_to_blame(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its process is ended when the time is over; what was right until then counts, and the rest is said."""
    now = [0.0]
    monkeypatch.setattr(setting, "time", SimpleNamespace(monotonic=lambda: now[0]))
    # The time is over once the process has said what it did, however long its start takes.
    tried = try_setting(
        playing("crawls"), silence=PATIENCE, seconds=0, on_outcome=lambda outcome: now.append(now.pop() + 60.0)
    )
    assert (tried.late, tried.ended, tried.fault) == (True, "", "")
    assert tried.unreached == ("2 of 3 products", "pictures")
    record = judged(gpu(), [tried])
    assert record.usable
    assert record.unreached == tried.unreached
    assert record.float32_sums


def test_absurd_words_of_the_process_are_passed_over() -> None:
    """Speeds that cannot be true are none; what makes no sense is an error that the listener knows."""
    tried = Tried()
    tried.hear({"speeds": {"upload": 5.0, "products": float("nan"), "other": "fast", "back": -1}})
    assert tried.speeds == {"upload": 5.0}
    absurd: list[dict[str, Any]] = [{"ahead": 3}, {"ahead": {"products": "many"}}, {"outcome": 3}, {"outcome": {}}]
    for nonsense in absurd:
        with pytest.raises(setting._NONSENSE):
            tried.hear(nonsense)


def test_where_a_part_is_quickest_follows_from_how_it_computes() -> None:
    """The CPU's time is held against that of the sums and convolutions that the GPU is used with."""
    speeds = {
        "products, sums in float32": 0.2, "products, sums as ggml has them": 0.4, "convolutions in one pass": 0.3,
        "convolutions by im2col": 0.05, "products on the CPU": 0.1, "convolutions on the CPU": 0.1,
    }  # fmt: skip
    quicker = judged(gpu(), [Tried(speeds=speeds)]).quicker
    assert quicker == pytest.approx({"text_encoder": 2, "diffusion_model": 2, "vae": 3})
    rounded = [Outcome(kind, "a, b", 1e-2, 1e-3) for kind in ("rounded products", "rounded large sums")]
    wrong = Outcome("direct convolutions", "a", 1e-2, 1.0)
    quicker = judged(gpu(), [Tried(speeds=speeds, outcomes=[*rounded, wrong])]).quicker
    assert quicker == pytest.approx({"text_encoder": 4, "diffusion_model": 4, "vae": 0.5})
    assert judged(gpu(), [Tried(speeds={"convolutions on the CPU": 1})]).quicker == {}


def test_a_lost_device_names_the_watchdog() -> None:
    """Where the driver reset the GPU, the advice is about time."""
    lost = Tried(ended="the test's process ended with status 1 (DeviceLostError: it was reset) in: a convolution")
    assert "amdgpu.lockup_timeout" in judged(gpu(), [lost]).reason
    stuck = Tried(ended="the test's process did not end in: a product", stuck=True)
    assert "start the machine anew" in judged(gpu(), [stuck]).reason


def test_settings_are_those_that_a_device_has(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without matrix cores there is nothing to switch off of them; all together is tried last."""
    monkeypatch.setattr(verdict, "try_setting", lambda _, switches, **__: Tried(tuple(switches), ended="it died"))
    settings = [one.switches for one in run_self_test(gpu(description="None", integer_dot=True)).tried]
    assert settings == [(), (SWITCHES[0],), (SWITCHES[2],), (SWITCHES[0], SWITCHES[2])]
    assert [one.switches for one in run_self_test(gpu(description="None", float16=False)).tried] == [()]
    # What this process has switched off already is tried all the same.
    monkeypatch.setattr(library, "switches", lambda: (SWITCHES[2],))
    settings = [one.switches for one in run_self_test(gpu(description="None", float16=False)).tried]
    assert settings == [(), (SWITCHES[2],)]


def test_where_memory_was_short_nothing_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test that others left no memory for holds for this process alone."""
    monkeypatch.setattr(verdict, "try_setting", lambda *_, **__: Tried(short=True))
    monkeypatch.setattr(verdict, "keep", lambda *_: pytest.fail("it was kept"))
    assert run_self_test(gpu(description="Filled")).record.usable
    assert ("Filled", "a driver") in gpu_records(BUILD)


def test_doctor_tests_a_device(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """``doctor --test`` shows what was right, as text and JSON; where something is wrong, it ends with 1."""
    for fault, status in (("nothing", 0), ("RMS_NORM", 1)):
        tried = try_setting(playing(fault), silence=PATIENCE)
        monkeypatch.setattr(verdict, "try_setting", lambda *_, tried=tried, **__: tried)
        assert main(["doctor", "--test", "cpu"]) == status
        shown = capsys.readouterr()
        assert ("upload: " in shown.out and "MiB/s" in shown.out) == (not status)
        assert ("wrong: rms norm of" in shown.out) == bool(status)
        assert ("cpu must not be used: rms norm of" in shown.err) == bool(status)
        assert main(["doctor", "--test", "cpu", "--json"]) == status
        [found] = json.loads(capsys.readouterr().out)
        assert found["record"]["usable"] == (not status)
        assert len(found["settings"][0]["outcomes"]) == len(tried.outcomes)


def test_doctor_says_what_was_not_reached_and_what_is_quickest(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """``doctor --test`` has ten minutes; what they do not suffice for is shown, and so is where parts are quickest."""
    given: list[float] = []

    def found(device: library.Device, *, seconds: float, **_: Any) -> verdict.SelfTest:
        given.append(seconds)
        tried = Tried(ahead={"products": 5, "pictures": 1})
        quicker = {"text_encoder": 3.0, "vae": 0.4}
        return verdict.SelfTest(device, [tried], replace(judged(device, [tried]), quicker=quicker))

    monkeypatch.setattr("sdcpp_py.cli.self_test.run_self_test", found)
    assert main(["doctor", "--test", "cpu"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "the time did not suffice for: 5 of 5 products, pictures" in shown
    assert "text_encoder is quickest on the GPU, by 3.0 times" in shown
    assert "vae is quickest on cpu, by 2.5 times" in shown
    assert given == [600]
    assert main(["doctor", "--test", "cpu", "--json"]) == 0
    [one] = json.loads(capsys.readouterr().out)
    assert one["record"]["unreached"] == one["settings"][0]["unreached"] == ["5 of 5 products", "pictures"]


def test_doctor_tests_no_device_that_there_is_not(capsys: pytest.CaptureFixture[str]) -> None:
    """A wrong name is an error with those there are; without a GPU, that is said."""
    assert main(["doctor", "--test", "vulkan9"]) == 1
    assert "there is no device 'vulkan9'" in capsys.readouterr().err
    assert main(["doctor", "--test"]) == 1
    assert "there is no GPU to be tested" in capsys.readouterr().err


@pytest.mark.slow
def test_the_cpu_passes_the_whole_test(capsys: pytest.CaptureFixture[str]) -> None:
    """All checks, in the process that a GPU has too, with the tiny model's picture."""
    assert main(["doctor", "--test", "cpu", "--json"]) == 0
    [found] = json.loads(capsys.readouterr().out)
    assert all(outcome["right"] and not outcome["refused"] for outcome in found["settings"][0]["outcomes"])
