"""Forks, limits, missing folders, other interpreters: what a program may run in, and what it is told there."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sdcpp_py.synth import SyntheticSet
from tests.support.patience import PATIENCE

RunPython = Callable[..., "subprocess.CompletedProcess[str]"]

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits and processes as Linux has them")

FORKED = """
import os, sys, threading, time
import numpy as np
from sdcpp_py import Generator, SdcppError

size = {"width": 64, "height": 64, "steps": 1}
def opened():
    return Generator.from_pretrained("tiny", device="cpu", threads=1, isolation=sys.argv[1], cache_prompts=False)

parent = opened()
expected = np.asarray(parent.generate("a cat", seed=1, **size))

def forever(call):
    def loop():
        while True:
            call()
    threading.Thread(target=loop, daemon=True).start()

def opening():
    with opened() as generator:
        generator.plan(**size)

forever(lambda: parent.generate(str(time.time()), **size))
forever(opening)
for _ in range(int(sys.argv[2])):
    time.sleep(0.03)
    child = os.fork()
    if child == 0:
        try:
            with opened() as generator:
                right = np.array_equal(np.asarray(generator.generate("a cat", seed=1, **size)), expected)
        except BaseException as error:
            print(repr(error), file=sys.stderr, flush=True)
            os._exit(4)
        sys.exit(0 if right else 3)  # through all that Python does at its end
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
"""


@pytest.mark.sample(1)
@pytest.mark.parametrize("isolation", ["thread", "process"])
def test_a_child_of_a_process_that_generates_has_generators_of_its_own(run_python: RunPython, isolation: str) -> None:
    """Forked while other threads generate and open models, it opens one, draws the right picture, and ends."""
    run = run_python(FORKED, isolation, 4)
    assert run.returncode == 0, run.stderr


@pytest.mark.slow
def test_forty_children_of_a_process_that_generates(run_python: RunPython) -> None:
    """The same forty times."""
    run = run_python(FORKED, "thread", 40)
    assert run.returncode == 0, run.stderr


READING = """
import os, sys, threading, time
from sdcpp_py import Generator
from sdcpp_py._native.library import ffi, lib

def arrange(rate):
    lib.sdpy_arrange_reading(ffi.new("sdpy_reading_conditions *", {"bytes_per_second": rate}))

# The first piece takes hours, so that it is being read from the first report on.
reads = threading.Event()
arrange(1)
options = {"device": "cpu", "threads": 2, "isolation": "thread"}
told = {"on_progress": lambda progress: reads.set()}
opening = threading.Thread(target=lambda: Generator(*sys.argv[1:4], **told, **options), daemon=True)
opening.start()
reads.wait()
time.sleep(0.2)  # for the thread that reads to take its lock; without it, the test shows less
child = os.fork()
if child == 0:
    arrange(0)
    with Generator(*sys.argv[1:4], **options) as generator:
        generator.generate("cat", width=64, height=64, steps=1)
    sys.exit(0)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
assert opening.is_alive()
os._exit(0)
"""


def test_a_child_does_not_wait_for_a_file_that_its_parent_reads(run_python: RunPython, model: SyntheticSet) -> None:
    """The lock of a file that is being read stays with the thread that reads it, which the child does not have."""
    run = run_python(READING, model.diffusion_model, model.text_encoder, model.vae)
    assert run.returncode == 0, run.stderr


SERVED = """
import multiprocessing, os, sys
import numpy as np
from sdcpp_py import Generator

def draw(isolation):
    with Generator.from_pretrained("tiny", device="cpu", threads=1, isolation=isolation) as generator:
        return np.asarray(generator.generate("a cat", width=64, height=64, steps=1, seed=1)).tobytes()

def prefork(isolation):
    # As gunicorn and celery do: the library is imported, workers are forked, and each makes what it needs.
    pipes = []
    for _ in range(2):
        reads, writes = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reads)
            with os.fdopen(writes, "wb") as stream:
                stream.write(draw(isolation))
            sys.exit(0)
        os.close(writes)
        pipes.append((child, reads))
    drawn = []
    for child, reads in pipes:
        with os.fdopen(reads, "rb") as stream:
            drawn.append(stream.read())
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    return drawn

def pooled(way, isolation):
    with multiprocessing.get_context(way).Pool(2) as pool:
        return pool.map(draw, [isolation] * 2)

if __name__ == "__main__":
    way, isolation = sys.argv[1:]
    drawn = prefork(isolation) if way == "prefork" else pooled(way, isolation)
    assert drawn == [draw("thread")] * 2
"""


@pytest.mark.sample(2)
@pytest.mark.parametrize("isolation", ["process", "thread"])
@pytest.mark.parametrize("way", ["prefork", "spawn", "forkserver", "fork"])
def test_servers_and_pools(work: Path, way: str, isolation: str) -> None:
    """Workers that were forked or spawned draw the same pictures, with engines in threads and in processes."""
    program = work / "served.py"
    program.write_text(SERVED, encoding="utf-8")
    run = subprocess.run([sys.executable, program, way, isolation], capture_output=True, text=True, timeout=PATIENCE)
    assert run.returncode == 0, run.stderr


ELSEWHERE = """
import importlib, sys
try:
    interpreters = importlib.import_module("_interpreters")
except ImportError:
    interpreters = importlib.import_module("_xxsubinterpreters")
