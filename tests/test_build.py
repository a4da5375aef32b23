"""What the build decides, asked of CMake itself and without compiling anything."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

pytestmark = pytest.mark.wheel

PROJECT = Path(__file__).parent.parent
ENGINE = PROJECT / "vendor" / "stable-diffusion.cpp"


def configure(folder: Path, *options: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Configures the project into ``folder``."""
    command: list[str | Path] = [
        "cmake",
        "-S",
        PROJECT,
        "-B",
        folder,
        "-G",
        "Ninja",
        f"-DPython_EXECUTABLE={sys.executable}",
    ]
    options = ("-DCMAKE_EXPORT_COMPILE_COMMANDS=ON", "-DSDCPP_VULKAN=OFF", *options)
    return subprocess.run([*command, *options], check=check, capture_output=True, text=True)


@pytest.fixture(scope="module")
def commands(tmp_path_factory: pytest.TempPathFactory) -> dict[Path, list[str]]:
    """The compiler's command for each source file, where it is compiled once."""
    folder = tmp_path_factory.mktemp("build")
    configure(folder, "-DSDCPP_CPU_KINDS=native")
    entries = json.loads((folder / "compile_commands.json").read_text())
    return {Path(entry["file"]): shlex.split(entry["command"]) for entry in entries}


def modules(folder: Path) -> list[str]:
    """The CPU modules that a configured build makes."""
    return sorted(set(re.findall(r"build bin/(libggml-cpu\S*\.so):", (folder / "build.ninja").read_text())))


def test_exceptions_may_pass_c(commands: dict[Path, list[str]]) -> None:
    """Every file in C is compiled so that an exception can pass its frames."""
    c = {file: command for file, command in commands.items() if file.suffix == ".c"}
    assert {"ggml.c", "ggml-alloc.c", "ggml_cpu.c", "_sdcpp.c"} <= {file.name for file in c}
    assert [file for file, command in c.items() if "-fexceptions" not in command] == []


def test_all_that_is_ours_is_warned_about(commands: dict[Path, list[str]]) -> None:
    """Our sources, the engine's unit too, are compiled with warnings, and the engine's headers as a system's."""
    ours = {
        file: command
        for file, command in commands.items()
        if file.parent.is_relative_to(PROJECT / "native") or file.parent.name == "Unity"
    }
    del ours[PROJECT / "native" / "overrides" / "ggml_cpu.c"]  # ggml's own file but for one function
    together = {"unity_overrides_cxx.cxx", "unity_weights_cxx.cxx"}
    assert {"pipeline.cpp", "product.cpp", *together} <= {file.name for file in ours}
    for file, command in ours.items():
        assert "-w" not in command, file
        assert {"-Wall", "-Wextra", "-Wshadow"} <= set(command), file
    loud = [word for word in ours[PROJECT / "native" / "pipeline" / "pipeline.cpp"] if word.startswith(f"-I{ENGINE}")]
    assert [folder for folder in loud if not folder.endswith("ggml/src/../include")] == []


def test_no_compiler_reads_the_vocabularies(commands: dict[Path, list[str]]) -> None:
    """The engine's file with the tokenizers' arrays is no source of the build; its copy over embedded bytes is."""
    vocabularies = [file for file in commands if file.name in ("vocab.cpp", "arrays.S")]
    assert sorted(file.name for file in vocabularies) == ["arrays.S", "vocab.cpp"]
    assert not any(file.is_relative_to(ENGINE) for file in vocabularies)


def test_native_is_one_module_with_a_kind(tmp_path: Path) -> None:
    """``native`` makes the one module of this CPU, whose name has the loader ask it about the CPU."""
    said = configure(tmp_path, "-DSDCPP_CPU_KINDS=native").stdout
    (kind,) = re.findall(r"CPU modules: (\w+), for this machine alone", said)
    assert modules(tmp_path) == [f"libggml-cpu-{kind}.so" if kind != "x64" else "libggml-cpu.so"]


def test_a_kind_that_there_is_not_is_an_error(tmp_path: Path) -> None:
    """A kind that is not known is refused, and the known ones are named; ``native`` does not go with others."""
    for kinds in ("haswel", "native;haswell"):
        refused = configure(tmp_path / "build", f"-DSDCPP_CPU_KINDS={kinds}", check=False)
        assert refused.returncode != 0
        assert f"no CPU kind is called '{kinds.partition(';')[0]}'" in refused.stderr
        assert "sandybridge" in refused.stderr


def test_a_build_without_vulkan_says_how_to_get_it(tmp_path: Path) -> None:
    """The reason and the commands are left beside the module, and said once more at the end of the installation."""
    for name, options, reason in (
        ("off", [], "SDCPP_VULKAN=OFF"),
        ("auto", ["-DSDCPP_VULKAN=AUTO"], ""),
    ):
        said = configure(tmp_path / name, *options).stdout
        text = (tmp_path / name / "native" / "vulkan.txt").read_text()
        [found] = re.findall(r"Vulkan: not built(?:, CPU only)? \((.*)\)", said) or [""]
        assert (found in text and "pip install" in text) if found else text == ""
        assert reason in found
        assert ("apt install" in text) == bool(found and name == "auto")
        install = (tmp_path / name / "native" / "cmake_install.cmake").read_text()
        assert "vulkan.txt" in install
        assert f"[==[{text}]==]" in install or not text


def test_a_plain_build_forgets_what_an_earlier_one_was_told(tmp_path: Path) -> None:
    """Every build by pip sets each option of ours, to the very default that CMake has, so that none stays in build/."""
    configure(tmp_path)
    cache = (tmp_path / "CMakeCache.txt").read_text()
    defaults = dict(re.findall(r"^(SDCPP_\w+):(?:STRING|BOOL|PATH)=(.*)$", cache, re.MULTILINE))
    del defaults["SDCPP_VULKAN"]  # which this test sets
    settings = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["scikit-build"]["cmake"]
    told = {name: ";".join(value) if isinstance(value, list) else value for name, value in settings["define"].items()}
    assert told.pop("SDCPP_VULKAN") == "AUTO"
    assert told == defaults
    assert len(modules(tmp_path)) == 5
