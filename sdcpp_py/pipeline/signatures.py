"""Refusing arguments that a function does not have, with the name that was meant."""

from __future__ import annotations

import difflib
import functools
import inspect
from collections.abc import Callable, Iterable
from typing import ParamSpec, TypeVar

_P = ParamSpec("_P")
_R = TypeVar("_R")


def checked_names(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """The function, whose keyword arguments are checked before it does anything: its own signature says all of them.

    Python raises the same TypeError, but suggests what was meant only from 3.13 on.
    """
    parameters = inspect.signature(function).parameters.values()
    known = [one.name for one in parameters if one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)][1:]
    called = function.__qualname__.removesuffix(".__init__")

    @functools.wraps(function)
    def checked(*arguments: _P.args, **named: _P.kwargs) -> _R:
        refuse_unknown(called, named, known)
        return function(*arguments, **named)

    return checked


def refuse_unknown(called: str, given: Iterable[str], known: Iterable[str]) -> None:
    """Raises TypeError for the first name that is not known, as Python would.

    Args:
        called: the function's name in the message.
        given: the names that were given.
        known: the names that it has.
    """
    names = list(known)
    for name in given:
        if name not in names:
            close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
            hint = f"; did you mean '{close[0]}'?" if close else f"; there are {', '.join(names)}"
            raise TypeError(f"{called}() got an unexpected keyword argument '{name}'{hint}")