code = '''
try:
    import sdcpp_py
except ImportError as error:
    import sys
    open(sys.argv[1] if len(sys.argv) > 1 else "said", "w").write(f"{type(error).__name__}: {error}")
'''
interpreters.run_string(interpreters.create(), "import sys; sys.path[:] = " + repr(sys.path) + code)
print(open("said").read())
"""


@pytest.mark.skipif(sys.version_info < (3, 11), reason="of Python's own interpreters")
def test_a_subinterpreter_is_refused(run_python: RunPython) -> None:
    """Importing the library there is an error that says where it works."""
    run = run_python(ELSEWHERE)
    assert run.stdout.startswith("NativeLibraryError: sdcpp_py does not work in a subinterpreter"), run.stderr


FORGOTTEN = """
import gc, os, threading, time, warnings
from sdcpp_py import Generator
from sdcpp_py._native import library
warnings.simplefilter("always")
threads = lambda: set(os.listdir("/proc/self/task"))
def forget():
    Generator.from_pretrained("tiny", device="cpu", threads=1, isolation="thread").generate("x", width=64, height=64)
forget()
before = library.device_usage("cpu").bytes, threads()
with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    forget()
assert [one.category for one in said] == [ResourceWarning], said
said.clear()  # each has the generator
gc.collect()
assert library.device_usage("cpu").bytes == before[0] == 0, before
while threads() - before[1]:  # those that were joined are on the system's list for a moment more
    time.sleep(0.01)
with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    with Generator.from_pretrained("tiny", device="cpu", threads=1) as generator:
        pass
    del generator
assert not said
"""


def test_a_generator_that_is_forgotten_warns_once_and_is_freed(run_python: RunPython) -> None:
    """Its memory and its threads are gone with it, and one that was closed says nothing."""
    run = run_python(FORGOTTEN)
    assert run.returncode == 0, run.stderr


LIMITED = """
import os, resource, sys
from sdcpp_py import Generator, SdcppError

def limit(what, least):
    resource.setrlimit(what, (least, resource.getrlimit(what)[1]))

used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
{}
try:
    with Generator.from_pretrained("tiny", device="cpu", threads=2, isolation=sys.argv[1]) as generator:
        generator.generate("a cat", width=64, height=64, steps=1).save("cat.png", overwrite=True)
    print("drawn")
except (SdcppError, MemoryError) as error:
    print(type(error).__name__, str(error))
"""
LIMITS = {
    "64 descriptors": ("limit(resource.RLIMIT_NOFILE, 64)", "drawn"),
    "no descriptor left": (
        "limit(resource.RLIMIT_NOFILE, 40)\nkept = [os.open('/dev/null', os.O_RDONLY) for _ in range(40 - 3 - "
        "len(os.listdir('/proc/self/fd')) + 3)]",
        "Error",
    ),
    # Threads have what it was when the program began.
    "little stack": (
        "if limit(resource.RLIMIT_STACK, 256 << 10) or 'AGAIN' not in os.environ:\n"
        "    os.environ['AGAIN'] = ''\n    os.execv(sys.executable, sys.orig_argv)",
        "drawn",
    ),
    "no home": ("[os.environ.pop(name, None) for name in ('HOME', 'XDG_CACHE_HOME', 'XDG_CONFIG_HOME')]", "drawn"),
    "a home that cannot be written": (
        "os.environ.update(HOME='/proc/1', XDG_CACHE_HOME='/proc/1/cache', SDCPP_PY_CACHE='/proc/1/cache')",
        "drawn",
    ),
    "no folder for temporary files": ("os.environ['TMPDIR'] = '/proc/nowhere'", "drawn"),
    "a full disk": ("limit(resource.RLIMIT_FSIZE, 0)", ""),
    # With all imported: this user may not be allowed to read what the test's own is.
    "no further process or thread": (
        "Generator.from_pretrained('tiny', device='cpu', isolation=sys.argv[1]).generate('x', width=64, height=64)\n"
        "os.chmod('.', 0o777); os.setgid(65534); os.setuid(65534); limit(resource.RLIMIT_NPROC, 1)",
        "",
    ),
}


@pytest.mark.sample(3)
@pytest.mark.parametrize("isolation", ["thread", "process"])
@pytest.mark.parametrize("what", LIMITS)
def test_surroundings_that_lack_something(run_python: RunPython, what: str, isolation: str) -> None:
    """The picture is drawn where nothing of that is needed; else it is an error of the library, and no traceback."""
    limit, expected = LIMITS[what]
    run = run_python(LIMITED.format(limit), isolation)
    assert run.returncode == 0, run.stderr
    assert "Traceback" not in run.stderr
    assert expected in run.stdout
    assert run.stdout.strip(), "neither a picture nor an error"


@pytest.mark.sample(2)
@pytest.mark.parametrize("megabytes", [*range(2, 60, 14), *range(60, 120, 4), *range(120, 600, 40)])
def test_little_address_space(run_python: RunPython, megabytes: int) -> None:
    """Whatever is left of it when a model is opened, the process ends by itself, with a picture or an error."""
    run = run_python(LIMITED.format(f"limit(resource.RLIMIT_AS, used + ({megabytes} << 20))"), "thread")
    assert run.returncode == 0, run.stderr
    assert run.stdout.strip()
