"""The VAEs of Stable Diffusion, FLUX.1 (Z-Image's and SD3's too) and FLUX.2: tensors in their original names."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from sdcpp_py.synth.tensors import Tensor, constant, convolution, norm

_MULTIPLIERS = (1, 2, 4, 4)
_ENCODER_RESNETS = 2
_DECODER_RESNETS = 3
_PATCH_CHANNELS = 4  # FLUX.2 normalises latents in patches of 2 x 2


@dataclass(frozen=True)
class Autoencoder:
    """Sizes of a VAE.

    Attributes:
        latent: channels of a latent: 4 for Stable Diffusion, 16 for FLUX.1 and SD3, 32 for FLUX.2.
        channels: width of the decoder at full resolution, a multiple of 32 (the groups of its norms).
        encoder_channels: width of the encoder, likewise.
        convention: "flux1" has no quantization convolutions, "sd" has them beside the halves, "flux2" within them and
            latent statistics besides.
        encoder: type of the encoder's convolutions: "F32" as users have them, "F16" for a smaller file, "" for what the
            quantization makes of convolutions, as in whole checkpoints. None leaves the encoder out.
        decoder: type of the decoder's convolutions.
        prefix: what names start with in a whole checkpoint.
    """

    latent: int
    channels: int
    convention: Literal["sd", "flux1", "flux2"]
    encoder: str | None = "F32"
    decoder: str = "F32"
    prefix: str = ""
    encoder_channels: int = 128

    def tensors(self, quant: str) -> Iterator[Tensor]:
        """All tensors in the file's order. ``quant`` counts in whole checkpoints alone."""
        if self.convention == "flux2":
            statistics = _PATCH_CHANNELS * self.latent
            yield Tensor("bn.num_batches_tracked", (), "I64", 0.0)
            yield constant("bn.running_mean", statistics)
            yield constant("bn.running_var", statistics, value=1.0)
        if self.encoder is not None:
            type_, moments = self.encoder or quant, 2 * self.latent
            yield from self._encoder(f"{self.prefix}encoder", type_)
            yield from self._quantization("encoder", "quant_conv", moments, type_)
        type_ = self.decoder or quant
        yield from self._quantization("decoder", "post_quant_conv", self.latent, type_)
        yield from self._decoder(f"{self.prefix}decoder", type_)

    def _quantization(self, half: str, name: str, channels: int, type_: str) -> Iterator[Tensor]:
        if self.convention != "flux1":
            within = f"{half}." if self.convention == "flux2" else ""
            yield from convolution(f"{self.prefix}{within}{name}", channels, channels, type_, kernel=1)

    def _encoder(self, name: str, type_: str) -> Iterator[Tensor]:
        width, last = self.encoder_channels, len(_MULTIPLIERS) - 1
        yield from convolution(f"{name}.conv_in", width, 3, type_)
        for level, multiplier in enumerate(_MULTIPLIERS):
            for index in range(_ENCODER_RESNETS):
                yield from _resnet(
                    f"{name}.down.{level}.block.{index}", width, self.encoder_channels * multiplier, type_
                )
                width = self.encoder_channels * multiplier
            if level != last:
                yield from convolution(f"{name}.down.{level}.downsample.conv", width, width, type_)
        yield from _middle(name, width, type_)
        yield from norm(f"{name}.norm_out", width)
        yield from convolution(f"{name}.conv_out", 2 * self.latent, width, type_)

    def _decoder(self, name: str, type_: str) -> Iterator[Tensor]:
        width = self.channels * _MULTIPLIERS[-1]
        yield from convolution(f"{name}.conv_in", width, self.latent, type_)
        yield from _middle(name, width, type_)
        for level in reversed(range(len(_MULTIPLIERS))):
            outputs = self.channels * _MULTIPLIERS[level]
            for index in range(_DECODER_RESNETS):
                yield from _resnet(f"{name}.up.{level}.block.{index}", width, outputs, type_)
                width = outputs
            if level:
                yield from convolution(f"{name}.up.{level}.upsample.conv", width, width, type_)
        yield from norm(f"{name}.norm_out", width)
        yield from convolution(f"{name}.conv_out", 3, width, type_)


def _resnet(name: str, inputs: int, outputs: int, type_: str) -> Iterator[Tensor]:
    yield from norm(f"{name}.norm1", inputs)
    yield from convolution(f"{name}.conv1", outputs, inputs, type_)
    yield from norm(f"{name}.norm2", outputs)
    yield from convolution(f"{name}.conv2", outputs, outputs, type_)
    if inputs != outputs:
        yield from convolution(f"{name}.nin_shortcut", outputs, inputs, type_, kernel=1)


def _middle(name: str, channels: int, type_: str) -> Iterator[Tensor]:
    yield from _resnet(f"{name}.mid.block_1", channels, channels, type_)
    yield from norm(f"{name}.mid.attn_1.norm", channels)
    for projection in ("q", "k", "v", "proj_out"):
        yield from convolution(f"{name}.mid.attn_1.{projection}", channels, channels, type_, kernel=1)
    yield from _resnet(f"{name}.mid.block_2", channels, channels, type_)
