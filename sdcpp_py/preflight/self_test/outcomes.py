"""What checks of a device gave, and what follows for how it may be used."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sdcpp_py.preflight.self_test.checks import EXACT
from sdcpp_py.preflight.self_test.import_checks import IMPORTS

PICTURES, TIMING = "pictures", "timing"
"""Kinds of what is done beside single operations."""
PICTURE = "picture of the tiny model"
LARGEST_DIFFERENCE = 2.0
"""Grey levels, in the mean, that a picture may differ from the CPU's."""


@dataclass(frozen=True)
class Outcome:
    """What one check gave.

    Attributes:
        kind, name, most: as ``Check`` has them.
        error: how far off the results are; inf where there are no numbers.
        refused: why the device did not compute it; "" where it did. That is no fault: the plan asks the device too.
    """

    kind: str
    name: str
    most: float
    error: float
    refused: str = ""

    @property
    def right(self) -> bool:
        """Whether the results are as near as they should be."""
        return bool(self.refused) or self.error <= self.most

    def plain(self) -> dict[str, Any]:
        """As plain values, for JSON, which knows no inf."""
        return {**asdict(self), "error": self.error if math.isfinite(self.error) else None}

    @classmethod
    def from_plain(cls, value: dict[str, Any]) -> Outcome:
        """The outcome of plain values. Raises KeyError or TypeError where they are none."""
        error = math.inf if value["error"] is None else float(value["error"])
        return cls(value["kind"], value["name"], float(value["most"]), error, value["refused"])

    def __str__(self) -> str:
        if self.refused:
            return f"{self.name}: not computed ({self.refused})"
        if not math.isfinite(self.error):
            return f"{self.name}: no numbers come out"
        if self.kind == PICTURES:
            return f"{self.name}: {self.error:.2f} grey levels from the CPU's, of {self.most:.0f} at most"
        return f"{self.name}: off by {self.error:.2%} of {self.most:.2%} at most"


@dataclass(frozen=True)
class Findings:
    """What follows from single operations.

    Attributes:
        float32_sums: whether products are to be summed up in float32; so where ggml's own sums were not tried.
        direct, im2col: whether convolutions in one pass, and by im2col, are right.
        faults: what no way of computing avoids.
        imported: whether weights are right in memory that the device imports, and it imports some.
    """

    float32_sums: bool
    direct: bool
    im2col: bool
    faults: tuple[Outcome, ...]
    imported: bool = False


def findings(outcomes: Sequence[Outcome]) -> Findings:
    """What follows from the outcomes of single operations, and of a picture where one was drawn."""
    of = _grouped(outcomes)
    direct, im2col = (all(one.right for one in of(kind)) for kind in ("direct convolutions", "im2col convolutions"))
    unavoidable = ("products", "large sums", "others", "attention", PICTURES)
    faults = [one for kind in unavoidable for one in of(kind) if not one.right]
    if not direct and not im2col:
        faults += [one for kind in ("direct convolutions", "im2col convolutions") for one in of(kind) if not one.right]
    imports = of(IMPORTS)
    imported = bool(imports) and all(one.right and not one.refused for one in imports)
    return Findings(_rounds(of), direct, im2col, tuple(faults), imported)


def _grouped(outcomes: Sequence[Outcome]) -> Callable[[str], list[Outcome]]:
    return lambda kind: [one for one in outcomes if one.kind == kind]


def _rounds(of: Callable[[str], list[Outcome]]) -> bool:
    """Whether sums as ggml has them are worse than those in float32: less exact, or cut off without a word."""
    tried = [one for kind in ("products", "large sums", "attention") for one in of(f"rounded {kind}")]
    if not of("rounded products") or not of("rounded large sums") or not all(one.right for one in tried):
        return True
    # Only what was computed both ways says something.
    exact = {_what(one): one.error for one in (*of("products"), *of("attention")) if not one.refused}
    return any(
        one.error > max(EXACT, 2 * exact[_what(one)])
        for one in tried
        if one.kind != "rounded large sums" and not one.refused and _what(one) in exact
    )


def _what(outcome: Outcome) -> str:
    """A check's name without its last words, which say how it is summed up."""
    return outcome.name.rpartition(", ")[0]
