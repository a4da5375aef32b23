"""The environment: read once, when the native library starts, and what cannot be is refused."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from sdcpp_py import Generator
from sdcpp_py._native import library

from ..support.native_kernels import LEVELS, RUNNING
from ..support.native_sources import NATIVE, sources
from ..support.patience import PATIENCE

# A start that fails is tried anew, with the environment of then, so that one process tries many.
WRONG_VALUES = """
import os, sys
from sdcpp_py import NativeLibraryError, devices
for value in sys.argv[2:]:
    os.environ[sys.argv[1]] = value
    try:
        devices()
        print("nothing was wrong")
    except NativeLibraryError as error:
        print(error)
del os.environ[sys.argv[1]]
print(len(devices()) > 0)
"""


@pytest.mark.parametrize("variable", ["SDCPP_PY_KERNELS", "SDCPP_PY_CPU_MODULE"])
def test_values_that_mean_nothing_are_refused(variable: str, run_python: Callable[..., CompletedProcess[str]]) -> None:
    """Each is an error that names the variable, the value and what there is; without it, the library starts."""
    values = ["avx999", "AVX2", "OFF", "../evil", " ", "avx2 ", "\N{SNOWMAN}"]
    values += [level for level in LEVELS if level not in RUNNING]
    result = run_python(WRONG_VALUES, variable, *values)
    assert result.returncode == 0, result.stderr
    *errors, starts = result.stdout.splitlines()
    there = [*RUNNING, "off"] if variable == "SDCPP_PY_KERNELS" else library.modules_built("cpu")
    for value, error in zip(values, errors, strict=True):
        assert error.startswith(f"{variable} is '{value}'")
        assert set(there) <= set(re.findall(r"\w+", error))
    assert starts == "True"


CHOSEN = """
import os, sys
os.environ["SDCPP_PY_CPU_MODULE"], os.environ["SDCPP_PY_KERNELS"] = sys.argv[1:]
from sdcpp_py import Generator
from sdcpp_py._native import library
with Generator.from_pretrained("tiny", device="cpu") as generator:
    os.environ["SDCPP_PY_CPU_MODULE"] = os.environ["SDCPP_PY_KERNELS"] = "avx999"
    generator.generate("a red circle", width=64, height=64, steps=1)
Generator.from_pretrained("tiny", device="cpu").generate("a red circle", width=64, height=64, steps=1)
print(library.cpu_module(), library.kernels())
"""


# An installation for one machine has a single module; x64 runs on every CPU.
MODULES = sorted({library.cpu_module(), *({"x64"} & set(library.modules_built("cpu")))})


@pytest.mark.sample(1)
@pytest.mark.parametrize("kernels", [*RUNNING[:1], "off"])
@pytest.mark.parametrize("module", MODULES)
def test_the_environment_chooses_module_and_kernels_once(
    module: str, kernels: str, run_python: Callable[..., CompletedProcess[str]]
) -> None:
    """Both hold for all generators of the process, which draw, whatever the environment becomes later."""
    result = run_python(CHOSEN, module, kernels)
    assert (result.stdout.split(), result.returncode) == ([module, kernels], 0), result.stderr


def test_without_a_wish_the_fastest_kernels_are_used(generator: Generator) -> None:
    """The first in the list of levels, which names the slowest first, that this CPU can run."""
    assert library.kernels() == RUNNING[-1]


def test_nothing_native_reads_the_environment_while_python_may_write_to_it() -> None:
    """No file of the native layer asks for a variable but the copy that is made at loading."""
    readers = [file.name for file in sources() if re.search(r"getenv|environ\b", file.read_text("utf-8"))]
    assert readers == ["environment.h"]


READER = """
#include <cstdio>
int main(int, char **names) {
    setenv("LATER", "1", 1);
    setenv("CHANGED", "new", 1);
    unsetenv("GONE");
    while (*++names) {
        const char *value = getenv(*names);
        if (std::getenv(*names) != value) return 1;
        std::printf("%s\\n", value == nullptr ? "(null)" : value);
    }
}
"""


def test_gpu_modules_read_the_environment_as_it_was_at_loading(tmp_path: Path) -> None:
    """With the header forced in, ``getenv`` knows what was there at first, and nothing that came or went later."""
    compiler = shutil.which("c++") or shutil.which("g++")
    assert compiler, "the library cannot have been built without a compiler"
    source, program = tmp_path / "reader.cpp", tmp_path / "reader"
    source.write_text(READER, encoding="utf-8")
    forced = f"-include{NATIVE / 'overrides' / 'environment.h'}"
    command: list[str | Path] = [compiler, "-std=c++17", "-Wall", "-Werror", forced, source, "-o", program]
    subprocess.run(command, check=True, timeout=PATIENCE)
    there = {"CHANGED": "old", "GONE": "here", "EMPTY": "", "TWO": "a=b"}
    names = [*there, "LATER", "MISSING"]
    result = subprocess.run([program, *names], env=there, capture_output=True, text=True, check=True)
    assert result.stdout.splitlines() == [*there.values(), "(null)", "(null)"]


def test_sources_without_a_native_library_say_so(tmp_path: Path) -> None:
    """In the folder of the sources, Python finds these before the package that is installed: the error says that."""
    for file in (NATIVE.parent / "sdcpp_py").rglob("*.py"):
        copy = tmp_path / file.relative_to(NATIVE.parent)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, copy)
    (tmp_path / "native" / "base").mkdir(parents=True)
    shutil.copy(NATIVE.parent / "native" / "base" / "sdpy.h", tmp_path / "native" / "base")
    result = subprocess.run(
        [sys.executable, "-c", "import sdcpp_py"], cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE
    )
    assert result.returncode == 1
    assert f"Python imports the sources in {tmp_path}" in result.stderr
    assert "pip install -e ." in result.stderr
