"""A library prints nothing, whatever happens."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from sdcpp_py.synth import SyntheticSet

# Runs with the file descriptors themselves captured, so that native prints are caught as well as Python's.
PREAMBLE = """
import sys
from pathlib import Path
import sdcpp_py
from sdcpp_py import Generator, SdcppError
from sdcpp_py._native.requests import FaultRequest
files = sys.argv[1:4]
def quiet(call):
    try:
        call()
    except (SdcppError, ZeroDivisionError):
        return
"""
SCENES = {
    "drawing": "Generator(*files, device='cpu').generate('a (red:1.2) cat', width=64, height=64, steps=2)",
    "guidance and tiles": "Generator(*files, device='cpu').generate('cat', width=128, height=128, steps=2, "
    "cfg_scale=2, vae_tile_size=64)",
    "a batch": "Generator(*files, device='cpu').generate_batch('cat', count=2, width=64, height=64, steps=1)",
    "an engine's schedule": "Generator(*files, device='cpu').generate('cat', width=64, height=64, scheduler='karras')",
    "a failing load": "quiet(lambda: Generator(files[0], files[0], files[2]))",
    "a damaged file": "Path('x.gguf').write_bytes(b'GGUF' + bytes(64)); quiet(lambda: Generator('x.gguf', *files[1:]))",
    "an exception": "quiet(lambda: Generator(*files, device='cpu').generate('cat', width=64, height=64, "
    "on_progress=lambda p: 1 / 0))",
    "faults": "g = Generator(*files, device='cpu')\n"
    "for n in range(7): quiet(lambda: g._pipeline.engine.run(FaultRequest(n))); "
    "g.generate('x', width=64, height=64, steps=1)",
    "too long a prompt": "quiet(lambda: Generator(*files, device='cpu').generate('cat ' * 700))",
    "devices": "sdcpp_py.devices()",
}


@pytest.mark.sample(3)
@pytest.mark.parametrize("scene", SCENES)
def test_nothing_is_printed(model: SyntheticSet, run_python: Callable[..., CompletedProcess[str]], scene: str) -> None:
    """Neither standard output nor standard error gets a single byte."""
    result = run_python(PREAMBLE + SCENES[scene], model.diffusion_model, model.text_encoder, model.vae)
    assert result.stdout == ""
    assert result.stderr == ""
    assert result.returncode == 0


def test_the_engine_is_heard_through_logging(
    model: SyntheticSet, run_python: Callable[..., CompletedProcess[str]]
) -> None:
    """What the engine says reaches the logger "sdcpp_py" when a program listens."""
    code = (
        PREAMBLE + "import logging; logging.basicConfig(level=logging.DEBUG, format='%(name)s %(message)s')\n"
        "Generator(*files, device='cpu')"
    )
    result = run_python(code, model.diffusion_model, model.text_encoder, model.vae)
    assert "sdcpp_py" in result.stderr
    assert "Version: Z-Image" in result.stderr


def test_the_native_sources_print_nothing() -> None:
    """No file of the native layer calls a printing function, besides the one that re-points them."""
    native = Path(__file__).parent.parent / "native"
    for file in native.rglob("*.cpp"):
        text = file.read_text(encoding="utf-8")
        for call in ("printf(", "std::cout", "std::cerr", "puts("):
            assert call not in text.replace("snprintf(", ""), f"{file.name}: {call}"
