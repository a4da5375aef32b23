"""Layouts as trainers publish them: other names, or every tensor in one type."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from sdcpp_py.synth.tensors import Layout, Tensor


@dataclass(frozen=True)
class Recast:
    """A layout with every tensor, norms and biases too, in one type: half-precision originals and FP8 files.

    Attributes:
        layout: the names and shapes.
        type: "F16", "BF16", "F8_E4M3" or "F32".
    """

    layout: Layout
    type: str

    def tensors(self, quant: str) -> Iterator[Tensor]:
        """All tensors in the file's order. ``quant`` changes nothing."""
        for tensor in self.layout.tensors("F32"):
            yield replace(tensor, type=self.type)
