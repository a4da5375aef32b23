"""Fixtures: small models of random weights, and a generator over them.

The native library is imported here without a guard: where it is missing, every test fails, and none is skipped.
"""

from __future__ import annotations

import os
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


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """A process for each CPU where the whole default run is asked for; none for some files or other kinds of tests.

    Starting them takes longer than most files. Tests of seconds, and those with large models, want the machine to
    themselves.
    """
    whole = config.args_source is pytest.Config.ArgsSource.TESTPATHS and not config.option.keyword
    return len(usable_cpus()) if whole and "not timing" in config.option.markexpr else 0


# Machines that run tests are shared and slow at times; a deadline would make tests fail for that alone.
settings.register_profile("shared", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared")

# Models of whoever runs the tests are not to be found by them.
os.environ.pop("SDCPP_PY_MODELS", None)

assert devices(), "the native library offers no device"


@pytest.fixture(scope="session", autouse=True)
def _cache_of_its_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What is found out about this machine is kept for these tests alone, and nothing is known before them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(CACHE_VARIABLE, str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def klein(tmp_path_factory: pytest.TempPathFactory) -> SyntheticSet:
    """A FLUX.2 Klein of a few million random weights."""
    return write_set("tiny-klein", tmp_path_factory.mktemp("klein"), quant="Q8_0")


@pytest.fixture(scope="session")
def z_image(tmp_path_factory: pytest.TempPathFactory) -> SyntheticSet:
    """A Z-Image of a few million random weights."""
    return write_set("tiny-z-image", tmp_path_factory.mktemp("z-image"), quant="Q8_0")


def open_generator(files: SyntheticSet, **arguments: Any) -> Generator:
    """A generator over a set of files, on the CPU."""
    return Generator(files.diffusion_model, files.text_encoder, files.vae, device="cpu", **arguments)


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
        return subprocess.run(command, capture_output=True, text=True, timeout=120)

    return run
