"""The commands that the README shows, as a reader would type them."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

README = Path(__file__).parents[2] / "README.md"


def commands(text: str) -> list[list[str]]:
    """Every ``sdcpp-py`` command of a document, once: in blocks that are no Python, and between backquotes."""
    blocks = re.findall(r"^```(?!python)\w*\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    found = [match[1] for line in lines if (match := re.search(r"(?:^|&& )(sdcpp-py .*)", line))]
    found += [" ".join(text.split()) for text in re.findall(r"`(sdcpp-py [^`]+)`", prose)]
    return [list(one) for one in dict.fromkeys(tuple(shlex.split(line, comments=True)) for line in found)]
