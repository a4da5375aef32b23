"""An engine in a process of its own: the same pictures, and whatever happens to it, the next one is right."""

from __future__ import annotations

import errno
import logging
import multiprocessing.spawn
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sdcpp_py import (
    DeviceLostError,
    EngineCrashedError,
    GenerationCancelled,
    GenerationError,
    Generator,
    OutOfMemoryError,
    Phase,
    Progress,
    SettingsError,
    TextEncoder,
)
from sdcpp_py._native import library
from sdcpp_py._native.requests import FaultRequest, MoveRequest, Request
from sdcpp_py.memory.placement import Placement, placements
from sdcpp_py.parts import PARTS
from sdcpp_py.pipeline.isolation import remote_engine
from sdcpp_py.pipeline.isolation.choice import isolated as is_isolated
from sdcpp_py.pipeline.isolation.process import reap
from sdcpp_py.pipeline.isolation.remote_engine import RemoteEngine
from sdcpp_py.synth import SyntheticSet
from tests.support.patience import PATIENCE, all_closed, children_of_this_process, until
from tests.support.seconds import quickest

from ..conftest import open_generator

SMALL: dict[str, Any] = {"width": 64, "height": 64, "steps": 3, "seed": 1}
RunPython = Callable[..., "subprocess.CompletedProcess[str]"]

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="engines have processes of their own on Linux alone")


def engine_of(generator: Generator) -> RemoteEngine:
    engine = generator._pipeline.engine
    assert isinstance(engine, RemoteEngine)
    return engine


def pixels(generator: Generator, **arguments: Any) -> np.ndarray:
    return np.asarray(generator.generate("cat", **{**SMALL, **arguments}))


def is_alive(process: int) -> bool:
    """Whether it computes: what ended and was not waited for by its parent (in containers, often nobody) does not."""
    try:
        return Path(f"/proc/{process}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def wait_until_gone(process: int) -> None:
    assert until(lambda: not is_alive(process)), f"the process {process} goes on"


def hang_after(generator: Generator, steps: int) -> None:
    """Lets the next picture's denoising not come to its end: what is to strike before that may come late."""
    engine_of(generator).run(FaultRequest(library.lib.SDPY_FAULT_BUSY_LOOP, steps))


def in_the_middle(act: Callable[[], object]) -> Callable[[Progress], None]:
    """An ``on_progress`` that does something once, after a step."""
    done: list[object] = []

    def on_progress(progress: Progress) -> None:
        if progress.phase is Phase.DENOISE and progress.step >= 1 and not done:
            done.append(act())

    return on_progress


PICTURE = np.arange(64 * 64 * 3, dtype=np.uint8).reshape(64, 64, 3)
CALLS: dict[str, dict[str, Any]] = {
    "a prompt": {},
    "guidance": {"cfg_scale": 2, "negative_prompt": "dog"},
    "tiles": {"width": 128, "height": 128, "vae_tile_size": 64},
    "an init image under a mask": {"image": PICTURE, "mask": PICTURE[..., 0], "strength": 0.6},
    "noise": {"noise": np.linspace(-2, 2, 16 * 8 * 8, dtype=np.float32).reshape(16, 8, 8)},
    "the engine's own schedule": {"scheduler": "karras", "sampler": "euler_a"},
}


@pytest.mark.parametrize("call", CALLS)
def test_pictures_are_the_same(generator: Generator, isolated: Generator, call: str) -> None:
    """Pixels and latent have the same bits as in a thread, and the options and timings come back as well."""
    here, there = (one.generate("cat", return_latent=True, **{**SMALL, **CALLS[call]}) for one in (generator, isolated))
    assert np.array_equal(np.asarray(here), np.asarray(there))
    assert here.latent is not None
    assert here.latent.tobytes() == there.latent.tobytes()  # type: ignore[union-attr]
    assert here.settings == there.settings
    assert there.timings["denoise"] > 0


def test_a_prompt_is_the_same(generator: Generator, isolated: Generator) -> None:
    """States are the same too, also for a prompt of letters of every kind."""
    prompt = 'ein Bär 🐻 \u2028 \x7f \\ " %s 北京 ' * 8
    here, there = (one.encode(prompt).arrays["crossattn"] for one in (generator, isolated))
    assert here.tobytes() == there.tobytes()


def test_messages_are_the_same(generator: Generator, isolated: Generator) -> None:
    """A refusal of the native library has the same words."""
    said = []
    for one in (generator, isolated):
        with pytest.raises(SettingsError) as caught:
            one.generate("word " * 2000, **SMALL)
        said.append(str(caught.value))
    assert said[0] == said[1]


def test_memory_is_told_as_it_is(model: SyntheticSet, generator: Generator, isolated: Generator) -> None:
    """Weights and plans have the same sizes, what is allocated is so in the other process, and limits hold there."""
    assert isolated.plan(width=64, height=64).parts == generator.plan(width=64, height=64).parts
    smallest = min(part.need.least_room for part in isolated.plan(width=64, height=64).parts)
    assert smallest > 0
    all_closed()
    before = library.device_usage("cpu").bytes
    with open_generator(model, isolation="process", memory="40MiB") as limited:
        pixels(limited)
        assert 0 < sum(limited.weight_bytes.values()) <= 40 << 20
        usage = engine_of(limited).usage("cpu")
        assert 0 < usage.most_bytes <= 40 << 20
        assert library.device_usage("cpu").bytes == before


def test_the_engine_is_heard(isolated: Generator, caplog: pytest.LogCaptureFixture) -> None:
    """What it says comes through the logger, as it does from a thread."""
    with caplog.at_level(logging.DEBUG, "sdcpp_py"):
        pixels(isolated, seed=77)
    assert any(record.name == "sdcpp_py.engine" for record in caplog.records)


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGKILL, signal.SIGABRT])
def test_a_crash_in_the_middle_of_a_step(isolated: Generator, number: signal.Signals) -> None:
    """It is an error that names the signal and has the last log lines, and the next picture is right."""
    expected = pixels(isolated)
    crashed = engine_of(isolated).pid
    hang_after(isolated, 2)
    with pytest.raises(EngineCrashedError, match=number.name) as caught:
        pixels(isolated, on_progress=in_the_middle(lambda: os.kill(crashed, number)), width=256, height=256)
    assert isinstance(caught.value, RuntimeError)
    assert isinstance(caught.value, GenerationError)
    assert caught.value.detail
    assert isolated.weight_bytes == {}
    assert np.array_equal(pixels(isolated), expected)
    assert engine_of(isolated).pid != crashed


