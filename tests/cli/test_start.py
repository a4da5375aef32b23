"""What the command line imports before it knows what it is asked."""

from __future__ import annotations

from collections.abc import Callable
from subprocess import CompletedProcess

import pytest

HEAVY = ("numpy", "PIL", "huggingface_hub", "tqdm", "rich", "shtab", "sdcpp_py.generator", "sdcpp_py.preflight")


@pytest.mark.parametrize("arguments", [["--version"], ["--help"], ["plan", "--help"]], ids=" ".join)
def test_help_and_version_load_nothing_that_is_slow(
    run_python: Callable[..., CompletedProcess[str]], arguments: list[str]
) -> None:
    """A question that needs no model imports neither numpy nor what draws tables and pictures."""
    code = (
        f"import sys\nfrom sdcpp_py.cli import main\ntry:\n    main({arguments!r})\nexcept SystemExit:\n    pass\n"
        f"print([module for module in {HEAVY!r} if module in sys.modules])"
    )
    result = run_python(code)
    assert result.stdout.splitlines()[-1] == "[]", result.stderr


def test_a_command_is_imported_when_it_runs(run_python: Callable[..., CompletedProcess[str]]) -> None:
    """A command whose module the parser did not import does its work."""
    result = run_python("from sdcpp_py.cli import main; main(['doctor'])")
    assert "backends" in result.stdout, result.stderr
