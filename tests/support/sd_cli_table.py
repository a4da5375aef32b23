"""The table of docs/coming-from/sd-cli.md. `python -m tests.support.sd_cli_table` in the root writes it anew."""

from __future__ import annotations

import re
from pathlib import Path

from sdcpp_py.cli.sd_cli.option import Outcome
from sdcpp_py.cli.sd_cli.table import TABLE

PAGE = Path(__file__).parents[2] / "docs/coming-from/sd-cli.md"


def of(outcome: Outcome) -> str:
    """The options that have one outcome: those with the same reason in one line."""
    rows: dict[str, list[str]] = {}
    for option in TABLE:
        if option.outcome is outcome:
            rows.setdefault(option.why, []).append(" ".join(f"`{name}`" for name in option.names))
    if outcome is Outcome.SAME:
        return ", ".join(name for names in rows.values() for name in names)
    lines = ["| sd-cli | here |", "| --- | --- |"]
    return "\n".join([*lines, *(f"| {', '.join(names)} | {why} |" for why, names in rows.items())])


def page(text: str) -> str:
    """The page with its tables made anew."""
    for outcome in Outcome:
        name = outcome.name.lower()
        block = f"<!-- {name} -->\n{of(outcome)}\n<!-- end -->"
        text = re.sub(rf"<!-- {name} -->.*?<!-- end -->", lambda _, block=block: block, text, flags=re.DOTALL)  # type: ignore[misc]
    return text


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
