"""Z-Image: the denoiser's tensors, named as in the files of ComfyUI and stable-diffusion.cpp."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sdcpp_py.synth.tensors import UNQUANTIZED, Tensor, constant, linear, matrix, outside

_PATCH_CHANNELS = 64  # 16 of the VAE's, in patches of 2 x 2
_TIME_CHANNELS = 256
_HEAD = 128
_FFN_MULTIPLE = 256


@dataclass(frozen=True)
class ZImage:
    """Sizes of a Z-Image.

    Attributes:
        hidden: width, a multiple of 128.
        layers: blocks over text and image together.
        refiners: blocks over the text alone, and as many over the image alone.
        caption: width of the text states, the encoder's hidden size.
    """

    hidden: int
    layers: int
    refiners: int
    caption: int

    @property
    def ffn(self) -> int:
        """Inner width of the feed-forward layers, as the engine derives it: 8/3 of the width, rounded up to 256s."""
        return -(-(self.hidden * 8 // 3) // _FFN_MULTIPLE) * _FFN_MULTIPLE

    @property
    def modulation(self) -> int:
        """Width of the time signal that modulates the blocks."""
        return min(self.hidden, 256)

    def tensors(self, quant: str) -> Iterator[Tensor]:
        """All tensors in the file's order; with these types it is as large as leejet's files, but for their headers."""
        unquantized = outside(quant, "F32")
        # leejet keeps the refiners at Q8_0 (the first layers suffer most); his Q4_0 spares the context's alone.
        context = quant if quant in UNQUANTIZED else "Q8_0"
        noise = quant if quant == "Q4_0" else context
        yield from self._entrance(unquantized)
        for index in range(self.refiners):
            yield from self._block(f"context_refiner.{index}", context, modulated=False)
        for index in range(self.refiners):
            yield from self._block(f"noise_refiner.{index}", noise, modulated=True)
        for index in range(self.layers):
            yield from self._block(f"layers.{index}", quant, modulated=True)
        yield from linear("final_layer.adaLN_modulation.1", self.hidden, self.modulation, unquantized)
        yield from linear("final_layer.linear", _PATCH_CHANNELS, self.hidden, unquantized)

    def _entrance(self, type_: str) -> Iterator[Tensor]:
        inner = min(self.hidden, 1024)
        yield from linear("x_embedder", self.hidden, _PATCH_CHANNELS, type_)
        yield from linear("t_embedder.mlp.0", inner, _TIME_CHANNELS, type_)
        # 256 even where the blocks read fewer: the engine's embedder has this width fixed.
        yield from linear("t_embedder.mlp.2", 256, inner, type_)
        yield constant("cap_embedder.0.weight", self.caption, value=1.0)
        yield from linear("cap_embedder.1", self.hidden, self.caption, type_)
        yield constant("x_pad_token", 1, self.hidden)
        yield constant("cap_pad_token", 1, self.hidden)

    def _block(self, prefix: str, type_: str, *, modulated: bool) -> Iterator[Tensor]:
        hidden, ffn = self.hidden, self.ffn
        yield matrix(f"{prefix}.attention.qkv.weight", 3 * hidden, hidden, type_)
        yield matrix(f"{prefix}.attention.out.weight", hidden, hidden, type_)
        yield constant(f"{prefix}.attention.q_norm.weight", _HEAD, value=1.0)
        yield constant(f"{prefix}.attention.k_norm.weight", _HEAD, value=1.0)
        yield matrix(f"{prefix}.feed_forward.w1.weight", ffn, hidden, type_)
        yield matrix(f"{prefix}.feed_forward.w2.weight", hidden, ffn, type_)
        yield matrix(f"{prefix}.feed_forward.w3.weight", ffn, hidden, type_)
        for norm in ("attention_norm1", "attention_norm2", "ffn_norm1", "ffn_norm2"):
            yield constant(f"{prefix}.{norm}.weight", hidden, value=1.0)
        if modulated:
            yield from linear(f"{prefix}.adaLN_modulation.0", 4 * hidden, self.modulation, type_)
