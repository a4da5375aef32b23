"""What people see on a terminal, and what programs read from a pipe: tables as both, from the same rows.

A terminal gets rich's tables, which fold to its width and have colours unless NO_COLOR is set. Everything else gets
plain text in columns. rich is imported for a terminal alone: it takes longer than the rest of a short command.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

_GAP = "  "
_NARROW = 72
_HEADING = 24
# A word of so many letters, as the name of a quantization, is not broken.
_SHORT = 12
_WORDS = re.compile(r"\s*\S+\s*|\s+")
_PARTS = re.compile(r"[^\s_/,-]*(?:[_/,-]+\s*|\s+|$)")
# All control characters but line break and tab, and those that turn the direction of writing.
_COMMANDS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        heading: of the column; a table whose headings are all empty is shown without them.
        right: whether its cells stand at the right, as numbers do.
        folds: whether a narrow terminal may break its cells into lines.
        style: its colour on a terminal, as rich calls it.
        least: characters that it has at least as plain text.
    """

    heading: str = ""
    right: bool = False
    folds: bool = False
    style: str = ""
    least: int = 0


def on_terminal(stream: Any) -> bool:
    """Whether a stream is a terminal that can do more than write lines."""
    return stream is not None and stream.isatty() and os.environ.get("TERM") not in ("dumb", "unknown")


def harmless(text: object) -> str:
    """Text from a file, to be shown: what would command the terminal is shown as an escape."""
    return _COMMANDS.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), str(text))


def console_on(stream: Any) -> Console:
    """Rich's console on a terminal. Text is shown as it is: no markup, no smileys, no guessed colours."""
    from rich.console import Console

    return Console(file=stream, force_terminal=True, markup=False, emoji=False, highlight=False)


def show_table(columns: Sequence[Column], rows: Iterable[Sequence[str]]) -> None:
    """Prints a table to standard output, in the form that suits it; cells may be text of files."""
    rows = [[harmless(cell) for cell in row] for row in rows]
    if not on_terminal(sys.stdout):
        print(plain_table(columns, rows))
        return
    console = console_on(sys.stdout)
    # Columns of a few letters are harder to read than lines; columns that stand close, easier.
    for gap in (2, 1) if console.width >= _NARROW else (1,):
        widths = _widths(columns, rows, console.width - gap * (len(columns) - 1))
        if widths is not None or not rows:
            console.print(_rich_table(columns, rows, gap, widths or [console.width] * len(columns)))
            return
    console.print(_rich_list(columns, rows))


def show_text(text: str, style: str = "") -> None:
    """Prints a line beside a table; a terminal breaks it between words. ``style`` is as rich calls it."""
    if on_terminal(sys.stdout):
        console_on(sys.stdout).print(harmless(text), style=style or None)
    else:
        print(harmless(text))


def show_heading(text: str) -> None:
    """Prints a line that stands above a table."""
    show_text(text, "bold")


def plain_table(columns: Sequence[Column], rows: Iterable[Sequence[str]]) -> str:
    """The table as text, a line for each row."""
    headings = [column.heading for column in columns]
    lines = [headings, *rows] if any(headings) else list(rows)
    widths = [max([column.least, *(len(line[i]) for line in lines)]) for i, column in enumerate(columns)]
    return "\n".join(
        _GAP.join(
            cell.rjust(width) if column.right else cell.ljust(width)
            for cell, width, column in zip(line, widths, columns, strict=True)
        ).rstrip()
        for line in lines
    )


def _pieces(text: str) -> list[str]:
    """What may stand on lines of its own: words, and the parts of long ones ("flux-", "non-", "commercial")."""
    pieces = []
    for word in _WORDS.findall(text):
        pieces += _PARTS.findall(word) if len(word.rstrip()) > _SHORT else [word]
    return pieces


def _broken(text: str, width: int) -> str:
    """A text in lines that are no longer than a width; only a piece that is longer itself is cut."""
    lines = [""]
    for piece in _pieces(text):
        if len(lines[-1]) + len(piece.rstrip()) > width:
            lines.append("")
        while len(piece.rstrip()) > width:
            lines[-1:] = [piece[:width], ""]
            piece = piece[width:]
        lines[-1] += piece
    return "\n".join(line.rstrip() for line in lines if line.strip())


def _widths(columns: Sequence[Column], rows: Sequence[Sequence[str]], most: int) -> list[int] | None:
    """How wide each column is where together they are no wider than ``most``; None where they cannot be.

    Those that fold are as wide as their heading and their longest piece at least, and share what is left beyond that.
    """
    cells = list(zip(*[[column.heading for column in columns], *rows], strict=True))
    wanted = [max(map(len, cell)) for cell in cells]
    widths = [
        max(len(here[0]), *(len(piece.rstrip()) for cell in here for piece in _pieces(cell)), 0)
        if column.folds
        else width
        for column, here, width in zip(columns, cells, wanted, strict=True)
    ]
    left = most - sum(widths)
    if left < 0:
        return None
    folding = sorted((wanted[number] - widths[number], number) for number, one in enumerate(columns) if one.folds)
    for before, (more, number) in enumerate(folding):
        given = min(more, left // (len(folding) - before))
        widths[number] += given
        left -= given
    return widths


def _rich_table(columns: Sequence[Column], rows: Iterable[Sequence[str]], gap: int, widths: Sequence[int]) -> Any:
    from rich.table import Table
    from rich.text import Text

    shown = any(column.heading for column in columns)
    table = Table(box=None, show_header=shown, padding=(0, gap, 0, 0), pad_edge=False, header_style="bold")
    for column in columns:
        justify: Any = "right" if column.right else "left"
        table.add_column(Text(column.heading), justify=justify, no_wrap=True, overflow="fold", style=column.style)
    for row in rows:
        table.add_row(*(Text(_broken(cell, width)) for cell, width in zip(row, widths, strict=True)))
    return table


def _rich_list(columns: Sequence[Column], rows: Iterable[Sequence[str]]) -> Any:
    """The rows one below the other, a line for each cell that says something."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column(max_width=_HEADING, overflow="fold")
    table.add_column(overflow="fold")
    for row in rows:
        for number, (column, cell) in enumerate(zip(columns, row, strict=True)):
            if cell:
                indent = "  " if number else ""
                table.add_row(Text(indent + column.heading, style="bold"), Text(cell, style=column.style))
    return table
