"""The tiny autoencoders (TAESD, TAESDXL, TAEF1, TAEF2): tensors in the names of diffusers, which the engine reads."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sdcpp_py.synth.tensors import Tensor, convolution, norm

_CHANNELS = 64
_BLOCKS = 3  # at each of three scales
_POOL = 4


@dataclass(frozen=True)
class TinyAutoencoder:
    """Sizes of a tiny autoencoder.

    Attributes:
        latent: channels of a latent: 4 for Stable Diffusion, 16 for FLUX.1 and SD3, 32 for FLUX.2.
        pooled: whether the blocks at the smallest scale look at the mean of the picture as well, as TAEF2's do.
        type: of the convolutions; "" for what the quantization makes of them, as in whole checkpoints.
        prefix: what names start with in a whole checkpoint.
    """

    latent: int
    pooled: bool = False
    type: str = "F32"
    prefix: str = ""

    def tensors(self, quant: str) -> Iterator[Tensor]:
        """All tensors in the file's order. ``quant`` counts in whole checkpoints alone."""
        yield from self._encoder(f"{self.prefix}encoder.layers", self.type or quant)
        yield from self._decoder(f"{self.prefix}decoder.layers", self.type or quant)

    def _encoder(self, name: str, type_: str) -> Iterator[Tensor]:
        yield from convolution(f"{name}.0", _CHANNELS, 3, type_)
        yield from _block(f"{name}.1", type_)
        layer = 2
        for scale in range(3):
            yield from convolution(f"{name}.{layer}", _CHANNELS, _CHANNELS, type_, bias=False)
            for index in range(layer + 1, layer + 1 + _BLOCKS):
                yield from _block(f"{name}.{index}", type_, pooled=self.pooled and scale == 2)
            layer += 1 + _BLOCKS
        yield from convolution(f"{name}.{layer}", self.latent, _CHANNELS, type_)

    def _decoder(self, name: str, type_: str) -> Iterator[Tensor]:
        yield from convolution(f"{name}.0", _CHANNELS, self.latent, type_)
        layer = 2  # layer 1 is an activation
        for scale in range(3):
            for index in range(layer, layer + _BLOCKS):
                yield from _block(f"{name}.{index}", type_, pooled=self.pooled and scale == 0)
            layer += _BLOCKS + 1  # one layer doubles height and width
            yield from convolution(f"{name}.{layer}", _CHANNELS, _CHANNELS, type_, bias=False)
            layer += 1
        yield from _block(f"{name}.{layer}", type_)
        yield from convolution(f"{name}.{layer + 1}", 3, _CHANNELS, type_)


def _block(name: str, type_: str, *, pooled: bool = False) -> Iterator[Tensor]:
    for index in (0, 2, 4):
        yield from convolution(f"{name}.conv.{index}", _CHANNELS, _CHANNELS, type_)
    if pooled:
        yield from convolution(f"{name}.pool.0", _POOL * _CHANNELS, _CHANNELS, type_, kernel=1, bias=False)
        yield from norm(f"{name}.pool.1", _POOL * _CHANNELS)
        yield from convolution(f"{name}.pool.3", _CHANNELS, _POOL * _CHANNELS, type_, kernel=1, bias=False)
