"""The threads of a graph: how many there are, where they run, and that they sleep where they wait."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from sdcpp_py import Generator
from sdcpp_py.system.cpu import default_threads
from tests.support.patience import PATIENCE, all_closed, threads_of_this_process, until

pytestmark = pytest.mark.usefixtures("every_cpu")  # its threads are what is tested


def test_an_engine_has_its_threads_and_ends_them() -> None:
    """A generator has the threads that it was asked for, one of them its own, from opening it to closing it."""
    all_closed()
    before = threads_of_this_process()
    with Generator.from_pretrained("tiny", device="cpu", threads=5) as generator:
        # Those that read the file are ending.
        assert until(lambda: len(threads_of_this_process() - before) == 5)
        opened = threads_of_this_process()
        generator.generate("a red circle", width=64, height=64, steps=1)
        assert until(lambda: len(threads_of_this_process() - before) == 5)
        assert threads_of_this_process() <= opened
    assert until(lambda: threads_of_this_process() <= before)


def test_the_number_of_threads_does_not_show_in_the_picture() -> None:
    """One thread and many, more than there are cores, draw the same pixels."""
    pictures = []
    for threads in (1, 2, 7):
        with Generator.from_pretrained("tiny", device="cpu", threads=threads) as generator:
            pictures.append(generator.generate("a red circle", width=64, height=64, seed=3, steps=2).image.tobytes())
    assert pictures[0] == pictures[1] == pictures[2]


SHARED_CORE = """
import os, resource, sys
from sdcpp_py import Generator

def cpu_seconds(threads):
    with Generator.from_pretrained("tiny", device="cpu", threads=threads) as generator:
        generator.generate("a red circle", width=64, height=64, seed=0, steps=1)
        before = resource.getrusage(resource.RUSAGE_SELF)
        generator.generate("a red circle", width=64, height=64, seed=1)
        after = resource.getrusage(resource.RUSAGE_SELF)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

with Generator.from_pretrained("tiny", device="cpu", threads=2) as generator:
    generator.generate("a red circle", width=64, height=64, steps=1)
# Everything is loaded by now, and knows how many cores there are.
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
print(min(cpu_seconds(2) for _ in range(3)) / min(cpu_seconds(1) for _ in range(3)))
"""


@pytest.mark.timing
def test_threads_that_wait_use_no_cpu(run_python: Callable[..., CompletedProcess[str]]) -> None:
    """Two threads that share a core use at most half as much CPU again as one: who waits leaves it to the other.

    Only one of them can go on at a time, so threads that spin for as long as they wait use a multiple.
    """
    result = run_python(SHARED_CORE)
    assert result.returncode == 0, result.stderr
    assert float(result.stdout) < 1.5


BOUND = """
import ctypes, os, sys
cpus = os.sched_getaffinity(0)
if sys.argv[1] == "loaded":
    ctypes.CDLL("libgomp.so.1")  # as another package would
from sdcpp_py import Generator
with Generator.from_pretrained("tiny", device="cpu") as generator:
    generator.generate("a red circle", width=64, height=64, steps=1)
    everywhere = 0
    for task in {int(task) for task in os.listdir("/proc/self/task")} - {os.getpid()}:
        try:
            everywhere += os.sched_getaffinity(task) == cpus
        except ProcessLookupError:
            pass  # one that has read the file, and has ended since
print(generator.threads, everywhere, "gomp" in open("/proc/self/maps").read())
"""


@pytest.mark.sample(2)
@pytest.mark.parametrize("loaded", ["loaded", "not loaded"])
@pytest.mark.parametrize("variables", [{}, {"OMP_PROC_BIND": "true"}, {"OMP_NUM_THREADS": "1"}])
def test_openmp_takes_no_threads_away(loaded: str, variables: dict[str, str], work: Path) -> None:
    """Whatever OpenMP's variables say, and whoever loaded it first: a thread for each core, on all of the cores."""
    result = subprocess.run(
        [sys.executable, "-c", BOUND, loaded],
        env={**os.environ, **variables},
        cwd=work,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert result.returncode == 0, result.stderr
    threads, everywhere, openmp = result.stdout.split()
    assert int(threads) == default_threads()
    assert int(everywhere) >= int(threads)
    assert openmp == str(loaded == "loaded")


def test_places_that_openmp_was_given_are_kept_to(work: Path) -> None:
    """Where the environment names OpenMP's places, a thread that is bound to one may run on all of these alone."""
    cpus = sorted(os.sched_getaffinity(0))
    code = (
        "import ctypes; ctypes.CDLL('libgomp.so.1'); from sdcpp_py.system.cpu import usable_cpus; print(usable_cpus())"
    )
    for places in (cpus[:1], cpus[:2]):
        variables = {"OMP_PROC_BIND": "true", "OMP_PLACES": ",".join(f"{{{cpu}}}" for cpu in places)}
        command = [sys.executable, "-c", code]
        result = subprocess.run(command, env={**os.environ, **variables}, cwd=work, capture_output=True, text=True)
        assert result.stdout.strip() == str(set(places)), result.stderr
