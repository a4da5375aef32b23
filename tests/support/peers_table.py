"""The tables of docs/coming-from/python.md. `python -m tests.support.peers_table` in the root writes them anew."""

from __future__ import annotations

import json
from pathlib import Path

from sdcpp_py.signatures.arguments import ARGUMENTS
from sdcpp_py.signatures.members import ON_GENERATOR

from .made_pages import filled, rows

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/coming-from/python.md"
PEERS = json.loads((ROOT / "tests/data/peer_signatures.json").read_text(encoding="utf-8"))


def of_peer(peer: str) -> str:
    """What is said of one program."""
    known = PEERS[peer]
    words = sorted({name for names in known["arguments"].values() for name in names})
    given = [(f"`{name}`", ": ".join(filter(None, (f"`{one.ours}`" * bool(one.ours), one.note))))
             for name in words if (one := ARGUMENTS.get(name))]  # fmt: skip
    called = [(f"`{name}`", ON_GENERATOR[name]) for name in known["members"] if name in ON_GENERATOR]
    lines = [f"## {peer}", "", f"Version {known['version']}.", "", "| argument | here |", "| --- | --- |"]
    # Those that have a name here come first.
    lines += rows(sorted(given, key=lambda row: not row[1].startswith("`")))
    if called:
        lines += ["", "| method or attribute | here |", "| --- | --- |", *rows(called)]
    return "\n".join(lines)


def page(text: str) -> str:
    """The page with its tables made anew."""
    made = "\n\n".join(map(of_peer, PEERS))
    return filled(text, {"peers": made})


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
