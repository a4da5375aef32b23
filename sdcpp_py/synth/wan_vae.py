"""The VAE of Wan and Qwen-Image, which is one of videos: tensors in their original names."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from sdcpp_py.synth.tensors import Tensor, constant, convolution

_LATENT = 16
_MULTIPLIERS = (1, 2, 4, 4)
_RESNETS = 2
_IN_TIME = (False, True, True)  # which of the encoder's three halvings shorten the video as well


@dataclass(frozen=True)
class WanVAE:
    """Sizes of a Wan VAE.

    Attributes:
        channels: width at full resolution; the engine has 96 fixed.
        type: type of the convolutions.
    """

    channels: int
    type: str = "BF16"

    def tensors(self, quant: str) -> Iterator[Tensor]:
        """All tensors in the file's order. ``quant`` changes nothing: VAEs are not quantized."""
        moments = 2 * _LATENT
        yield from self._encoder(moments)
        yield from self._convolution("conv1", moments, moments, 1, 1)
        yield from self._convolution("conv2", _LATENT, _LATENT, 1, 1)
        yield from self._decoder()

    def _encoder(self, moments: int) -> Iterator[Tensor]:
        yield from self._convolution("encoder.conv1", self.channels, 3)
        width, place = self.channels, 0
        for level, multiplier in enumerate(_MULTIPLIERS):
            for _ in range(_RESNETS):
                yield from self._resnet(f"encoder.downsamples.{place}", width, self.channels * multiplier)
                width, place = self.channels * multiplier, place + 1
            if level < len(_IN_TIME):
                yield from convolution(f"encoder.downsamples.{place}.resample.1", width, width, self.type)
                if _IN_TIME[level]:
                    yield from self._convolution(f"encoder.downsamples.{place}.time_conv", width, width, 3, 1)
                place += 1
        yield from self._middle("encoder", width)
        yield constant("encoder.head.0.gamma", width, 1, 1, 1, value=1.0)
        yield from self._convolution("encoder.head.2", moments, width)

    def _decoder(self) -> Iterator[Tensor]:
        width, place = self.channels * _MULTIPLIERS[-1], 0
        yield from self._convolution("decoder.conv1", width, _LATENT)
        yield from self._middle("decoder", width)
        for level, multiplier in enumerate(reversed(_MULTIPLIERS)):
            outputs = self.channels * multiplier
            for _ in range(_RESNETS + 1):
                yield from self._resnet(f"decoder.upsamples.{place}", width, outputs)
                width, place = outputs, place + 1
            if level < len(_IN_TIME):
                yield from convolution(f"decoder.upsamples.{place}.resample.1", width // 2, width, self.type)
                if tuple(reversed(_IN_TIME))[level]:
                    yield from self._convolution(f"decoder.upsamples.{place}.time_conv", 2 * width, width, 3, 1)
                width, place = width // 2, place + 1
        yield constant("decoder.head.0.gamma", width, 1, 1, 1, value=1.0)
        yield from self._convolution("decoder.head.2", 3, width)

    def _convolution(self, name: str, outputs: int, inputs: int, frames: int = 3, kernel: int = 3) -> Iterator[Tensor]:
        shape = (outputs, inputs, frames, kernel, kernel)
        # Of a single picture the last frame of a kernel alone sees anything; the rest falls on frames that are zero.
        yield Tensor(f"{name}.weight", shape, self.type, 1 / math.sqrt(inputs * kernel * kernel))
        yield constant(f"{name}.bias", outputs)

    def _resnet(self, name: str, inputs: int, outputs: int) -> Iterator[Tensor]:
        yield constant(f"{name}.residual.0.gamma", inputs, 1, 1, 1, value=1.0)
        yield from self._convolution(f"{name}.residual.2", outputs, inputs)
        yield constant(f"{name}.residual.3.gamma", outputs, 1, 1, 1, value=1.0)
        yield from self._convolution(f"{name}.residual.6", outputs, outputs)
        if inputs != outputs:
            yield from self._convolution(f"{name}.shortcut", outputs, inputs, 1, 1)

    def _middle(self, half: str, width: int) -> Iterator[Tensor]:
        yield from self._resnet(f"{half}.middle.0", width, width)
        yield constant(f"{half}.middle.1.norm.gamma", width, 1, 1, value=1.0)
        yield from convolution(f"{half}.middle.1.to_qkv", 3 * width, width, self.type, kernel=1)
        yield from convolution(f"{half}.middle.1.proj", width, width, self.type, kernel=1)
        yield from self._resnet(f"{half}.middle.2", width, width)
