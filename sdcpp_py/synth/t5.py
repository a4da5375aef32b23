"""T5's encoder: tensors in their original names, or in those of llama.cpp's GGUF files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sdcpp_py.synth.tensors import Tensor, constant, matrix

_VOCABULARY = 32128  # the tokenizer is the engine's own, so every size of encoder needs all of its tokens
_HEAD = 64
_BUCKETS = 32  # of distances between tokens

# llama.cpp's name of a part -> its original name, which follows "encoder.block.N.".
_ORIGINAL = {
    "attn_norm": "layer.0.layer_norm",
    "attn_q": "layer.0.SelfAttention.q",
    "attn_k": "layer.0.SelfAttention.k",
    "attn_v": "layer.0.SelfAttention.v",
    "attn_o": "layer.0.SelfAttention.o",
    "attn_rel_b": "layer.0.SelfAttention.relative_attention_bias",
    "ffn_norm": "layer.1.layer_norm",
    "ffn_gate": "layer.1.DenseReluDense.wi_0",
    "ffn_up": "layer.1.DenseReluDense.wi_1",
    "ffn_down": "layer.1.DenseReluDense.wo",
}


@dataclass(frozen=True)
class T5:
    """Sizes of a T5 encoder. The engine has those of T5-XXL fixed: 4096, 24, 10240.

    Attributes:
        hidden: width, 64 for every head.
        layers: how many.
        ffn: inner width of the feed-forward layers.
        original: whether the names are the original ones.
        twice: whether the table of tokens is there a second time under the encoder's own name, as in the file that
            ComfyUI's users have.
    """

    hidden: int
    layers: int
    ffn: int
    original: bool = False
    twice: bool = False

    def tensors(self, quant: str) -> Iterator[Tensor]:
        """All tensors in the file's order."""
        table = "shared" if self.original else "token_embd"
        yield matrix(f"{table}.weight", _VOCABULARY, self.hidden, quant)
        if self.twice:
            yield matrix("encoder.embed_tokens.weight", _VOCABULARY, self.hidden, quant)
        for index in range(self.layers):
            yield from self._layer(index, quant)
        final = "encoder.final_layer_norm" if self.original else "enc.output_norm"
        yield constant(f"{final}.weight", self.hidden, value=1.0)

    def _layer(self, index: int, type_: str) -> Iterator[Tensor]:
        hidden, ffn = self.hidden, self.ffn
        yield constant(self._name(index, "attn_norm"), hidden, value=1.0)
        for projection in ("attn_q", "attn_k", "attn_v", "attn_o"):
            yield matrix(self._name(index, projection), hidden, hidden, type_)
        if index == 0:
            yield Tensor(self._name(index, "attn_rel_b"), (_BUCKETS, hidden // _HEAD), "F32", 1.0)
        yield constant(self._name(index, "ffn_norm"), hidden, value=1.0)
        yield matrix(self._name(index, "ffn_gate"), ffn, hidden, type_)
        yield matrix(self._name(index, "ffn_up"), ffn, hidden, type_)
        yield matrix(self._name(index, "ffn_down"), hidden, ffn, type_)

    def _name(self, index: int, part: str) -> str:
        if self.original:
            return f"encoder.block.{index}.{_ORIGINAL[part]}.weight"
        return f"enc.blk.{index}.{part}.weight"
