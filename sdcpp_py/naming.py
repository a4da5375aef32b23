"""What the arguments are called by whoever called: by their names in Python, by their options on the command line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

# One for each thread and task, so that a program that runs a command beside its own generating gets the names of each.
_options: ContextVar[Mapping[str, str] | None] = ContextVar("options", default=None)


def named(argument: str, value: object = None) -> str:
    """An argument as messages have to name it, with a value where one is to be advised.

    ``named("vae_tile_size", 256)`` is ``vae_tile_size=256`` in Python, ``--vae-tile-size 256`` on the command line. An
    argument that the command has no option for is called by its words.
    """
    options = _options.get()
    if options is None:
        shown = f'"{value}"' if isinstance(value, str) else value
        return argument if value is None else f"{argument}={shown}"
    option = options.get(argument, argument.replace("_", " "))
    return option if value is None else f"{option} {value}"


def excerpt(text: str, letters: int = 36) -> str:
    """The beginning of a text, in quotation marks on one line: for what has to be short."""
    return repr(text if len(text) <= letters else f"{text[: letters - 1]}…")[: letters + 4]


@contextmanager
def naming(options: Mapping[str, str] | None) -> Iterator[None]:
    """While it lasts, messages name arguments by these options; None: by their names in Python."""
    before = _options.set(options)
    try:
        yield
    finally:
        _options.reset(before)
