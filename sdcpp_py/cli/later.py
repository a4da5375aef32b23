"""Commands whose modules are imported when they run."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Callable


def later(module: str, function: str = "run") -> Callable[[argparse.Namespace], None]:
    """The function of a module of this package, which is imported when the function is called.

    Most of them take longer to import than all that ``--help`` needs.
    """

    def run(options: argparse.Namespace) -> None:
        getattr(importlib.import_module(f"sdcpp_py.cli.{module}"), function)(options)

    return run
