"""The table of docs/coming-from/sd-cli.md. `python -m tests.support.sd_cli_table` in the root writes it anew."""

from __future__ import annotations

from pathlib import Path

from sdcpp_py.cli.sd_cli.option import Outcome
from sdcpp_py.cli.sd_cli.table import TABLE

from .made_pages import filled, rows

PAGE = Path(__file__).parents[2] / "docs/coming-from/sd-cli.md"


def of(outcome: Outcome) -> str:
    """The options that have one outcome: those with the same reason in one line."""
    answers = [
        (" ".join(f"`{name}`" for name in option.names), option.why) for option in TABLE if option.outcome is outcome
    ]
    if outcome is Outcome.SAME:
        return ", ".join(names for names, _ in answers)
    return "\n".join(["| sd-cli | here |", "| --- | --- |", *rows(answers)])


def page(text: str) -> str:
    """The page with its tables made anew."""
    return filled(text, {outcome.name.lower(): of(outcome) for outcome in Outcome})


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
