"""From every kind of native failure to its error, and a generator that draws on afterwards."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import numpy as np
import pytest

from sdcpp_py import (
    DeviceLostError,
    GenerationCancelled,
    GenerationError,
    Generator,
    OutOfMemoryError,
    Progress,
    SdcppError,
)
from sdcpp_py._native import library
from sdcpp_py._native.engine import Engine
from sdcpp_py._native.requests import DecodeRequest, FaultRequest
from sdcpp_py._native.status import ERRORS, Status
from sdcpp_py.synth import SyntheticSet
from tests.support.seconds import quickest

SMALL: dict[str, Any] = {"width": 64, "height": 64, "steps": 2, "seed": 1}
HEADER = Path(__file__).parents[2] / "native" / "base" / "sdpy.h"


def enumerators(prefix: str) -> dict[str, int]:
    """The constants of one C enum, by name without the prefix."""
    names = [name for name in dir(library.lib) if name.startswith(prefix)]
    return {name.removeprefix(prefix): getattr(library.lib, name) for name in names}


def test_every_native_status_has_a_class() -> None:
    """Each status of the C header exists in Python under the same number and maps to an error of ours."""
    text = HEADER.read_text(encoding="utf-8")
    declared = re.search(r"typedef enum \{([^}]*SDPY_STATUS_COUNT[^}]*)\}", text)
    assert declared
    names = re.findall(r"SDPY_(\w+)", re.sub(r"/\*.*?\*/", "", declared.group(1)))
    assert names.pop() == "STATUS_COUNT"
    assert names == [status.name for status in Status]
    for status in Status:
        assert getattr(library.lib, f"SDPY_{status.name}") == status
        if status is not Status.OK:
            assert issubclass(ERRORS[status], SdcppError)


FAULTS = {
    "ASSERTION": (GenerationError, "a check inside the engine failed"),
    "POOLED_ASSERTION": (GenerationError, "a check inside the engine failed"),
    "BAD_ALLOC": (OutOfMemoryError, "memory ran out"),
    "BAD_ALLOC_AMONG_THREADS": (OutOfMemoryError, "memory ran out"),
    "DEVICE_LOST": (DeviceLostError, "ErrorDeviceLost"),
    "DEVICE_MEMORY": (OutOfMemoryError, "ErrorOutOfDeviceMemory"),
    "EXCEPTION": (GenerationError, "an exception was asked for"),
    "NOT_AN_EXCEPTION": (GenerationError, "not an exception"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_becomes_its_error_and_the_generator_lives(either: Generator, fault: str) -> None:
    """A native failure of each kind raises its class with the engine's log as detail; then the picture is right."""
    expected = np.asarray(either.generate("cat", **SMALL))
    kind, says = FAULTS[fault]
    with pytest.raises(kind, match=says) as caught:
        either._pipeline.engine.run(FaultRequest(enumerators("SDPY_FAULT_")[fault]))
    assert type(caught.value) is kind
    assert "a fault was asked for" in caught.value.detail
    assert either._pipeline.engine.broken == (fault in ("POOLED_ASSERTION", "DEVICE_LOST"))
    assert np.array_equal(np.asarray(either.generate("cat", **SMALL)), expected)
    assert not either._pipeline.engine.broken


def test_the_list_of_faults_is_whole() -> None:
    """Every fault that the native layer can cause is in the table above, except those that are no failures."""
    assert set(FAULTS) | {"BUSY_LOOP", "DEAF"} == set(enumerators("SDPY_FAULT_"))


def test_out_of_memory_is_a_memory_error() -> None:
    """Errors are also the builtins that a user would catch."""
    assert issubclass(OutOfMemoryError, MemoryError)


@pytest.mark.timing
def test_an_engine_takes_one_job_at_a_time() -> None:
    """A second job while one runs is refused natively, and the first can be cancelled."""
    engine = Engine()
    failure = library.ffi.new("sdpy_failure *")
    busy = enumerators("SDPY_FAULT_")["BUSY_LOOP"]
    assert library.lib.sdpy_begin_fault(engine._handle, busy, 0, failure) == Status.OK
    assert library.lib.sdpy_begin_fault(engine._handle, busy, 0, failure) == Status.BUSY
    began = time.perf_counter()
    engine.close()
    assert time.perf_counter() - began < 2


def test_an_end_that_was_interrupted_is_told_again() -> None:
    """When Ctrl-C strikes as a job's end is handed over, the next job finds the engine free."""
    engine = Engine()
    failure, event = library.ffi.new("sdpy_failure *"), library.ffi.new("sdpy_event *")
    exception = enumerators("SDPY_FAULT_")["EXCEPTION"]
    assert library.lib.sdpy_begin_fault(engine._handle, exception, 0, failure) == Status.OK
    while library.lib.sdpy_wait(engine._handle, 50, event, failure) != library.lib.SDPY_EVENT_DONE:
        pass
    engine._running = True  # as an interrupt leaves it between the two lines
    with pytest.raises(GenerationError, match="an exception was asked for"):
        engine.run(FaultRequest(exception))
    engine.close()


