"""What is re-pointed in the engine, and what the documents say of it."""

from __future__ import annotations

import re
from pathlib import Path

from ..support.native_sources import sources

ROOT = Path(__file__).parents[2]
OVERRIDES = ROOT / "native" / "overrides"
# Of our own.
OURS = re.compile(r"SDPY_\w+")


def defined(folder: Path) -> set[str]:
    """The names that the files of a folder re-point."""
    found = set()
    for file in sources(folder):
        text = file.read_text(encoding="utf-8")
        found |= set(re.findall(r"^#define (\w+)(?:\([^)]*\))? +\S", text, re.MULTILINE))
    return {name for name in found if not OURS.fullmatch(name)}


def documented() -> set[str]:
    """The names in the first column of the table in docs/native.md."""
    page = (ROOT / "docs" / "native.md").read_text(encoding="utf-8")
    table = page.partition("| name in the engine | here |")[2].partition("\n\n")[0]
    names = set()
    for row in table.splitlines()[2:]:
        names |= {name.rpartition("::")[2] for name in re.findall(r"`([^`]+)`", row.split("|")[1])}
    return names


def test_each_name_that_is_re_pointed_has_a_row() -> None:
    """The table in docs/native.md names what is re-pointed, no more and no less."""
    assert documented() == defined(OVERRIDES)


def test_names_are_re_pointed_in_one_place() -> None:
    """No file outside native/overrides re-points a name of the engine: its own macros bear our prefix."""
    for folder in (ROOT / "native").iterdir():
        if folder.is_dir() and folder != OVERRIDES:
            assert not defined(folder), folder.name
