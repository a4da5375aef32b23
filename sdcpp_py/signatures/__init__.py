"""Refusing arguments that a function does not have, with the name that was meant."""

from __future__ import annotations

import difflib
import functools
import inspect
import typing
from collections.abc import Callable, Iterable
from typing import ParamSpec, TypeVar

_P = ParamSpec("_P")
_R = TypeVar("_R")
# The arguments of every function that is checked: a name that one lacks may be another's.
_CHECKED: dict[str, list[str]] = {}
_OURS = __name__.partition(".")[0]


def spelt_out(names: Iterable[str], kind: type, **defaults: object) -> Callable[[Callable[_P, _R]], Callable[_P, _R]]:
    """Puts keyword arguments that a function takes as ``**more`` into its signature, so that ``help`` shows them.

    Args:
        names: which of them.
        kind: the TypedDict that has their types.
        defaults: of those whose default is another than None, which means that they were not given.
    """

    def spell(function: Callable[_P, _R]) -> Callable[_P, _R]:
        own = inspect.signature(function)
        plain = [one for one in own.parameters.values() if one.kind is not inspect.Parameter.VAR_KEYWORD]
        types = typing.get_type_hints(kind)
        more = [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=defaults.get(name), annotation=types[name])
            for name in names
        ]
        function.__signature__ = own.replace(parameters=[*plain, *more])  # type: ignore[attr-defined]
        return function

    return spell


def checked_names(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """The function, whose keyword arguments are checked before it does anything: its own signature says all of them.

    Python raises the same TypeError, but suggests what was meant only from 3.13 on.
    """
    parameters = inspect.signature(function).parameters.values()
    known = [one.name for one in parameters if one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)]
    known = [name for name in known if name not in ("self", "cls")]
    called = function.__qualname__.removesuffix(".__init__")
    if function.__module__.startswith(_OURS):
        _CHECKED[called] = known

    @functools.wraps(function)
    def checked(*arguments: _P.args, **named: _P.kwargs) -> _R:
        refuse_unknown(called, named, known)
        return function(*arguments, **named)

    return checked


def refuse_unknown(called: str, given: Iterable[str], known: Iterable[str]) -> None:
    """Raises TypeError for the first name that is not known, as Python would, with what to type instead.

    Args:
        called: the function's name in the message.
        given: the names that were given.
        known: the names that it has.
    """
    names = list(known)
    for name in given:
        if name not in names:
            hint = hint_for(name, names)
            raise TypeError(f"{called}() got an unexpected keyword argument '{name}'{hint}")


def hint_for(name: str, known: list[str]) -> str:
    """What to type instead of a name that is not known, as the end of a message: "; did you mean 'steps'?"."""
    # The tables of other programs' words are for errors alone: whoever makes none need not wait for them.
    from sdcpp_py.signatures.foreign import answer

    hint = answer(name, known, _CHECKED)
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    return hint or (f"; did you mean '{close[0]}'?" if close else f"; there are {', '.join(known)}")
