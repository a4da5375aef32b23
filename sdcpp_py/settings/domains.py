"""What values an option may have: each kind checks them, says what is wrong, and makes them plain Python values."""

from __future__ import annotations

import math
import numbers
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from sdcpp_py.errors import SettingsError
from sdcpp_py.naming import named

MIN_EDGE, MAX_EDGE = 64, 4096
"""The shortest and the longest edge of a picture, in pixels."""
EDGE_STEP = 16
"""Edges are multiples of this many pixels for every model; of more for some."""
MAX_PROMPT_CHARACTERS = 8192
RANDOM_SEED = -1
"""The seed that stands for a random one."""


class Domain(Protocol):
    """The values that an option may have. ``kind`` is their type, as a command line's text is read into it."""

    kind: ClassVar[type]

    def check(self, name: str, value: object) -> Any:
        """The value as a plain Python one. Raises SettingsError, which names option, value and what is valid."""


@dataclass(frozen=True)
class Text:
    """A prompt: what can be given to a text encoder."""

    kind: ClassVar[type] = str

    def check(self, name: str, value: object) -> str:
        """As in ``Domain``."""
        check_prompt(name, value)
        return str(value)


@dataclass(frozen=True)
class Edge:
    """An edge of a picture, in pixels."""

    kind: ClassVar[type] = int

    def check(self, name: str, value: object) -> int:
        """As in ``Domain``."""
        return check_edge(name, value, EDGE_STEP)


@dataclass(frozen=True)
class Whole:
    """A whole number from ``low`` to ``high``; or ``off``, where that is given."""

    low: int
    high: int
    off: int | None = None
    kind: ClassVar[type] = int

    def check(self, name: str, value: object) -> int:
        """As in ``Domain``."""
        whole = _whole(name, value)
        return whole if whole == self.off else check_whole(name, whole, self.low, self.high)


@dataclass(frozen=True)
class Number:
    """A number from ``low`` to ``high``, or only above ``low``; None too where it may be left to the engine."""

    low: float
    high: float
    above: bool = False
    optional: bool = False
    kind: ClassVar[type] = float

    def check(self, name: str, value: object) -> float | None:
        """As in ``Domain``."""
        if value is None and self.optional:
            return None
        number = _finite(name, value, self.low, self.high)
        if self.above and number == self.low:
            raise SettingsError(f"{named(name)} must be above {self.low:g}, to {self.high:g}; not {number:g}")
        return number


@dataclass(frozen=True)
class Seed(Whole):
    """A whole number from ``low`` to ``high``; -1 draws one at random, as in most programs."""

    def check(self, name: str, value: object) -> int:
        """As in ``Domain``."""
        return random_seed() if _whole(name, value) == RANDOM_SEED else super().check(name, value)


@dataclass(frozen=True)
class Choice:
    """One of some names; ``explained`` says what may have been meant by another, as the end of a message."""

    names: tuple[str, ...]
    explained: Callable[[str, object], str] = lambda name, value: ""
    kind: ClassVar[type] = str

    def check(self, name: str, value: object) -> str:
        """As in ``Domain``."""
        if value not in self.names:
            hint = self.explained(name, value)
            raise SettingsError(f"{named(name)} must be one of {', '.join(self.names)}; not {value!r}{hint}")
        return str(value)


def random_seed() -> int:
    """A seed in 0 .. 2**32 - 1, short enough for every other tool."""
    return int.from_bytes(os.urandom(4), "little")


def check_prompt(name: str, text: object) -> None:
    """Raises SettingsError where ``text`` cannot be given to the text encoder."""
    if not isinstance(text, str):
        several = "; generate_batch takes several" if isinstance(text, (list, tuple)) else ""
        raise SettingsError(f"{named(name)} must be a string, not {type(text).__name__}{several}")
    if len(text) > MAX_PROMPT_CHARACTERS:
        raise SettingsError(
            f"{named(name)} is {len(text):,} characters long; text encoders read some hundred tokens, "
            f"so shorten it to some 2,000 characters (the limit is {MAX_PROMPT_CHARACTERS:,})"
        )
    if "\0" in text:
        raise SettingsError(f"{named(name)} contains a NUL character at position {text.index(chr(0))}; remove it")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise SettingsError(
            f"{named(name)} contains a lone surrogate (U+{ord(text[error.start]):04X}) at position {error.start}, "
            "which is no character; it often comes from text decoded with errors='surrogateescape'"
        ) from None


def check_edge(name: str, value: object, multiple: int) -> int:
    """``value`` as an int, where a picture may have such an edge. Raises SettingsError with the nearest valid size."""
    edge = _whole(name, value)
    nearest = nearest_edge(edge, multiple)
    if edge < MIN_EDGE or edge > MAX_EDGE:
        raise SettingsError(
            f"{named(name)} must be from {MIN_EDGE} to {MAX_EDGE} pixels, not {_shown(edge)}; the nearest is {nearest}"
        )
    if edge % multiple:
        raise SettingsError(
            f"{named(name)} must be a multiple of {multiple} pixels, not {edge}; the nearest is {nearest}"
        )
    return edge


def nearest_edge(edge: int, multiple: int) -> int:
    """The edge nearest to ``edge`` that a picture may have, in pixels."""
    return min(max(round(edge / multiple) * multiple, MIN_EDGE), MAX_EDGE) if abs(edge) < 10**9 else MAX_EDGE


def check_whole(name: str, value: object, low: int, high: int) -> int:
    """``value`` as an int from ``low`` to ``high``. Raises SettingsError."""
    whole = _whole(name, value)
    if not low <= whole <= high:
        raise SettingsError(f"{named(name)} must be from {low} to {high}, not {_shown(whole)}")
    return whole


def check_one_of(name: str, value: object, allowed: Sequence[str]) -> str:
    """A value that must be one of some words. Raises SettingsError, which names them, where it is none."""
    if value not in allowed:
        raise SettingsError(f"{named(name)} is {value!r}; it must be one of: {', '.join(allowed)}")
    return str(value)


def _whole(name: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise SettingsError(f"{named(name)} must be a whole number, not {value!r}")
    return int(value)


def _shown(number: int) -> str:
    """A number in words that fit a line; Python refuses to print numbers of thousands of digits."""
    return str(number) if abs(number) < 10**30 else f"a number of {number.bit_length()} bits"


def _finite(name: str, value: object, low: float, high: float) -> float:
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise SettingsError(f"{named(name)} must be a number, not {value!r}")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number) or not low <= number <= high:
        raise SettingsError(f"{named(name)} must be from {low:g} to {high:g}, not {number}")
    return number