def test_a_reload_that_was_stopped_is_made_up_for(either: Generator) -> None:
    """After a failed check, a loading that does not come to its end leaves the next call to load again."""
    expected = np.asarray(either.generate("cat", **SMALL))
    with pytest.raises(GenerationError):
        either._pipeline.engine.run(FaultRequest(enumerators("SDPY_FAULT_")["POOLED_ASSERTION"]))

    def stop(progress: Progress) -> None:
        raise ZeroDivisionError

    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            either.generate("cat", on_progress=stop, **SMALL)
    assert np.array_equal(np.asarray(either.generate("cat", **SMALL)), expected)


@pytest.mark.timing
def test_closing_does_not_wait_for_a_long_operation(run_python: Callable[..., CompletedProcess[str]]) -> None:
    """A job that goes on for seconds after it was told to stop is waited for behind ``close``, and at the very end."""

    def seconds() -> float:
        result = run_python(CLOSED)
        assert result.returncode == 0, result.stderr
        return float(result.stdout)

    assert quickest(seconds, 1) < 1


def test_a_refused_request_is_an_error() -> None:
    """A request that the engine refuses, here for want of a model, is an error, and the engine can be closed twice."""
    engine = Engine()
    engine.cancel()
    with pytest.raises(SdcppError):
        engine.run(DecodeRequest(np.zeros((16, 8, 8), np.float32), 0))
    engine.close()
    engine.close()


CLOSED = """
import time
from sdcpp_py._native import library
from sdcpp_py._native.engine import Engine
engine = Engine()
engine._stop = lambda: None
library.lib.sdpy_begin_fault(engine._handle, library.lib.SDPY_FAULT_BUSY_LOOP, 0, library.ffi.new("sdpy_failure *"))
engine._running = True
began = time.perf_counter()
engine.close()
print(time.perf_counter() - began)
"""

LIMITED = """
import resource, sys
from sdcpp_py import Generator, OutOfMemoryError
g = Generator(*sys.argv[1:4], device="cpu", threads=1)
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (256 << 20), resource.RLIM_INFINITY))
try:
    g.generate("cat", width=1024, height=1024, steps=1)
    print("drawn")
except OutOfMemoryError as error:
    print("refused:", error)
resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
print(g.generate("cat", width=64, height=64, steps=1).image.size)
"""


def test_real_memory_exhaustion_is_an_error(
    model: SyntheticSet, run_python: Callable[..., CompletedProcess[str]]
) -> None:
    """When the system refuses memory for a picture, OutOfMemoryError is raised and a smaller picture can be drawn."""
    result = run_python(LIMITED, model.diffusion_model, model.text_encoder, model.vae)
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[0].startswith("refused:"), result.stdout
    assert lines[1] == "(64, 64)"


INTERRUPTED = """
import os, signal, sys, threading, time
from sdcpp_py import Generator
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs are started deaf to it
g = Generator(*sys.argv[1:4], device="cpu")
expected = g.generate("cat", width=64, height=64, steps=2, seed=1)
def press(): time.sleep(float(sys.argv[4])); t.append(time.perf_counter()); os.kill(os.getpid(), signal.SIGINT)
t = []
threading.Thread(target=press, daemon=True).start()
try:
    g.generate("cat", width=768, height=768, steps=1000)
except KeyboardInterrupt:
    print(time.perf_counter() - t[0])
import numpy as np
print(np.array_equal(np.asarray(g.generate("cat", width=64, height=64, steps=2, seed=1)), np.asarray(expected)))
"""


@pytest.mark.timing
@pytest.mark.parametrize("after", [0.2, 3.0])
def test_ctrl_c_in_a_subprocess(
    model: SyntheticSet, run_python: Callable[..., CompletedProcess[str]], after: float
) -> None:
    """Ctrl-C raises KeyboardInterrupt within half a second, and the generator draws the right picture afterwards."""

    def seconds() -> float:
        result = run_python(INTERRUPTED, model.diffusion_model, model.text_encoder, model.vae, after)
        assert result.returncode == 0, result.stderr
        took, same = result.stdout.split()
        assert same == "True"
        return float(took)

    assert quickest(seconds, 0.5) < 0.5


ABANDONED = """
import sys
from sdcpp_py import Generator
g = Generator(*sys.argv[1:4], device="cpu")
def stop(progress):
    if progress.phase.value == "denoise": raise KeyboardInterrupt
g.generate("cat", width=512, height=512, steps=50, on_progress=stop)
"""


def test_leaving_python_in_the_middle_of_a_run(
    model: SyntheticSet, run_python: Callable[..., CompletedProcess[str]]
) -> None:
    """A process that ends while its engine is still winding down ends cleanly, by the exception and not by a signal."""
    result = run_python(ABANDONED, model.diffusion_model, model.text_encoder, model.vae)
    assert "KeyboardInterrupt" in result.stderr
    assert result.returncode in (-2, 130), result.stderr


def test_cancelled_is_no_generation_error() -> None:
    """Cancelling is not a failure of the engine."""
    assert not issubclass(GenerationCancelled, GenerationError)
