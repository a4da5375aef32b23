"""Fixtures: small models of random weights, and a generator over them.

The native library is imported here without a guard: where it is missing, every test fails, and none is skipped.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from sdcpp_py import Generator, devices
from sdcpp_py.synth import SyntheticSet, write_set
from sdcpp_py.system.cpu import usable_cpus
from sdcpp_py.system.paths import CACHE_VARIABLE
from tests.support.examples import QUICK, THOROUGH
from tests.support.patience import PATIENCE
from tests.support.silent_layers import layer_of, silence


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """A process for each CPU where the whole default run is asked for; none for some files or other kinds of tests.

    Starting them takes longer than most files. Tests of seconds, and those with large models, want the machine to
    themselves.
    """
    whole = config.args_source is pytest.Config.ArgsSource.TESTPATHS and not config.option.keyword
    quick = "not timing" in config.option.markexpr or config.option.markexpr.startswith("slow")
    return len(usable_cpus()) if whole and quick else 0


CPUS = sorted(usable_cpus())
"""Those that this run may use, whatever one of its processes keeps to."""


def pytest_configure() -> None:
    """A process of several keeps to one CPU: threads of all, on all CPUs, would wait for each other at every node."""
    number, count = os.environ.get("PYTEST_XDIST_WORKER", ""), int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    if count > 1 and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {CPUS[int(number.removeprefix("gw")) % len(CPUS)]})


@pytest.fixture
def every_cpu() -> Iterator[None]:
    """For tests of threads: all CPUs that the run may use, in this process and in those that it starts."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    kept = os.sched_getaffinity(0)
    os.sched_setaffinity(0, CPUS)
    yield
    os.sched_setaffinity(0, kept)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Of tests with many cases, as many run by default as ``sample`` says, taken from all over; the others are slow."""
    cases: dict[str, list[pytest.Item]] = {}
    for item in items:
        if item.get_closest_marker("sample"):
            cases.setdefault(item.nodeid.partition("[")[0], []).append(item)
    for found in cases.values():
        (count,) = found[0].get_closest_marker("sample").args  # type: ignore[union-attr]
        kept = {round(number * (len(found) - 1) / max(1, count - 1)) for number in range(count)}
        for number, item in enumerate(found):
            if number not in kept:
                item.add_marker(pytest.mark.slow)


# Machines that run tests are shared and slow at times; a deadline would make tests fail for that alone. What CI tries
# is the same every time, so that it fails for a change and not for luck; the others look for what nobody has found yet.
for name, count, same in (("quick", QUICK, False), ("thorough", THOROUGH, True), ("search", THOROUGH, False)):
    settings.register_profile(
        name, deadline=None, max_examples=count, derandomize=same, suppress_health_check=[HealthCheck.too_slow]
    )
settings.load_profile("quick")

# Models of whoever runs the tests are not to be found by them.
os.environ.pop("SDCPP_PY_MODELS", None)

assert devices(), "the native library offers no device"


@pytest.fixture(scope="session", autouse=True)
def _cache_of_its_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What is found out about this machine is kept for these tests alone, and nothing is known before them.

    Processes of one run share it: what models of the catalogue need takes each of them seconds to find out.
    """
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(CACHE_VARIABLE, str(folder / "cache"))
        yield


@pytest.fixture(scope="session")
def klein(tmp_path_factory: pytest.TempPathFactory) -> SyntheticSet:
    """A FLUX.2 Klein of a few million random weights.

    It reads 512 tokens whatever the prompt, and its encoder must have 28 layers, which make a second of CPU; two of
    these compute.
    """
    files = write_set("tiny-klein", tmp_path_factory.mktemp("klein"), quant="Q8_0")
    silence(files.text_encoder, lambda name: layer_of(name) % 14 != 3)
    return files


@pytest.fixture(scope="session")
def z_image(tmp_path_factory: pytest.TempPathFactory) -> SyntheticSet:
    """A Z-Image of a few million random weights."""
    return write_set("tiny-z-image", tmp_path_factory.mktemp("z-image"), quant="Q8_0")


# Where engines of tests compute, unless a test says it: with "process", all of them are isolated (docs/testing.md).
ISOLATION = os.environ.get("SDCPP_PY_TEST_ISOLATION", "auto")


def open_generator(files: SyntheticSet, **arguments: Any) -> Generator:
    """A generator over a set of files, on the CPU."""
    arguments = {"isolation": ISOLATION, **arguments}
    return Generator(files.diffusion_model, files.text_encoder, files.vae, device="cpu", **arguments)


def copied(files: SyntheticSet, folder: Path) -> SyntheticSet:
    """The same files in a new folder: weights that another test's generator holds would be shared."""
    folder.mkdir()
    parts = files.diffusion_model, files.text_encoder, files.vae
    return SyntheticSet(*(Path(shutil.copy(path, folder)) for path in parts))


@pytest.fixture(scope="session")
def model(z_image: SyntheticSet) -> SyntheticSet:
    """The model where it does not matter which: Z-Image reads only as many tokens as the prompt has, and is quicker."""
    return z_image


@pytest.fixture(scope="session")
def generator(model: SyntheticSet) -> Iterator[Generator]:
    """A generator that all tests share: each must leave it usable, which is itself a part of what is tested."""
    with open_generator(model) as opened:
        yield opened


@pytest.fixture(scope="session")
def klein_generator(klein: SyntheticSet) -> Iterator[Generator]:
    """The same over a Klein."""
    with open_generator(klein) as opened:
        yield opened


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, which is also the current one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run_python(work: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs code in a new process whose current folder is empty.

    In the project's own folder, ``python -c`` would import the sources there instead of the package under test.
    """

    def run(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", code, *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)

    return run