def test_a_crash_while_nothing_runs(isolated: Generator) -> None:
    """It does not show: the next picture opens the model anew."""
    expected = pixels(isolated)
    crashed = engine_of(isolated).pid
    os.kill(crashed, signal.SIGKILL)
    assert until(lambda: engine_of(isolated).broken)
    assert np.array_equal(pixels(isolated), expected)


def test_a_crash_while_weights_are_read(model: SyntheticSet, monkeypatch: pytest.MonkeyPatch) -> None:
    """Opening a generator then fails as such."""
    run = RemoteEngine.run

    def crash(engine: RemoteEngine, request: Request, *listen: Any) -> dict[str, Any]:
        if isinstance(request, MoveRequest):
            # Held up before it can have read them all.
            os.kill(engine.pid, signal.SIGSTOP)
            threading.Timer(0.1, os.kill, (engine.pid, signal.SIGKILL)).start()
        return run(engine, request, *listen)

    monkeypatch.setattr(RemoteEngine, "run", crash)
    with pytest.raises(EngineCrashedError, match="SIGKILL"):
        open_generator(model, isolation="process")


def test_a_cancel_that_is_not_answered_ends_the_process(isolated: Generator) -> None:
    """``cancel`` comes through although the engine hangs, and the next picture is right."""
    expected = pixels(isolated)
    hanging = engine_of(isolated).pid

    def hang() -> None:
        os.kill(hanging, signal.SIGSTOP)
        threading.Timer(0.1, isolated.cancel).start()

    with pytest.raises(GenerationCancelled):
        pixels(isolated, on_progress=in_the_middle(hang), steps=1000)
    wait_until_gone(hanging)
    assert np.array_equal(pixels(isolated), expected)


def test_an_exception_comes_out_of_an_engine_that_hangs(isolated: Generator) -> None:
    """So does what a callback raises, unchanged."""
    expected = pixels(isolated)
    hanging = engine_of(isolated).pid

    def hang() -> None:
        os.kill(hanging, signal.SIGSTOP)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        pixels(isolated, on_progress=in_the_middle(hang), steps=1000)
    wait_until_gone(hanging)
    assert np.array_equal(pixels(isolated), expected)


