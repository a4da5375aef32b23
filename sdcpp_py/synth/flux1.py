"""FLUX.1 dev, schnell, Fill and Kontext: the denoiser's tensors, named as Black Forest Labs names them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sdcpp_py.synth.tensors import Tensor, constant, linear, outside

LATENT_CHANNELS = 64  # 16 of the VAE's, in patches of 2 x 2
_TIME_CHANNELS = 256
_POOLED = 768  # CLIP-L's width, which the engine has fixed
_HEAD = 128  # three RoPE axes of 16, 56 and 56: the engine runs no other head size
_MLP_RATIO = 4


@dataclass(frozen=True)
class Flux1:
    """Sizes of a FLUX.1. The engine reads all but the pooled width and the ratio of the feed-forward layers.

    Attributes:
        hidden: width, a multiple of 128.
        double, single: how many blocks of each kind.
        context: width of the text states, T5's.
        guidance: whether it reads how strongly the prompt is to guide: dev and its kin do, schnell does not.
        image: channels of a patch that goes in: 384 for Fill, which sees the picture and its mask as well.
    """

    hidden: int
    double: int
    single: int
    context: int
    guidance: bool
    image: int = LATENT_CHANNELS

    def tensors(self, quant: str) -> Iterator[Tensor]:
        """All tensors in the file's order; with these types it has the size of city96's, within half a percent."""
        unquantized, hidden = outside(quant), self.hidden
        yield from linear("img_in", hidden, self.image, unquantized)
        yield from linear("txt_in", hidden, self.context, unquantized)
        yield from _embedder("time_in", hidden, _TIME_CHANNELS, unquantized)
        yield from _embedder("vector_in", hidden, _POOLED, unquantized)
        if self.guidance:
            yield from _embedder("guidance_in", hidden, _TIME_CHANNELS, unquantized)
        yield from blocks(hidden, self.double, self.single, quant, modulated=True)
        yield from linear("final_layer.linear", LATENT_CHANNELS, hidden, unquantized)
        yield from linear("final_layer.adaLN_modulation.1", 2 * hidden, hidden, unquantized)


def blocks(hidden: int, double: int, single: int, type_: str, *, modulated: bool) -> Iterator[Tensor]:
    """The blocks of FLUX.1, and of Chroma, where they are not ``modulated`` each by itself."""
    for index in range(double):
        for stream in ("img", "txt"):
            yield from _double(f"double_blocks.{index}.{stream}", hidden, type_, modulated)
    for index in range(single):
        yield from _single(f"single_blocks.{index}", hidden, type_, modulated)


def _double(prefix: str, hidden: int, type_: str, modulated: bool) -> Iterator[Tensor]:
    if modulated:
        yield from linear(f"{prefix}_mod.lin", 6 * hidden, hidden, type_)
    yield from linear(f"{prefix}_attn.qkv", 3 * hidden, hidden, type_)
    yield from linear(f"{prefix}_attn.proj", hidden, hidden, type_)
    yield from _head_norms(f"{prefix}_attn.norm")
    yield from linear(f"{prefix}_mlp.0", _MLP_RATIO * hidden, hidden, type_)
    yield from linear(f"{prefix}_mlp.2", hidden, _MLP_RATIO * hidden, type_)


def _single(prefix: str, hidden: int, type_: str, modulated: bool) -> Iterator[Tensor]:
    if modulated:
        yield from linear(f"{prefix}.modulation.lin", 3 * hidden, hidden, type_)
    yield from linear(f"{prefix}.linear1", (3 + _MLP_RATIO) * hidden, hidden, type_)
    yield from linear(f"{prefix}.linear2", hidden, (1 + _MLP_RATIO) * hidden, type_)
    yield from _head_norms(f"{prefix}.norm")


def _head_norms(prefix: str) -> Iterator[Tensor]:
    yield constant(f"{prefix}.query_norm.scale", _HEAD, value=1.0)
    yield constant(f"{prefix}.key_norm.scale", _HEAD, value=1.0)


def _embedder(name: str, hidden: int, inputs: int, type_: str) -> Iterator[Tensor]:
    yield from linear(f"{name}.in_layer", hidden, inputs, type_)
    yield from linear(f"{name}.out_layer", hidden, hidden, type_)
