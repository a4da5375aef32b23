"""The structure of the code: which room may know which."""

from __future__ import annotations

import ast
from collections.abc import Callable
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path
from subprocess import CompletedProcess

import pytest

import sdcpp_py

PACKAGE = Path(sdcpp_py.__file__).parent
ROOT = Path(__file__).parent.parent

# From the top of the house to its ground: a package may import only from those below its own.
PACKAGES = (
    "__main__",
    "cli",
    "__init__",
    "preflight",
    "generator",
    "pipeline",
    "memory",
    "images",
    "prompts",
    "models",
    "synth",
    "settings",
    "_native",
    "image_files",
    "system",
    "progress",
    "parts",
    "ggml_types",
    "naming",
    "signatures",
    "errors",
    "version",
)


def module_name(file: Path) -> str:
    parts = file.relative_to(PACKAGE).with_suffix("").parts
    if parts[-1] == "__init__" and len(parts) > 1:
        parts = parts[:-1]
    return ".".join(parts)


@cache
def modules() -> dict[str, Path]:
    return {module_name(file): file for file in PACKAGE.rglob("*.py")}


def package_of(name: str) -> str:
    return name.partition(".")[0]


def imports_of(file: Path, *, whole: bool = True) -> set[str]:
    """What a file imports of the package; not ``whole``: as it is imported itself, before any of its functions runs."""
    found = set()
    tree = ast.parse(file.read_text(encoding="utf-8"))
    for node in ast.walk(tree) if whole else tree.body:
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("sdcpp_py"):
            base = node.module.removeprefix("sdcpp_py").lstrip(".")
            for alias in node.names:
                inner = f"{base}.{alias.name}".lstrip(".")
                found.add(inner if inner in modules() else base)
        elif isinstance(node, ast.Import):
            found |= {a.name.removeprefix("sdcpp_py.") for a in node.names if a.name.startswith("sdcpp_py.")}
    return {name for name in found if name in modules()}


def test_packages_are_all_in_the_list() -> None:
    """Each package stands in the list once, and the list names no other."""
    assert sorted(PACKAGES) == sorted({package_of(name) for name in modules()})


@pytest.mark.parametrize("name", sorted(modules()))
def test_imports_point_down(name: str) -> None:
    """A module imports from its own package and from those below it."""
    for other in imports_of(modules()[name]):
        if package_of(other) != package_of(name):
            assert PACKAGES.index(package_of(name)) < PACKAGES.index(package_of(other)), f"{name} imports {other}"


def test_no_import_leads_back() -> None:
    """No module imports itself by way of others."""
    order = TopologicalSorter({name: imports_of(file, whole=False) for name, file in modules().items()})
    order.prepare()  # raises CycleError, which names the circle


def test_only_native_knows_cffi() -> None:
    """No module outside _native touches cffi or the extension."""
    for name, file in modules().items():
        if not name.startswith("_native"):
            text = file.read_text(encoding="utf-8")
            assert "cffi" not in text.replace("cffi layer", ""), name
            assert "_sdcpp" not in text, name


def test_pictures_are_opened_in_one_place() -> None:
    """No module but image_files has Pillow open a file, so that none forgets what must not be opened."""
    openers = {name for name, file in modules().items() if "Image.open(" in file.read_text(encoding="utf-8")}
    assert openers == {"image_files"}


def test_modules_and_functions_are_small() -> None:
    """A module has 330 lines at the very most, a function about 40 beyond its docstring and arguments."""
    for name, file in modules().items():
        text = file.read_text(encoding="utf-8")
        assert len(text.splitlines()) <= 330, name
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef):
                first = node.body[1] if ast.get_docstring(node) and len(node.body) > 1 else node.body[0]
                assert (node.end_lineno or 0) - first.lineno < 45, f"{name}.{node.name}"


def test_no_room_for_odds_and_ends() -> None:
    """No module is called util, helper, common or manager."""
    for name in modules():
        assert not {"util", "utils", "helper", "helpers", "common", "manager"} & set(name.split(".")), name


def test_native_layer_files_are_small() -> None:
    """A file of the native layer has 400 lines at the very most."""
    files = [file for file in (ROOT / "native").rglob("*.*") if file.suffix in (".h", ".cpp", ".py")]
    assert files
    for file in files:
        assert len(file.read_text(encoding="utf-8").splitlines()) <= 400, file.name


def test_import_leaves_heavy_modules_out(run_python: Callable[..., CompletedProcess[str]]) -> None:
    """Importing the library imports neither huggingface_hub nor cffi's compiler nor anything else that is slow."""
    heavy = ("numpy", "PIL", "huggingface_hub", "cffi", "cffi.api", "tqdm", "rich", "gguf", "safetensors", "torch")
    code = f"import sys, sdcpp_py; print([m for m in sys.modules if m in {heavy!r}])"
    result = run_python(code)
    assert result.stdout.strip() == "[]", result.stderr


def test_import_is_quick(run_python: Callable[..., CompletedProcess[str]]) -> None:
    """Importing the library takes under 0.2 s of the CPU, the best of five tries in new processes."""
    code = "import time; t = time.process_time(); import sdcpp_py; print(time.process_time() - t)"
    tries = [float(run_python(code).stdout) for _ in range(5)]
    assert min(tries) < 0.2, tries


def test_everything_public_is_listed_once_and_documented() -> None:
    """``__all__`` names everything public once, and everything in it has a docstring."""
    assert len(sdcpp_py.__all__) == len(set(sdcpp_py.__all__))
    errors = {name for name, thing in vars(sdcpp_py.errors).items() if isinstance(thing, type)}
    assert errors <= set(sdcpp_py.__all__)
    imports = [
        node for node in ast.walk(ast.parse(Path(sdcpp_py.__file__).read_text())) if isinstance(node, ast.ImportFrom)
    ]
    ours = [node for node in imports if (node.module or "").startswith("sdcpp_py")]
    assert {alias.name for node in ours for alias in node.names} == set(sdcpp_py.__all__)
    for name in sdcpp_py.__all__:
        thing = getattr(sdcpp_py, name)
        if callable(thing):
            assert thing.__doc__, name
