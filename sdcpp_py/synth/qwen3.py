"""Qwen3: the text encoder's tensors, named and mixed as llama.cpp's quantizer does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from sdcpp_py.synth.tensors import UNQUANTIZED, Tensor, constant, matrix

_HEAD = 128
_VOCABULARY = 151936  # the tokenizer is the engine's own, so every size of encoder needs all of its tokens


@dataclass(frozen=True)
class Qwen3:
    """Sizes of a Qwen3.

    Attributes:
        hidden: width.
        layers: how many; the engine takes exactly 28 for a model of 16 heads and any other number for one of 32.
        ffn: inner width of the feed-forward layers.
        heads, kv_heads: attention heads of 128, of queries and of keys and values.
        tied: whether the table of tokens is the output layer too; 8B and larger ones have one more table.
    """

    hidden: int
    layers: int
    ffn: int
    heads: int
    kv_heads: int = 8
    tied: bool = True

    @property
    def metadata(self) -> Mapping[str, int | float]:
        """GGUF's keys that describe these sizes to llama.cpp; the engine reads the tensors alone."""
        return {
            "qwen3.block_count": self.layers,
            "qwen3.context_length": 40960,
            "qwen3.embedding_length": self.hidden,
            "qwen3.feed_forward_length": self.ffn,
            "qwen3.attention.head_count": self.heads,
            "qwen3.attention.head_count_kv": self.kv_heads,
            "qwen3.attention.key_length": _HEAD,
            "qwen3.attention.value_length": _HEAD,
            "qwen3.attention.layer_norm_rms_epsilon": 1e-6,
            "qwen3.rope.freq_base": 1e6,
        }

    def tensors(self, quant: str) -> Iterator[Tensor]:
        """All tensors in the file's order; the size is that of unsloth's files but for their header and tokenizer."""
        if not self.tied:
            yield matrix("output.weight", _VOCABULARY, self.hidden, output_type(quant))
        table = output_type(quant) if self.tied else quant
        yield matrix("token_embd.weight", _VOCABULARY, self.hidden, table)
        for index in range(self.layers):
            yield from self._layer(index, quant)
        yield constant("output_norm.weight", self.hidden, value=1.0)

    def _layer(self, index: int, quant: str) -> Iterator[Tensor]:
        prefix, hidden = f"blk.{index}", self.hidden
        queries, keys = self.heads * _HEAD, self.kv_heads * _HEAD
        value, output, down = mix(quant, index, self.layers)
        yield constant(f"{prefix}.attn_norm.weight", hidden, value=1.0)
        yield matrix(f"{prefix}.attn_q.weight", queries, hidden, quant)
        yield matrix(f"{prefix}.attn_k.weight", keys, hidden, quant)
        yield matrix(f"{prefix}.attn_v.weight", keys, hidden, value)
        yield matrix(f"{prefix}.attn_output.weight", hidden, queries, output)
        yield constant(f"{prefix}.attn_q_norm.weight", _HEAD, value=1.0)
        yield constant(f"{prefix}.attn_k_norm.weight", _HEAD, value=1.0)
        yield constant(f"{prefix}.ffn_norm.weight", hidden, value=1.0)
        yield matrix(f"{prefix}.ffn_gate.weight", self.ffn, hidden, quant)
        yield matrix(f"{prefix}.ffn_up.weight", self.ffn, hidden, quant)
        yield matrix(f"{prefix}.ffn_down.weight", hidden, self.ffn, down)


def output_type(quant: str) -> str:
    """Type of an output layer, which quantizers spare."""
    return quant if quant in (*UNQUANTIZED, "Q8_0") else "Q6_K"


def mix(quant: str, index: int, layers: int) -> tuple[str, str, str]:
    """Types of a layer's attn_v, attn_output and ffn_down: the "_M" mixes of llama.cpp, which users download."""
    if quant == "Q2_K":
        return "Q4_K", "Q3_K", "Q3_K"
    if quant == "Q3_K":
        return ("Q5_K" if index < 2 else "Q4_K"), "Q4_K", ("Q5_K" if index < layers // 16 else "Q4_K")
    if quant in ("Q4_K", "Q5_K"):
        eighth = layers // 8
        outer = index < eighth or index >= 7 * layers // 8
        spared = "Q6_K" if outer or (index - eighth) % 3 == 2 else quant
        return spared, quant, spared
    return quant, quant, quant
