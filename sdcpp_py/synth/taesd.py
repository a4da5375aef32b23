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
    """

    latent: int
    pooled: bool = False

    def tensors(self, quant: str) -> Iterator[Tensor]:
        """All tensors in the file's order. ``quant`` changes nothing: VAEs are not quantized."""
        yield from self._encoder()
        yield from self._decoder()

    def _encoder(self) -> Iterator[Tensor]:
        yield from convolution("encoder.layers.0", _CHANNELS, 3, "F32")
        yield from _block("encoder.layers.1")
        layer = 2
        for scale in range(3):
            yield from convolution(f"encoder.layers.{layer}", _CHANNELS, _CHANNELS, "F32", bias=False)
            for index in range(layer + 1, layer + 1 + _BLOCKS):
                yield from _block(f"encoder.layers.{index}", pooled=self.pooled and scale == 2)
            layer += 1 + _BLOCKS
        yield from convolution(f"encoder.layers.{layer}", self.latent, _CHANNELS, "F32")

    def _decoder(self) -> Iterator[Tensor]:
        yield from convolution("decoder.layers.0", _CHANNELS, self.latent, "F32")
        layer = 2  # layer 1 is an activation
        for scale in range(3):
            for index in range(layer, layer + _BLOCKS):
                yield from _block(f"decoder.layers.{index}", pooled=self.pooled and scale == 0)
            layer += _BLOCKS + 1  # one layer doubles height and width
            yield from convolution(f"decoder.layers.{layer}", _CHANNELS, _CHANNELS, "F32", bias=False)
            layer += 1
        yield from _block(f"decoder.layers.{layer}")
        yield from convolution(f"decoder.layers.{layer + 1}", 3, _CHANNELS, "F32")


def _block(name: str, *, pooled: bool = False) -> Iterator[Tensor]:
    for index in (0, 2, 4):
        yield from convolution(f"{name}.conv.{index}", _CHANNELS, _CHANNELS, "F32")
    if pooled:
        yield from convolution(f"{name}.pool.0", _POOL * _CHANNELS, _CHANNELS, "F32", kernel=1, bias=False)
        yield from norm(f"{name}.pool.1", _POOL * _CHANNELS)
        yield from convolution(f"{name}.pool.3", _CHANNELS, _POOL * _CHANNELS, "F32", kernel=1, bias=False)
