"""Installations whose CPU modules do not suit this machine: an error that says so."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import _cffi_backend
import pytest

START = """
import sys
from pathlib import Path
from sdcpp_py import NativeLibraryError, devices
from sdcpp_py._native import library
library.MODULE_DIR = Path(sys.argv[1])
try: devices()
except NativeLibraryError as error: print(error)
"""


@pytest.fixture
def refusal(tmp_path: Path, run_python: Callable[..., CompletedProcess[str]]) -> Callable[[], str]:
    """What the library says when its modules are those in ``tmp_path``."""

    def say() -> str:
        result = run_python(START, tmp_path)
        assert result.returncode == 0, result.stderr
        return result.stdout

    return say


def test_an_installation_without_modules_is_an_error(tmp_path: Path, refusal: Callable[[], str]) -> None:
    """Where the modules are gone, the folder is named, and installing anew is advised."""
    assert f"there is no CPU module in {tmp_path}" in refusal()


def test_modules_for_other_cpus_are_named(tmp_path: Path, refusal: Callable[[], str]) -> None:
    """Where all modules load and none suits the CPU, the error names them and how such an installation comes about."""
    # Any library that loads will do: like the module for another CPU it has nothing to offer to this one.
    shutil.copy(_cffi_backend.__file__, tmp_path / "libggml-cpu-future.so")
    message = refusal()
    assert "only for: future" in message
    assert "SDCPP_CPU_KINDS" in message


def test_a_module_that_does_not_load_says_why(tmp_path: Path, refusal: Callable[[], str]) -> None:
    """Where the dynamic linker refuses a module, its own words are in the error."""
    (tmp_path / "libggml-cpu.so").write_bytes(b"no library")
    message = refusal()
    assert "no CPU module can be loaded" in message
    assert "libggml-cpu.so" in message
