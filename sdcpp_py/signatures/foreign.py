"""What people type who come from other programs, and what to type here instead.

``arguments`` and ``members`` are the table. Nothing here is understood in silence: the words of others raise the error
that Python would raise, with the answer behind it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from sdcpp_py.signatures.arguments import ARGUMENTS, Answer
from sdcpp_py.signatures.members import ON_GENERATOR, ON_PICTURES

__all__ = ["ARGUMENTS", "ON_GENERATOR", "ON_PICTURES", "Answer", "answer", "answering", "no_attribute"]

_Class = TypeVar("_Class", bound=type)
_MEMBERS = {"Generator": ON_GENERATOR, "GeneratedImage": ON_PICTURES, "GeneratedImages": ON_PICTURES}


def answer(name: str, known: list[str], elsewhere: dict[str, list[str]]) -> str:
    """What an argument of another program is here, as the end of a message; "" where nothing is known of it.

    Args:
        name: what was given.
        known: the arguments of the function that was called.
        elsewhere: those of others, by the functions' names.
    """
    found = ARGUMENTS.get(name, Answer(name))
    place = ""
    if found.ours and found.ours not in known:
        owners = [function for function, names in elsewhere.items() if found.ours in names]
        owner = min(owners, key=lambda function: not function.startswith("Generator"), default="")
        if not owner and found.ours == name:
            return ""
        place = f" of {owner}()" if owner else ""
    if not found.ours:
        return f"; {found.note}"
    said = f"it is an argument{place}" if found.ours == name else f"it is '{found.ours}'{place} here"
    return f"; {said}" + (f": {found.note}" if found.note else "")


def no_attribute(owner: str, name: str) -> AttributeError:
    """The error for an attribute that a class lacks, with what to type where another program has it."""
    note = _MEMBERS.get(owner, {}).get(name, "")
    return AttributeError(f"'{owner}' object has no attribute '{name}'" + (f"; {note}" if note else ""))


def answering(kind: _Class) -> _Class:
    """The class, whose missing attributes are answered. Set here, so that type checkers go on to miss them."""

    def missing(self: object, name: str) -> object:
        raise no_attribute(kind.__name__, name)

    kind.__getattr__ = missing  # type: ignore[attr-defined]
    call = _MEMBERS[kind.__name__].get("__call__")
    if call:

        def called(self: object, *given: object, **named: object) -> object:
            raise TypeError(f"'{kind.__name__}' object is not callable; {call}")

        kind.__call__ = called  # type: ignore[method-assign]
    return kind


class ClassAnswering(type):
    """The same for what is asked of the class itself, as ``from_single_file`` of diffusers is."""

    if not TYPE_CHECKING:  # for whom a class with this function would have every attribute

        def __getattr__(cls, name: str) -> object:
            raise no_attribute(cls.__name__, name)
