"""Starting a module of this package in a Python process of its own."""

from __future__ import annotations

import os
import sys

# The first place where -c looks for modules is the current folder, where anything may lie that is called like one.
_RUN = (
    "import sys; path, name, *sys.argv[1:] = sys.argv[1:]; sys.path[:] = path.split(chr(10)); "
    "import runpy; runpy.run_module(name, run_name='__main__', alter_sys=True)"
)


def interpreter() -> str | None:
    """The program that runs Python; None where this process does not know of one.

    A frozen program has Python inside, and would start itself anew: it says by ``multiprocessing.set_executable`` which
    program to run instead.
    """
    # Not before: it takes a while.
    import multiprocessing.spawn

    executable = multiprocessing.spawn.get_executable()
    path = os.fsdecode(executable) if executable else ""
    return None if not path or (getattr(sys, "frozen", False) and path == sys.executable) else path


def module_command(module: str, *arguments: str) -> list[str] | None:
    """The command that runs a module as a program, with this process's interpreter and the places of its modules.

    None where this process does not know of an interpreter.
    """
    executable = interpreter()
    if executable is None:
        return None
    return [executable, "-c", _RUN, "\n".join(entry for entry in sys.path if entry), module, *arguments]
