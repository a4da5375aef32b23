"""Qwen-Image: the denoiser's tensors, named as in diffusers, which are its original names."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sdcpp_py.synth.tensors import Tensor, constant, linear, outside

_PATCH_CHANNELS = 64  # 16 of the VAE's, in patches of 2 x 2
_TIME_CHANNELS = 256
_HEAD = 128
_MLP_RATIO = 4


@dataclass(frozen=True)
class QwenImage:
    """Sizes of a Qwen-Image. The engine counts the layers and has both widths fixed, at 3072 and 3584.

    Attributes:
        hidden: width, a multiple of 128.
        layers: how many blocks.
        context: width of the text states, the encoder's.
    """

    hidden: int
    layers: int
    context: int

    def tensors(self, quant: str) -> Iterator[Tensor]:
        """All tensors in the file's order."""
        unquantized, hidden = outside(quant), self.hidden
        yield from linear("img_in", hidden, _PATCH_CHANNELS, unquantized)
        yield from linear("txt_in", hidden, self.context, unquantized)
        yield constant("txt_norm.weight", self.context, value=1.0)
        yield from linear("time_text_embed.timestep_embedder.linear_1", hidden, _TIME_CHANNELS, unquantized)
        yield from linear("time_text_embed.timestep_embedder.linear_2", hidden, hidden, unquantized)
        for index in range(self.layers):
            prefix = f"transformer_blocks.{index}"
            yield from self._attention(f"{prefix}.attn", quant)
            for stream in ("img", "txt"):
                yield from linear(f"{prefix}.{stream}_mod.1", 6 * hidden, hidden, quant)
                yield from linear(f"{prefix}.{stream}_mlp.net.0.proj", _MLP_RATIO * hidden, hidden, quant)
                yield from linear(f"{prefix}.{stream}_mlp.net.2", hidden, _MLP_RATIO * hidden, quant)
        yield from linear("norm_out.linear", 2 * hidden, hidden, unquantized)
        yield from linear("proj_out", _PATCH_CHANNELS, hidden, unquantized)

    def _attention(self, prefix: str, type_: str) -> Iterator[Tensor]:
        of_image, of_text = (
            ("to_q", "to_k", "to_v", "to_out.0"),
            ("add_q_proj", "add_k_proj", "add_v_proj", "to_add_out"),
        )
        for projection in of_image + of_text:
            yield from linear(f"{prefix}.{projection}", self.hidden, self.hidden, type_)
        for norm in ("norm_q", "norm_k", "norm_added_q", "norm_added_k"):
            yield constant(f"{prefix}.{norm}.weight", _HEAD, value=1.0)
