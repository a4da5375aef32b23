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
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

_GAP = "  "
_NARROW = 72
_PIECE = 12
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
    # Columns of a few letters are harder to read than lines.
    gap = 2 if console.width >= _NARROW else 1
    cells = zip(*[[column.heading for column in columns], *rows], strict=True)
    wanted = sum(max(map(partial(_least_width, column), cell)) for column, cell in zip(columns, cells, strict=True))
    if rows and wanted + gap * (len(columns) - 1) > console.width:
        console.print(_rich_list(columns, rows))
    else:
        console.print(_rich_table(columns, rows, gap))


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


def _least_width(column: Column, cell: str) -> int:
    """The characters that a cell has at least; a long word may be broken, but not into shreds."""
    return max((min(len(word), _PIECE) for word in cell.split()), default=0) if column.folds else len(cell)


def _rich_table(columns: Sequence[Column], rows: Iterable[Sequence[str]], gap: int) -> Any:
    from rich.table import Table
    from rich.text import Text

    shown = any(column.heading for column in columns)
    table = Table(box=None, show_header=shown, padding=(0, gap, 0, 0), pad_edge=False, header_style="bold")
    for column in columns:
        justify: Any = "right" if column.right else "left"
        table.add_column(
            Text(column.heading), justify=justify, no_wrap=not column.folds, overflow="fold", style=column.style
        )
    for row in rows:
        table.add_row(*map(Text, row))
    return table


def _rich_list(columns: Sequence[Column], rows: Iterable[Sequence[str]]) -> Any:
    """The rows one below the other, a line for each cell that says something."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column(max_width=_PIECE * 2, overflow="fold")
    table.add_column(overflow="fold")
    for row in rows:
        for number, (column, cell) in enumerate(zip(columns, row, strict=True)):
            if cell:
                indent = "  " if number else ""
                table.add_row(Text(indent + column.heading, style="bold"), Text(cell, style=column.style))
    return table
