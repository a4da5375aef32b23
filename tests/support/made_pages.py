"""Pages of docs/ with parts that a command makes, between comments that name them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping


def filled(text: str, made: Mapping[str, str]) -> str:
    """A page with each part between ``<!-- name -->`` and ``<!-- end -->`` made anew."""
    return re.sub(
        rf"<!-- ({'|'.join(map(re.escape, made))}) -->.*?<!-- end -->",
        lambda found: f"<!-- {found[1]} -->\n{made[found[1]]}\n<!-- end -->",
        text,
        flags=re.DOTALL,
    )


def rows(answers: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Lines of a table of words and answers: the words of one answer together."""
    together: dict[str, list[str]] = {}
    for words, answer in answers:
        together.setdefault(answer, []).append(words)
    for answer, each in together.items():
        yield f"| {', '.join(each)} | {answer} |"
