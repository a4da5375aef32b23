"""Tables on terminals and in pipes."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdcpp_py.cli.screen import Column, _broken, _pieces, plain_table
from sdcpp_py.models.bundled import TINY, bundled_files
from tests.support.patience import PATIENCE
from tests.support.terminals import written_to_terminal

ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
COLOUR = re.compile(r"\x1b\[(?:\d+;)*(?:3[0-7]|38;[0-9;]+|9[0-7])m")
COMMANDS = [
    ["models"],
    ["doctor"],
    ["plan", "--device", "cpu"],
    ["fit", "tiny", "--sizes", "96,128", "--device", "cpu", "--memory", "1GiB"],
    ["inspect", str(bundled_files(TINY).vae), str(bundled_files(TINY).text_encoder)],
]


def command(arguments: list[str]) -> list[str]:
    return [sys.executable, "-m", "sdcpp_py", *arguments]


@pytest.mark.sample(1)
@pytest.mark.parametrize("columns", [60, 80])
@pytest.mark.parametrize("arguments", COMMANDS, ids=lambda words: words[0])
def test_no_line_is_wider_than_the_terminal(arguments: list[str], columns: int, tmp_path: Path) -> None:
    """A table folds its cells, or becomes a list, so that the terminal need break no line of it."""
    code, shown = written_to_terminal(command(arguments), columns, tmp_path)
    lines = ESCAPE.sub("", shown).splitlines()
    assert (code, [line for line in lines if len(line) > columns]) == (0, [])
    assert ESCAPE.search(shown), "a terminal gets colours"


@pytest.mark.sample(1)
@pytest.mark.parametrize("arguments", COMMANDS, ids=lambda words: words[0])
def test_no_color_is_respected(arguments: list[str], tmp_path: Path) -> None:
    """With NO_COLOR set, nothing has a colour."""
    assert COLOUR.search(written_to_terminal(command(arguments), 80, tmp_path)[1])
    assert not COLOUR.search(written_to_terminal(command(arguments), 80, tmp_path, environment={"NO_COLOR": "1"})[1])


@pytest.mark.sample(1)
@pytest.mark.parametrize("arguments", [["models"], ["inspect", str(bundled_files(TINY).vae)]], ids=lambda w: w[0])
def test_a_dumb_terminal_and_a_pipe_get_plain_text(arguments: list[str], tmp_path: Path) -> None:
    """Where no escape codes are understood, there are none, and every row is one line."""
    code, shown = written_to_terminal(command(arguments), 60, tmp_path, environment={"TERM": "dumb"})
    piped = subprocess.run(command(arguments), capture_output=True, text=True, cwd=tmp_path, timeout=PATIENCE)
    assert (code, shown) == (0, piped.stdout)
    assert not ESCAPE.search(shown)


@given(st.lists(st.tuples(*[st.text("abc é", min_size=1, max_size=9).filter(str.strip)] * 3), min_size=1, max_size=5))
def test_columns_of_plain_text_stand_below_each_other(rows: list[tuple[str, ...]]) -> None:
    """Every cell begins, or in a column of numbers ends, where its heading does."""
    lines = plain_table([Column("name"), Column("number", right=True), Column("what")], rows).splitlines()
    numbers_end, last_begins = lines[0].index("number") + len("number"), lines[0].index("what")
    for line, (name, number, what) in zip(lines[1:], rows, strict=True):
        assert line.startswith(name)
        assert line[:numbers_end].endswith(number)
        assert line[last_begins:] == what.rstrip()


@given(st.text("ab-_/, ", max_size=60), st.integers(1, 20))
def test_a_long_cell_is_broken_between_words_and_parts_of_names(text: str, width: int) -> None:
    """No line is longer than the width, nothing but spaces is lost, and a part is cut only where it must be."""
    lines = _broken(text, width).split("\n")
    assert max(map(len, lines)) <= width
    assert "".join("".join(lines).split()) == "".join(text.split())
    if all(len(piece.rstrip()) <= width for piece in _pieces(text)):
        pieces = [piece.rstrip() for piece in _pieces(text)]
        assert all(line.endswith(tuple(piece for piece in pieces if piece)) for line in lines if line)


def test_names_in_a_narrow_table_are_not_cut(tmp_path: Path) -> None:
    """At 60 columns, each model's name stands whole in a line or is broken after a hyphen."""
    code, shown = written_to_terminal(command(["models"]), 60, tmp_path)
    assert code == 0
    text = ESCAPE.sub("", shown)
    for name in ("flux2-klein-4b", "flux2-klein-base-9b", "twinflow-z-image-turbo"):
        assert re.search(name.replace("-", r"-(?:[^\n]*\n *)?"), text), name
