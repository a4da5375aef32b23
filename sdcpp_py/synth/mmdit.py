"""Stable Diffusion 3 and 3.5: the denoiser's tensors, named as Stability AI names them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sdcpp_py.synth.tensors import Tensor, constant, convolution, fitting, linear, outside

_LATENT_CHANNELS = 16
_PATCH = 2
_TIME_CHANNELS = 256
_HEAD = 64
_CONTEXT = 4096  # T5's width; CLIP's states are padded to it
_POOLED = 768 + 1280  # CLIP-L's and CLIP-G's, side by side
_MLP_RATIO = 4


@dataclass(frozen=True)
class MMDiT:
    """Sizes of an MMDiT. Its width is 64 for every block, and it has as many heads as blocks.

    Attributes:
        depth: how many blocks; the engine takes fewer than 24 for 24.
        self_attending: how many of them, from the first on, attend to the picture alone as well: 13 in SD 3.5 medium.
            With any, the table of positions is twice as high and wide.
        normed: whether queries and keys are normalised, as in 3.5.
        positions: type of the table of positions, the largest tensor.
    """

    depth: int
    self_attending: int
    normed: bool = True
    positions: str = "F16"

    @property
    def hidden(self) -> int:
        """Width."""
        return _HEAD * self.depth

    def tensors(self, quant: str) -> Iterator[Tensor]:
        """All tensors in the file's order."""
        unquantized, hidden = outside(quant, "F16"), self.hidden
        side = 384 if self.self_attending else 192
        yield Tensor("pos_embed", (1, side * side, hidden), fitting(self.positions, hidden), 0.5)
        yield from convolution("x_embedder.proj", hidden, _LATENT_CHANNELS, unquantized, kernel=_PATCH)
        yield from linear("context_embedder", hidden, _CONTEXT, unquantized)
        yield from _embedder("t_embedder", hidden, _TIME_CHANNELS, unquantized)
        yield from _embedder("y_embedder", hidden, _POOLED, unquantized)
        for index in range(self.depth):
            last = index == self.depth - 1
            yield from self._block(f"joint_blocks.{index}.context_block", quant, before_only=last)
            yield from self._block(f"joint_blocks.{index}.x_block", quant, attends=index < self.self_attending)
        yield from linear("final_layer.linear", _PATCH * _PATCH * _LATENT_CHANNELS, hidden, unquantized)
        yield from linear("final_layer.adaLN_modulation.1", 2 * hidden, hidden, unquantized)

    def _block(self, prefix: str, type_: str, *, before_only: bool = False, attends: bool = False) -> Iterator[Tensor]:
        """One stream of a block; the last of the text goes no further than its attention (``before_only``)."""
        hidden, inner = self.hidden, _MLP_RATIO * self.hidden
        for attention in ("attn", "attn2") if attends else ("attn",):
            yield from linear(f"{prefix}.{attention}.qkv", 3 * hidden, hidden, type_)
            if not before_only:
                yield from linear(f"{prefix}.{attention}.proj", hidden, hidden, type_)
            if self.normed:
                yield constant(f"{prefix}.{attention}.ln_q.weight", _HEAD, value=1.0)
                yield constant(f"{prefix}.{attention}.ln_k.weight", _HEAD, value=1.0)
        if not before_only:
            yield from linear(f"{prefix}.mlp.fc1", inner, hidden, type_)
            yield from linear(f"{prefix}.mlp.fc2", hidden, inner, type_)
        modulations = 2 if before_only else 9 if attends else 6
        yield from linear(f"{prefix}.adaLN_modulation.1", modulations * hidden, hidden, type_)


def _embedder(name: str, hidden: int, inputs: int, type_: str) -> Iterator[Tensor]:
    yield from linear(f"{name}.mlp.0", hidden, inputs, type_)
    yield from linear(f"{name}.mlp.2", hidden, hidden, type_)
