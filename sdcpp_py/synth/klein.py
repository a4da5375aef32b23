"""FLUX.2, Klein and dev: the denoiser's tensors, named as Black Forest Labs names them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sdcpp_py.synth.tensors import Tensor, constant, matrix, outside

_LATENT_CHANNELS = 128  # 32 of the VAE's, in patches of 2 x 2
_TIME_CHANNELS = 256
_HEAD = 128  # four RoPE axes of 32: the engine runs no other head size
_MLP_RATIO = 3


@dataclass(frozen=True)
class Klein:
    """Sizes of a FLUX.2.

    Attributes:
        hidden: width, a multiple of 128.
        double, single: how many blocks of each kind.
        context: width of the text states, three hidden layers of the encoder side by side.
        guidance: whether it reads how strongly the prompt is to guide, as dev does.
    """

    hidden: int
    double: int
    single: int
    context: int
    guidance: bool = False

    def tensors(self, quant: str) -> Iterator[Tensor]:
        """All tensors in the file's order; with these types it has the size of leejet's files, within 30 KB."""
        # The engine's converter leaves everything outside the blocks as it was trained.
        unquantized = outside(quant)
        yield from self._entrance(unquantized)
        for index in range(self.double):
            for stream in ("img", "txt"):
                yield from self._double(f"double_blocks.{index}.{stream}", quant)
        for index in range(self.single):
            yield from self._single(f"single_blocks.{index}", quant)
        yield matrix("final_layer.linear.weight", _LATENT_CHANNELS, self.hidden, unquantized)
        yield matrix("final_layer.adaLN_modulation.1.weight", 2 * self.hidden, self.hidden, unquantized)

    def _entrance(self, type_: str) -> Iterator[Tensor]:
        hidden = self.hidden
        yield matrix("img_in.weight", hidden, _LATENT_CHANNELS, type_)
        yield matrix("txt_in.weight", hidden, self.context, type_)
        for embedder in ("time_in", "guidance_in") if self.guidance else ("time_in",):
            yield matrix(f"{embedder}.in_layer.weight", hidden, _TIME_CHANNELS, type_)
            yield matrix(f"{embedder}.out_layer.weight", hidden, hidden, type_)
        yield matrix("double_stream_modulation_img.lin.weight", 6 * hidden, hidden, type_)
        yield matrix("double_stream_modulation_txt.lin.weight", 6 * hidden, hidden, type_)
        yield matrix("single_stream_modulation.lin.weight", 3 * hidden, hidden, type_)

    def _double(self, prefix: str, type_: str) -> Iterator[Tensor]:
        hidden, inner = self.hidden, _MLP_RATIO * self.hidden
        yield matrix(f"{prefix}_attn.qkv.weight", 3 * hidden, hidden, type_)
        yield matrix(f"{prefix}_attn.proj.weight", hidden, hidden, type_)
        yield constant(f"{prefix}_attn.norm.query_norm.scale", _HEAD, value=1.0)
        yield constant(f"{prefix}_attn.norm.key_norm.scale", _HEAD, value=1.0)
        yield matrix(f"{prefix}_mlp.0.weight", 2 * inner, hidden, type_)
        yield matrix(f"{prefix}_mlp.2.weight", hidden, inner, type_)

    def _single(self, prefix: str, type_: str) -> Iterator[Tensor]:
        hidden, inner = self.hidden, _MLP_RATIO * self.hidden
        yield matrix(f"{prefix}.linear1.weight", 3 * hidden + 2 * inner, hidden, type_)
        yield matrix(f"{prefix}.linear2.weight", hidden, hidden + inner, type_)
        yield constant(f"{prefix}.norm.query_norm.scale", _HEAD, value=1.0)
        yield constant(f"{prefix}.norm.key_norm.scale", _HEAD, value=1.0)