@pytest.mark.timing
def test_an_engine_that_hangs_is_left_in_half_a_second(isolated: Generator) -> None:
    """From the request to the exception, half a second goes by, with something for the system."""

    def seconds() -> float:
        pixels(isolated)
        hanging = engine_of(isolated).pid
        began: list[float] = []

        def hang() -> None:
            os.kill(hanging, signal.SIGSTOP)
            began.append(time.perf_counter())
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            pixels(isolated, on_progress=in_the_middle(hang), steps=1000)
        return time.perf_counter() - began[0]

    assert quickest(seconds, 0.7) < 0.7


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_to_the_group_are_the_parents(isolated: Generator, number: signal.Signals) -> None:
    """The terminal's Ctrl-C reaches all processes of a program; the engine's goes on until its parent decides."""
    expected = pixels(isolated)
    engine = engine_of(isolated).pid
    drawn = pixels(isolated, on_progress=in_the_middle(lambda: os.kill(engine, number)))
    assert np.array_equal(drawn, expected)
    assert engine_of(isolated).pid == engine


def test_a_lost_device_gets_another_process(isolated: Generator) -> None:
    """The message does not send for a new process: there is one for the next picture."""
    expected = pixels(isolated)
    lost = engine_of(isolated).pid
    with pytest.raises(DeviceLostError, match="the next picture has it back"):
        engine_of(isolated).run(FaultRequest(library.lib.SDPY_FAULT_DEVICE_LOST))
    assert np.array_equal(pixels(isolated), expected)
    assert engine_of(isolated).pid != lost
    wait_until_gone(lost)


