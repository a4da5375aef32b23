"""A command line as people paste it, in words: of any shell, over several lines, with any program before it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from sdcpp_py.errors import SettingsError

# What ends a line that goes on: in sh, in cmd and in PowerShell.
_CONTINUED = re.compile(r"[\\^`][ \t]*\r?\n[ \t]*")
# A backslash before anything else is one: the paths of Windows have them.
_ESCAPED = " \t\"'\\$`&();<>|*?#"
_ESCAPED_IN_QUOTES = '"\\$`'


def sd_cli_arguments(words: Sequence[str]) -> list[str]:
    """The arguments in a command line of sd-cli, without the program's name.

    Args:
        words: the command line in words, or all of it in one.

    Raises SettingsError where a quote is not closed, or there is nothing.
    """
    found = split(words[0]) if len(words) == 1 and re.search(r"\s", words[0]) else list(words)
    if found and not found[0].startswith("-"):
        found = found[1:]
    if not found:
        raise SettingsError(
            "there are no options; give a command as in: sdcpp-py from-sd-cli -- sd-cli -m FILE -p 'a cat'"
        )
    return found


def split(text: str) -> list[str]:
    """The words of a command line, quotes and escapes taken away. Raises SettingsError where a quote is not closed."""
    words: list[str] = []
    word: str | None = None
    place = 0
    while place < len(text):
        letter = text[place]
        continued = _CONTINUED.match(text, place)
        if continued:
            place = continued.end()
            if word is not None:
                words, word = [*words, word], None
        elif letter.isspace():
            if word is not None:
                words, word = [*words, word], None
            place += 1
        elif letter in "\"'":
            inside, place = _quoted(text, place)
            word = (word or "") + inside
        else:
            escaped = letter == "\\" and text[place + 1 : place + 2] in tuple(_ESCAPED)
            word = (word or "") + text[place + escaped]
            place += 1 + escaped
    return words if word is None else [*words, word]


def _quoted(text: str, start: int) -> tuple[str, int]:
    """What stands in the quotes that begin at a place, and the place behind them."""
    quote, place, inside = text[start], start + 1, ""
    while place < len(text) and text[place] != quote:
        escaped = quote == '"' and text[place] == "\\" and text[place + 1 : place + 2] in tuple(_ESCAPED_IN_QUOTES)
        inside += text[place + escaped]
        place += 1 + escaped
    if place >= len(text):
        raise SettingsError(f"a quote ({quote}) in the command is not closed; put the whole command into other quotes")
    return inside, place + 1
