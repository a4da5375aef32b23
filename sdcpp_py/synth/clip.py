"""CLIP's text encoders: tensors in the names of transformers, or in those of OpenCLIP."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sdcpp_py.synth.tensors import Tensor, constant, fitting, linear, matrix, norm

_VOCABULARY = 49408  # the tokenizer is the engine's own, so every size of encoder needs all of its tokens
_POSITIONS = 77


@dataclass(frozen=True)
class Clip:
    """Sizes of a CLIP text encoder.

    The engine has them fixed: CLIP-L is 768 wide with 12 layers, the CLIP-H of Stable Diffusion 2 1024 with 24, and
    CLIP-G 1280 with 32.

    Attributes:
        hidden: width, 64 for every head.
        layers: how many.
        ffn: inner width of the feed-forward layers.
        projected: whether the pooled state is projected, as CLIP-G's is.
        table: type of the table of tokens; "" for the quantization's.
        prefix: what names start with in a whole checkpoint.
    """

    hidden: int
    layers: int
    ffn: int
    projected: bool = False
    table: str = ""
    prefix: str = ""

    def tensors(self, quant: str) -> Iterator[Tensor]:
        """All tensors in the file's order."""
        hidden, model = self.hidden, f"{self.prefix}text_model"
        yield self._table(f"{model}.embeddings.token_embedding.weight", quant)
        yield _positions(f"{model}.embeddings.position_embedding.weight", hidden)
        for index in range(self.layers):
            layer = f"{model}.encoder.layers.{index}"
            for projection in ("q_proj", "k_proj", "v_proj", "out_proj"):
                yield from linear(f"{layer}.self_attn.{projection}", hidden, hidden, quant)
            yield from norm(f"{layer}.layer_norm1", hidden)
            yield from linear(f"{layer}.mlp.fc1", self.ffn, hidden, quant)
            yield from linear(f"{layer}.mlp.fc2", hidden, self.ffn, quant)
            yield from norm(f"{layer}.layer_norm2", hidden)
        yield from norm(f"{model}.final_layer_norm", hidden)
        if self.projected:
            yield matrix(f"{self.prefix}text_projection.weight", hidden, hidden, "F16")

    def _table(self, name: str, quant: str) -> Tensor:
        return Tensor(name, (_VOCABULARY, self.hidden), fitting(self.table or quant, self.hidden), 0.5)


@dataclass(frozen=True)
class OpenClip(Clip):
    """The same sizes in OpenCLIP's names, where queries, keys and values are one matrix."""

    def tensors(self, quant: str) -> Iterator[Tensor]:
        """All tensors in the file's order."""
        hidden, model = self.hidden, f"{self.prefix}model"
        yield _positions(f"{model}.positional_embedding", hidden)
        yield self._table(f"{model}.token_embedding.weight", quant)
        for index in range(self.layers):
            layer = f"{model}.transformer.resblocks.{index}"
            yield matrix(f"{layer}.attn.in_proj_weight", 3 * hidden, hidden, quant)
            yield constant(f"{layer}.attn.in_proj_bias", 3 * hidden)
            yield from linear(f"{layer}.attn.out_proj", hidden, hidden, quant)
            yield from norm(f"{layer}.ln_1", hidden)
            yield from linear(f"{layer}.mlp.c_fc", self.ffn, hidden, quant)
            yield from linear(f"{layer}.mlp.c_proj", hidden, self.ffn, quant)
            yield from norm(f"{layer}.ln_2", hidden)
        yield from norm(f"{model}.ln_final", hidden)
        if self.projected:
            yield matrix(f"{model}.text_projection", hidden, hidden, "F16")


def _positions(name: str, hidden: int) -> Tensor:
    return Tensor(name, (_POSITIONS, hidden), "F32", 0.1)
