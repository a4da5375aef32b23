"""Chroma: FLUX.1 without CLIP, whose blocks one small network modulates in place of their own layers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sdcpp_py.synth.flux1 import LATENT_CHANNELS, blocks
from sdcpp_py.synth.tensors import Tensor, constant, linear, outside

_INDEX_CHANNELS = 64  # timestep, guidance and the place that is modulated
_LAYERS = 5


@dataclass(frozen=True)
class Chroma:
    """Sizes of a Chroma.

    Attributes:
        hidden: width, a multiple of 128.
        double, single: how many blocks of each kind: 19 and 38 at most, for the engine finds a block's modulation by
            these numbers.
        context: width of the text states, T5's.
        approximator: width of the network that modulates: the engine has 5120 fixed, and its five layers.
    """

    hidden: int
    double: int
    single: int
    context: int
    approximator: int = 5120

    def tensors(self, quant: str) -> Iterator[Tensor]:
        """All tensors in the file's order."""
        unquantized = outside(quant)
        yield from linear("img_in", self.hidden, LATENT_CHANNELS, unquantized)
        yield from linear("txt_in", self.hidden, self.context, unquantized)
        yield from self._approximator("distilled_guidance_layer", quant, unquantized)
        yield from blocks(self.hidden, self.double, self.single, quant, modulated=False)
        yield from linear("final_layer.linear", LATENT_CHANNELS, self.hidden, unquantized)

    def _approximator(self, prefix: str, type_: str, unquantized: str) -> Iterator[Tensor]:
        width = self.approximator
        yield from linear(f"{prefix}.in_proj", width, _INDEX_CHANNELS, unquantized)
        for index in range(_LAYERS):
            yield from linear(f"{prefix}.layers.{index}.in_layer", width, width, type_)
            yield from linear(f"{prefix}.layers.{index}.out_layer", width, width, type_)
            yield constant(f"{prefix}.norms.{index}.scale", width, value=1.0)
        yield from linear(f"{prefix}.out_proj", self.hidden, width, unquantized)