def test_what_another_process_says_is_not_trusted(isolated: Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Words that make no sense are a crash, and nothing in them is executed."""
    expected = pixels(isolated)
    engine = engine_of(isolated)

    def nonsense() -> None:
        monkeypatch.setattr(engine._channel, "receive", lambda: {"": 0}["no such word"])

    with pytest.raises(EngineCrashedError, match="nonsense"):
        pixels(isolated, on_progress=in_the_middle(nonsense), steps=1000)
    monkeypatch.undo()
    assert np.array_equal(pixels(isolated), expected)


@pytest.mark.parametrize(
    "word", [{"report": []}, {"end": None}, {"log": 3}, {"report": ["no phase", 0, 0, 0, 0, 0]}, {}]
)
def test_words_of_no_meaning_are_a_crash(
    isolated: Generator, monkeypatch: pytest.MonkeyPatch, word: dict[str, Any]
) -> None:
    """So are messages that can be read and say nothing; one about another call is not listened to."""
    expected = pixels(isolated)
    channel = engine_of(isolated)._channel
    receive = channel.receive
    words = [word]

    def speak() -> None:
        monkeypatch.setattr(channel, "receive", lambda: words.pop() if words else receive())

    if word == {"end": None}:
        assert np.array_equal(pixels(isolated, on_progress=in_the_middle(speak)), expected)
    else:
        with pytest.raises(EngineCrashedError, match="nonsense"):
            pixels(isolated, on_progress=in_the_middle(speak))
    assert np.array_equal(pixels(isolated), expected)


def test_ctrl_c_while_a_process_starts(isolated: Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    """It comes out, and the next picture starts another one."""
    expected = pixels(isolated)
    engine_of(isolated)._end(politely=False)
    hear = RemoteEngine._hear
    struck: list[int] = []

    def interrupted(engine: RemoteEngine, listen: Any) -> Any:
        if not struck:
            struck.append(engine.pid)
            raise KeyboardInterrupt
        return hear(engine, listen)

    monkeypatch.setattr(RemoteEngine, "_hear", interrupted)
    with pytest.raises(KeyboardInterrupt):
        pixels(isolated)
    wait_until_gone(struck[0])
    assert np.array_equal(pixels(isolated), expected)


def test_ctrl_c_before_a_call_was_sent_or_as_its_end_came(isolated: Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process says that it has no such call, and goes on to the next picture."""
    monkeypatch.setattr(remote_engine, "_PATIENCE_SECONDS", PATIENCE)  # else one that is slow to say it is ended
    expected = pixels(isolated)
    engine = engine_of(isolated)
    process = engine.pid
    for sent in (False, True):
        engine._number += not sent
        engine._running, engine._told_at = True, None  # as an interrupt leaves it
        engine.settle()
        assert np.array_equal(pixels(isolated), expected)
    assert engine_of(isolated).pid == process


@pytest.mark.parametrize("lacks", [errno.ENOSYS, errno.EPERM])
def test_a_sandbox_without_memfd(isolated: Generator, monkeypatch: pytest.MonkeyPatch, lacks: int) -> None:
    """Arrays go through a file without a name in the folder for temporary files."""
    expected = pixels(isolated)

    def refuse(*_: object) -> int:
        raise OSError(lacks, os.strerror(lacks))

    monkeypatch.setattr(os, "memfd_create", refuse)
    assert np.array_equal(pixels(isolated), expected)


def test_no_room_for_arrays_is_an_error(isolated: Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system has no memory for what is handed over, that is said, and the next picture is right."""
    expected = pixels(isolated)

    def refuse(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "pwrite", refuse)
    with pytest.raises(GenerationError, match="No space left"):
        pixels(isolated)
    monkeypatch.undo()
    assert np.array_equal(pixels(isolated), expected)


def test_a_process_that_cannot_be_started(model: SyntheticSet, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is an error of ours, and nothing is left open."""
    before = left_open()
    monkeypatch.setattr(multiprocessing.spawn, "_python_exe", "/no/such/python")
    with pytest.raises(GenerationError, match="cannot be started"):
        open_generator(model, isolation="process")
    monkeypatch.setattr(multiprocessing.spawn, "_python_exe", "/bin/false")
    with pytest.raises(EngineCrashedError, match="ended with the code 1"):
        open_generator(model, isolation="process")
    check_left_open(before)


def gpu() -> list[Placement]:
    [on_cpu] = placements("cpu")
    graphics = replace(on_cpu.denoiser, name="vulkan0", is_gpu=True)
    return [Placement({**dict.fromkeys(PARTS, on_cpu.denoiser), "diffusion_model": graphics}), on_cpu]


def test_gpus_get_a_process_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    """And CPUs a thread; so do generators that share a text encoder, and programs that have Python inside."""
    assert is_isolated("auto", gpu(), shared_encoder=False)
    assert not is_isolated("auto", gpu(), shared_encoder=True)
    assert not is_isolated("thread", gpu(), shared_encoder=False)
    assert not is_isolated("auto", placements("cpu"), shared_encoder=False)
    assert is_isolated("process", placements("cpu"), shared_encoder=False)
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    assert not is_isolated("auto", gpu(), shared_encoder=False)
    with pytest.raises(SettingsError, match="set_executable"):
        is_isolated("process", gpu(), shared_encoder=False)


def test_choices_that_cannot_be(model: SyntheticSet) -> None:
    """An unknown word is refused, and so is a process with a text encoder that is in this one's memory."""
    with pytest.raises(SettingsError, match="must be one of: auto, process, thread"):
        open_generator(model, isolation="fork")
    with TextEncoder(model.text_encoder) as encoder, pytest.raises(SettingsError, match='isolation="thread"'):
        Generator(model.diffusion_model, encoder, model.vae, device="cpu", isolation="process")


def test_out_of_memory_is_the_same(isolated: Generator, model: SyntheticSet) -> None:
    """A limit that was given is kept to."""
    with pytest.raises(OutOfMemoryError, match="even from a prompt embedding"):
        open_generator(model, isolation="process", memory="2MiB")


ORPHAN = """
import os, sys, time
from sdcpp_py import Generator

generator = Generator.from_pretrained("tiny", device="cpu", threads=1, isolation="process")
copy = os.fork()
if copy == 0:
    time.sleep(600)  # with copies of all that its parent had open
    os._exit(0)
print(generator._pipeline.engine.pid, copy, flush=True)
if sys.argv[1] == "idle":
    time.sleep(600)
generator.generate("x", width=512, height=512, steps=1000)
"""


@pytest.mark.sample(1)
@pytest.mark.parametrize("doing", ["idle", "drawing"])
def test_no_orphan_is_left(work: Path, doing: str) -> None:
    """When the parent is killed, its engine's process ends, even where a fork of the parent lives on."""
    with subprocess.Popen([sys.executable, "-c", ORPHAN, doing], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout
        engine, fork = map(int, parent.stdout.readline().split())
        try:
            assert is_alive(engine)
            time.sleep(0.3)
            parent.kill()
            parent.wait()
            wait_until_gone(engine)
            assert is_alive(fork)
        finally:
            os.kill(fork, signal.SIGKILL)


SURROUNDINGS = {
    "no standard streams": "for n in range(3): os.close(n)",
    "children that are not waited for": "signal.signal(signal.SIGCHLD, signal.SIG_IGN)",
    "many open files": "import resource; most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]; "
    "resource.setrlimit(resource.RLIMIT_NOFILE, (most, most)); "
    "files = [os.open('/dev/null', os.O_RDONLY) for _ in range(1500)]",
    "a program with Python inside": "import multiprocessing; sys.frozen = True; python = sys.executable; "
    "sys.executable = '/bin/false'; multiprocessing.set_executable(python)",
    "modules of the current folder, another main module, signals that are blocked": """
for name in ("json", "socket", "numpy"):
    open(name + ".py", "w").write("1 / 0")
sys.modules["__main__"].__file__ = "/no/such/file.py"
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
""",
}
SURROUNDED = """
import os, signal, sys, threading
import numpy as np
from sdcpp_py import EngineCrashedError, Generator
size = {{"width": 64, "height": 64, "steps": 2, "seed": 1}}
expected = np.asarray(Generator.from_pretrained("tiny", device="cpu", threads=1).generate("x", **size))
{}
right = []
def draw():
    with Generator.from_pretrained("tiny", device="cpu", threads=1, isolation="process") as generator:
        right.append(np.array_equal(np.asarray(generator.generate("x", **size)), expected))
        os.kill(generator._pipeline.engine.pid, signal.SIGKILL)
        while not generator._pipeline.engine.broken:
            pass
        right.append(np.array_equal(np.asarray(generator.generate("x", **size)), expected))
thread = threading.Thread(target=draw)
thread.start()
thread.join()
os._exit(0 if right == [True, True] else 3)
"""


@pytest.mark.sample(1)
@pytest.mark.parametrize("surroundings", SURROUNDINGS)
def test_surroundings(run_python: RunPython, surroundings: str) -> None:
    """Programs of every kind get the same picture, in any thread, also after a crash."""
    result = run_python(SURROUNDED.format(SURROUNDINGS[surroundings]))
    assert result.returncode == 0, result.stderr


STRICT = """
import os, sys
from sdcpp_py import Generator
generator = Generator.from_pretrained("tiny", device="cpu", threads=1, isolation="process")
generator.generate("x", width=64, height=64, steps=1)
if sys.argv[1] == "closed":
    generator.close()
elif sys.argv[1] == "forgotten":
    del generator
elif sys.argv[1] == "crashed":
    os.kill(generator._pipeline.engine.pid, 9)
    while not generator._pipeline.engine.broken:
        pass
    generator.generate("y", width=64, height=64, steps=1)
"""


@pytest.mark.sample(1)
@pytest.mark.parametrize("end", ["closed", "forgotten", "crashed", "left open"])
def test_python_has_nothing_to_complain_of(work: Path, end: str) -> None:
    """With all of Python's warnings as errors, here and in the other process, nothing is said of one that was closed.

    One that was forgotten is named, once.
    """
    command = [sys.executable, "-X", "dev", "-W", "error", "-c", STRICT, end]
    result = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    assert (result.returncode, result.stdout) == (0, "")
    said = [line for line in result.stderr.splitlines() if line.startswith("ResourceWarning")]
    if end == "closed":
        assert result.stderr == ""
    else:
        assert len(said) == 1
        assert said[0].startswith("ResourceWarning: unclosed <Generator")
        assert result.stderr.count("Warning") == result.stderr.count("ResourceWarning")


def names(folder: str) -> list[str]:
    return sorted(path.name for path in Path(folder).iterdir())


def left_open() -> tuple[int, ...]:
    """How many descriptors, threads, pieces of shared memory and child processes this process has."""
    reap(0)
    shared = ("/memfd:", "/dev/shm/")
    mapped = Path("/proc/self/maps").read_text(encoding="utf-8", errors="replace").splitlines()
    return (
        len(names("/proc/self/fd")),
        threading.active_count(),
        sum(any(name in line for name in shared) for line in mapped),
        len(children_of_this_process()),
    )


def check_left_open(before: tuple[int, ...]) -> None:
    """No more are left than before, once what is ending has ended; before, something more may have been ending."""

    def as_few() -> bool:
        return all(now <= then for now, then in zip(left_open(), before, strict=True))

    assert until(as_few), (left_open(), before)


def open_and_crash(count: int, model: SyntheticSet) -> None:
    for turn in range(count):
        with open_generator(model, isolation="process", threads=1) as generator:
            pixels(generator)
            if turn % 3 == 1:
                os.kill(engine_of(generator).pid, signal.SIGKILL)
            if turn % 3 == 2:
                with pytest.raises(ZeroDivisionError):
                    pixels(generator, on_progress=lambda _: 1 / 0)


def test_nothing_is_left(model: SyntheticSet) -> None:
    """Descriptors, threads, shared memory and processes are as many after openings, crashes and exceptions."""
    open_and_crash(1, model)
    before = left_open()
    open_and_crash(3, model)
    check_left_open(before)


@pytest.mark.slow
def test_nothing_is_left_of_fifty(model: SyntheticSet) -> None:
    """The same fifty times."""
    open_and_crash(1, model)
    before = left_open()
    open_and_crash(50, model)
    check_left_open(before)
