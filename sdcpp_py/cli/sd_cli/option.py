"""What becomes of an option of sd-cli here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

Words = list[tuple[str, str | None]]
"""Options of ``generate`` with their values; None for one that takes none."""


class Outcome(Enum):
    """What becomes of it; the value is what the documents call that."""

    SAME = "the same"
    RENAMED = "another name or form"
    NO_EFFECT = "no effect"
    REFUSED = "refused"


@dataclass(frozen=True)
class SdOption:
    """An option of sd-cli.

    Attributes:
        names: as sd-cli has them, the long one last.
        outcome: what becomes of it here.
        why: what it is called here, why it is not needed, or what to do instead; the end of a sentence that begins
            with the option's name and a colon.
        takes_value: whether a value follows.
        words: what its value is in options of ``generate``. Raises SettingsError where there is nothing to say for it.
        joined: whether the values of several are one list with commas.
    """

    names: tuple[str, ...]
    outcome: Outcome
    why: str
    takes_value: bool
    words: Callable[[str], Words]
    joined: bool = False

    @property
    def name(self) -> str:
        """The long name."""
        return self.names[-1]


def _nothing(_: str) -> Words:
    return []


def _row(names: str, outcome: Outcome, why: str, words: Callable[[str], Words], joined: bool = False) -> SdOption:
    """From names as in a help text: "-m --model VALUE"."""
    *spellings, last = names.split()
    takes_value = last == "VALUE"
    if not takes_value:
        spellings.append(last)
    return SdOption(tuple(spellings), outcome, why, takes_value, words, joined)


def same(*options: str) -> list[SdOption]:
    """Options that ``generate`` has under the same names."""

    def row(names: str) -> SdOption:
        long = names.removesuffix(" VALUE").split()[-1]
        takes_value = names.endswith(" VALUE")
        return _row(names, Outcome.SAME, long, lambda value: [(long, value if takes_value else None)])

    return [row(names) for names in options]


def renamed(names: str, why: str, words: Callable[[str], Words] | str, *, joined: bool = False) -> list[SdOption]:
    """An option that has another name here, or a value of another form. ``words`` may be that name."""
    if isinstance(words, str):
        name = words
        return [_row(names, Outcome.RENAMED, why, lambda value: [(name, value)], joined)]
    return [_row(names, Outcome.RENAMED, why, words, joined)]


def without_effect(why: str, *options: str) -> list[SdOption]:
    """Options that are not needed here."""
    return [_row(names, Outcome.NO_EFFECT, why, _nothing) for names in options]


def refused(why: str, *options: str) -> list[SdOption]:
    """Options that ask for what there is not, or not by that name."""
    return [_row(names, Outcome.REFUSED, why, _nothing) for names in options]
