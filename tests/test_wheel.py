"""The distributions: what is inside, and that one is made from the other."""

from __future__ import annotations

import os
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.wheel


@pytest.fixture(scope="module")
def wheel() -> zipfile.ZipFile:
    """The wheel under test, which the environment names (docs/testing.md says how to build it)."""
    return zipfile.ZipFile(os.environ["SDCPP_PY_WHEEL"])


@pytest.fixture(scope="module")
def sdist() -> tarfile.TarFile:
    """The source distribution under test, which the environment names."""
    return tarfile.open(os.environ["SDCPP_PY_SDIST"])


def test_the_wheel_serves_every_python_from_3_10(wheel: zipfile.ZipFile) -> None:
    """The wheel's tag is cp310-abi3 and its extension uses the stable ABI."""
    assert "-cp310-abi3-" in Path(wheel.filename or "").name
    assert "sdcpp_py/_native/_sdcpp.abi3.so" in wheel.namelist()


def test_the_wheel_has_every_module(wheel: zipfile.ZipFile) -> None:
    """CPU modules from plain x86-64 to AVX-512 with BF16, ggml under our own names, catalogue and typing marker."""
    names = {Path(name).name for name in wheel.namelist() if name.startswith("sdcpp_py/")}
    wanted = {"libggml-cpu.so", "libggml-cpu-haswell.so", "libggml-cpu-icelake.so", "libggml-cpu-zen4.so"}
    wanted |= {"libsdcpp-ggml.so", "libsdcpp-ggml-base.so", "py.typed"}
    assert wanted <= names, wanted - names
    assert "sdcpp_py/models/catalogue/catalogue.toml" in wheel.namelist()


def test_the_wheel_carries_the_licences(wheel: zipfile.ZipFile) -> None:
    """The licences of this library, of the engine and of ggml are in the wheel."""
    licences = {name: wheel.read(name).decode() for name in wheel.namelist() if "/licenses/" in name}
    assert any(name.endswith("licenses/LICENSE") for name in licences)
    engine = [text for name, text in licences.items() if name.endswith("stable-diffusion.cpp/LICENSE")]
    ggml = [text for name, text in licences.items() if name.endswith("ggml/LICENSE")]
    assert len(engine) == 1
    assert "leejet" in engine[0]
    assert len(ggml) == 1
    assert "ggml authors" in ggml[0]


def test_the_wheel_has_nothing_else(wheel: zipfile.ZipFile) -> None:
    """No source of the engine, no header, no static library, no path of the machine that built it."""
    for name in wheel.namelist():
        kinds = (".py", ".so", ".typed", ".md", ".toml", ".gguf", ".safetensors", ".txt", "")
        assert Path(name).suffix in kinds or ".dist-info/" in name, name
    extension = wheel.read("sdcpp_py/_native/_sdcpp.abi3.so")
    assert str(Path(__file__).parent.parent).encode() not in extension


def test_the_extension_shows_only_its_entry(wheel: zipfile.ZipFile, tmp_path: Path) -> None:
    """The extension exports its entry point and nothing of the engine."""
    path = wheel.extract("sdcpp_py/_native/_sdcpp.abi3.so", tmp_path)
    output = subprocess.run(["nm", "-D", "--defined-only", path], capture_output=True, text=True, check=True).stdout
    assert [line.split()[-1] for line in output.splitlines()] == ["PyInit__sdcpp"]


def test_importing_needs_no_vulkan_loader(wheel: zipfile.ZipFile, tmp_path: Path) -> None:
    """Only the Vulkan module needs the Vulkan loader, so a machine without one imports the library."""
    for name in wheel.namelist():
        if name.endswith(".so"):
            output = subprocess.run(
                ["readelf", "-d", wheel.extract(name, tmp_path)], capture_output=True, text=True
            ).stdout
            assert ("libvulkan" in output) == ("libggml-vulkan" in name), name


def test_the_sdist_carries_the_engine(sdist: tarfile.TarFile) -> None:
    """The source distribution has the engine's source, ggml's and its shaders', and no binary."""
    names = [member.name.partition("/")[2] for member in sdist.getmembers()]
    for wanted in (
        "vendor/stable-diffusion.cpp/src/stable-diffusion.cpp",
        "vendor/stable-diffusion.cpp/ggml/src/ggml-cpu/repack.cpp",
        "vendor/stable-diffusion.cpp/ggml/src/ggml-vulkan/vulkan-shaders/mul_mm.comp",
        "vendor/stable-diffusion.cpp/LICENSE",
        "native/base/sdpy.h",
        "sdcpp_py/py.typed",
    ):
        assert wanted in names, wanted
    assert not [name for name in names if name.endswith((".so", ".o", ".a", ".pyc"))]
