"""A process that ends, or forks, while threads that nobody waits for generate."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

import pytest

from sdcpp_py import GeneratorClosedError
from sdcpp_py._native.engine import Engine
from sdcpp_py._native.library import ffi, lib
from sdcpp_py._native.requests import FaultRequest
from sdcpp_py._native.status import Status

pytestmark = pytest.mark.usefixtures("every_cpu")  # its threads are what is tested

RunPython = Callable[..., "subprocess.CompletedProcess[str]"]

PROGRAM = """
import sys, threading, time
from sdcpp_py import Generator, SdcppError

generators = [Generator.from_pretrained("tiny", threads=1, isolation=sys.argv[2]) for _ in range(2)]

def forever(call):
    def loop():
        while True:
            try:
                call()
            except SdcppError:
                pass
    threading.Thread(target=loop, daemon=True).start()

def generate(generator):
    return lambda: generator.generate(str(time.time()), width=64, height=64, steps=1)

for generator in generators:
    forever(generate(generator))
    forever(generator.cancel)
forever(lambda: Generator.from_pretrained("tiny", threads=1, isolation=sys.argv[2]).plan(width=64, height=64))
time.sleep(float(sys.argv[1]))
"""


@pytest.mark.sample(2)
@pytest.mark.parametrize("isolation", ["thread", "process"])
@pytest.mark.parametrize("seconds", [0.0, 0.2, 0.5])
def test_a_program_ends_while_daemon_threads_generate_cancel_and_open(
    run_python: RunPython, seconds: float, isolation: str
) -> None:
    """The process ends as it wants to, and no signal ends it."""
    assert run_python(PROGRAM, seconds, isolation).returncode == 0


def test_a_freed_engine_says_that_it_is_closed() -> None:
    """Every native function takes the name of an engine that is gone, and says so."""
    engine = Engine()
    handle = engine._handle
    engine.close()
    failure, event = ffi.new("sdpy_failure *"), ffi.new("sdpy_event *")
    closed = int(Status.CLOSED)
    assert lib.sdpy_begin_fault(handle, 0, 0, failure) == closed
    assert lib.sdpy_wait(handle, 0, event, failure) == lib.SDPY_EVENT_DONE
    assert failure.status == closed
    assert lib.sdpy_result_count(handle, ffi.new("int *"), failure) == closed
    assert lib.sdpy_result_at(handle, 0, ffi.new("sdpy_array *"), failure) == closed
    assert lib.sdpy_result_read(handle, 0, ffi.NULL, 0, failure) == closed
    assert lib.sdpy_measured(handle, ffi.new("sdpy_measurement *"), failure) == closed
    assert lib.sdpy_part_info_get(handle, 0, ffi.new("sdpy_part_info *"), failure) == closed
    assert lib.sdpy_engine_spent(handle)
    lib.sdpy_cancel(handle)
    lib.sdpy_engine_free(handle)
    with pytest.raises(GeneratorClosedError, match="this engine is closed"):
        engine.run(FaultRequest(0))


def test_numbers_of_engines_are_given_once() -> None:
    """A new engine is never taken for one that was freed."""
    seen = set()
    for _ in range(5):
        engine = Engine()
        seen.add(int(ffi.cast("uintptr_t", engine._handle)))
        engine.close()
    assert len(seen) == 5


FORK = """
import os, sys, threading, time
from sdcpp_py import GenerationError, Generator

generator = Generator.from_pretrained("tiny", threads=1, isolation=sys.argv[1])

def loop():
    while True:
        generator.generate(str(time.time()), width=64, height=64, steps=1)

threading.Thread(target=loop, daemon=True).start()
size = {"width": 64, "height": 64}
calls = [lambda: generator.generate("x", **size), lambda: generator.plan(**size), lambda: generator.encode("x")]
for call in calls:
    time.sleep(0.1)
    child = os.fork()
    if child == 0:
        try:
            call()
        except GenerationError as error:
            generator.cancel()
            generator.close()
            os._exit(0 if "made before a fork" in str(error) else 2)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
"""


@pytest.mark.parametrize("isolation", ["thread", "process"])
def test_a_fork_is_told_that_the_generator_is_another_processs(run_python: RunPython, isolation: str) -> None:
    """In a child that was forked while a thread generated, each call raises at once, and closing waits for nobody."""
    run = run_python(FORK, isolation)
    assert run.returncode == 0, run.stderr
