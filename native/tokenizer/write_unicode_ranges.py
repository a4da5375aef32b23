"""Writes `unicode_ranges.h`: which code points are letters, which are numbers, and what is a letter in lower case.

All as Python's own Unicode tables say.
"""

from __future__ import annotations

import sys
import unicodedata
from pathlib import Path


def ranges(category: str) -> list[tuple[int, int]]:
    """The first and last code point of each run whose general category begins with ``category``."""
    found: list[tuple[int, int]] = []
    for point in range(sys.maxunicode + 1):
        if unicodedata.category(chr(point))[0] == category:
            if found and found[-1][1] == point - 1:
                found[-1] = (found[-1][0], point)
            else:
                found.append((point, point))
    return found


def table(name: str, category: str) -> str:
    """A C++ array of the ranges, four to a line."""
    entries = [f"{{0x{first:04X}, 0x{last:04X}}}," for first, last in ranges(category)]
    lines = ["    " + " ".join(entries[place : place + 4]) for place in range(0, len(entries), 4)]
    return f"inline constexpr CodePointRange {name}[] = {{\n" + "\n".join(lines) + "\n};\n"


def lower_case_ranges() -> list[tuple[int, int, int, int]]:
    """First and last code point, step and distance to the lower case, of capitals that are evenly spaced."""
    found: list[tuple[int, int, int, int]] = []
    for point in range(sys.maxunicode + 1):
        lower = chr(point).lower()
        if len(lower) > 1:  # native/tokenizer/prompt_words.cpp knows this one
            assert point == 0x130
            continue
        distance = ord(lower) - point
        if not distance:
            continue
        if found:
            first, last, step, before = found[-1]
            gap = point - last
            if distance == before and gap == (gap if first == last and gap <= 2 else step):
                found[-1] = (first, point, gap, distance)
                continue
        found.append((point, point, 1, distance))
    return found


def lower_case_table() -> str:
    """A C++ array of these, three to a line."""
    entries = [
        f"{{0x{first:04X}, 0x{last:04X}, {step}, {distance}}}," for first, last, step, distance in lower_case_ranges()
    ]
    lines = ["    " + " ".join(entries[place : place + 3]) for place in range(0, len(entries), 3)]
    return "inline constexpr LowerCaseRange lower_case_ranges[] = {\n" + "\n".join(lines) + "\n};\n"


def main(output: Path) -> None:
    """Writes the header."""
    output.write_text(
        f"// Written by write_unicode_ranges.py from Unicode {unicodedata.unidata_version}.\n"
        "#pragma once\n\n"
        "namespace sdpy {\n\nstruct CodePointRange {\n    char32_t first, last;\n};\n\n"
        "// Every `step`th character from `first` to `last` has its lower case at that distance.\n"
        "struct LowerCaseRange {\n    char32_t first, last;\n    int step, distance;\n};\n\n"
        f"// General category L.\n{table('letter_ranges', 'L')}\n"
        f"// General category N.\n{table('number_ranges', 'N')}\n"
        f"// In the order of `first`.\n{lower_case_table()}\n"
        "}  // namespace sdpy\n",
        encoding="utf-8",
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
