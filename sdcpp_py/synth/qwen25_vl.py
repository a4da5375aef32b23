"""Qwen2.5-VL without its eyes: the text encoder's tensors, named and mixed as llama.cpp's quantizer does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from sdcpp_py.synth.qwen3 import mix, output_type
from sdcpp_py.synth.tensors import Tensor, constant, linear, matrix

_HEADS, _KV_HEADS, _HEAD = 28, 4, 128  # the engine has them fixed
_VOCABULARY = 152064  # the tokenizer is the engine's own, so every size of encoder needs all of its tokens


@dataclass(frozen=True)
class Qwen25VL:
    """Sizes of a Qwen2.5-VL.

    Attributes:
        hidden: width.
        layers: how many.
        ffn: inner width of the feed-forward layers.
    """

    hidden: int
    layers: int
    ffn: int

    @property
    def metadata(self) -> Mapping[str, int | float]:
        """GGUF's keys that describe these sizes to llama.cpp; the engine reads the tensors alone."""
        return {
            "qwen2vl.block_count": self.layers,
            "qwen2vl.context_length": 128000,
            "qwen2vl.embedding_length": self.hidden,
            "qwen2vl.feed_forward_length": self.ffn,
            "qwen2vl.attention.head_count": _HEADS,
            "qwen2vl.attention.head_count_kv": _KV_HEADS,
            "qwen2vl.attention.layer_norm_rms_epsilon": 1e-6,
            "qwen2vl.rope.freq_base": 1e6,
        }

    def tensors(self, quant: str) -> Iterator[Tensor]:
        """All tensors in the file's order."""
        yield matrix("output.weight", _VOCABULARY, self.hidden, output_type(quant))
        yield constant("output_norm.weight", self.hidden, value=1.0)
        yield matrix("token_embd.weight", _VOCABULARY, self.hidden, quant)
        for index in range(self.layers):
            yield from self._layer(index, quant)

    def _layer(self, index: int, quant: str) -> Iterator[Tensor]:
        prefix, hidden = f"blk.{index}", self.hidden
        queries, keys = _HEADS * _HEAD, _KV_HEADS * _HEAD
        value, output, down = mix(quant, index, self.layers)
        yield constant(f"{prefix}.attn_norm.weight", hidden, value=1.0)
        yield from linear(f"{prefix}.attn_q", queries, hidden, quant)
        yield from linear(f"{prefix}.attn_k", keys, hidden, quant)
        yield from linear(f"{prefix}.attn_v", keys, hidden, value)
        yield matrix(f"{prefix}.attn_output.weight", hidden, queries, output)
        yield constant(f"{prefix}.ffn_norm.weight", hidden, value=1.0)
        yield matrix(f"{prefix}.ffn_gate.weight", self.ffn, hidden, quant)
        yield matrix(f"{prefix}.ffn_up.weight", self.ffn, hidden, quant)
        yield matrix(f"{prefix}.ffn_down.weight", hidden, self.ffn, down)
