"""The VAEs of FLUX.1 (Z-Image's too) and FLUX.2: tensors in the original names, F32 as in the files users have."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from sdcpp_py.synth.tensors import Tensor, constant

_MULTIPLIERS = (1, 2, 4, 4)
_ENCODER_RESNETS = 2
_DECODER_RESNETS = 3
_PATCH_CHANNELS = 4  # FLUX.2 normalises latents in patches of 2 x 2


@dataclass(frozen=True)
class Autoencoder:
    """Sizes of a VAE.

    Attributes:
        latent: channels of a latent: 16 for FLUX.1, 32 for FLUX.2.
        channels: width at full resolution, a multiple of 32 (the groups of its norms).
        flux2: whether it has FLUX.2's quantization convolutions and latent statistics.
        encoder: whether the encoder is written too; the engine's is 128 wide whatever the decoder's width.
    """

    latent: int
    channels: int
    flux2: bool
    encoder: bool

    def tensors(self, quant: str) -> Iterator[Tensor]:
        """All tensors in the file's order. ``quant`` changes nothing: VAEs are not quantized."""
        if self.flux2:
            statistics = _PATCH_CHANNELS * self.latent
            yield Tensor("bn.num_batches_tracked", (), "I64", 0.0)
            yield constant("bn.running_mean", statistics)
            yield constant("bn.running_var", statistics, value=1.0)
        if self.encoder:
            yield from self._encoder()
        yield from self._decoder()

    def _encoder(self) -> Iterator[Tensor]:
        width, last = self.channels, len(_MULTIPLIERS) - 1
        yield from _conv("encoder.conv_in", width, 3)
        for level, multiplier in enumerate(_MULTIPLIERS):
            for index in range(_ENCODER_RESNETS):
                yield from _resnet(f"encoder.down.{level}.block.{index}", width, self.channels * multiplier)
                width = self.channels * multiplier
            if level != last:
                yield from _conv(f"encoder.down.{level}.downsample.conv", width, width)
        yield from _middle("encoder", width)
        yield from _norm("encoder.norm_out", width)
        yield from _conv("encoder.conv_out", 2 * self.latent, width)
        if self.flux2:
            yield from _conv("encoder.quant_conv", 2 * self.latent, 2 * self.latent, kernel=1)

    def _decoder(self) -> Iterator[Tensor]:
        width = self.channels * _MULTIPLIERS[-1]
        if self.flux2:
            yield from _conv("decoder.post_quant_conv", self.latent, self.latent, kernel=1)
        yield from _conv("decoder.conv_in", width, self.latent)
        yield from _middle("decoder", width)
        for level in reversed(range(len(_MULTIPLIERS))):
            for index in range(_DECODER_RESNETS):
                yield from _resnet(f"decoder.up.{level}.block.{index}", width, self.channels * _MULTIPLIERS[level])
                width = self.channels * _MULTIPLIERS[level]
            if level:
                yield from _conv(f"decoder.up.{level}.upsample.conv", width, width)
        yield from _norm("decoder.norm_out", width)
        yield from _conv("decoder.conv_out", 3, width)


def _conv(name: str, outputs: int, inputs: int, *, kernel: int = 3) -> Iterator[Tensor]:
    shape = (outputs, inputs, kernel, kernel)
    yield Tensor(f"{name}.weight", shape, "F32", 1 / math.sqrt(inputs * kernel * kernel))
    yield constant(f"{name}.bias", outputs)


def _norm(name: str, channels: int) -> Iterator[Tensor]:
    yield constant(f"{name}.weight", channels, value=1.0)
    yield constant(f"{name}.bias", channels)


def _resnet(name: str, inputs: int, outputs: int) -> Iterator[Tensor]:
    yield from _norm(f"{name}.norm1", inputs)
    yield from _conv(f"{name}.conv1", outputs, inputs)
    yield from _norm(f"{name}.norm2", outputs)
    yield from _conv(f"{name}.conv2", outputs, outputs)
    if inputs != outputs:
        yield from _conv(f"{name}.nin_shortcut", outputs, inputs, kernel=1)


def _middle(name: str, channels: int) -> Iterator[Tensor]:
    yield from _resnet(f"{name}.mid.block_1", channels, channels)
    yield from _norm(f"{name}.mid.attn_1.norm", channels)
    for projection in ("q", "k", "v", "proj_out"):
        yield from _conv(f"{name}.mid.attn_1.{projection}", channels, channels, kernel=1)
    yield from _resnet(f"{name}.mid.block_2", channels, channels)
