"""U-Nets of Stable Diffusion 1, 2, XL and of what was distilled from them, and ControlNets: in their original names."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sdcpp_py.synth.tensors import Tensor, convolution, linear, matrix, norm

_LATENT_CHANNELS = 4
_CHANNELS = 320
_TIME_CHANNELS = 4 * _CHANNELS
_NUMBERS = 3  # of blocks in each scale's names: two with a residual block, and one that changes the scale
_HINTS = (3, 16, 16, 32, 32, 96, 96, 256)  # widths of the layers that read a ControlNet's picture


@dataclass(frozen=True)
class UNet:
    """Sizes of a U-Net. The engine has them fixed for each version.

    Attributes:
        multipliers: width of each scale, in 320s.
        depths: transformer blocks of each scale; 0 for none.
        middle: transformer blocks between the halves; 0 for a residual block alone, None for nothing at all.
        context: width of the text states.
        vector: width of the vector beside them (pooled text and sizes), 0 for none.
        linear_projections: whether the layers around the transformer blocks are linear ones, or convolutions.
        image: channels that go in: 9 for inpainting, with a mask and the masked picture.
        resnets: residual blocks of each scale in the first half; the second has one more.
        depths_up: transformer blocks behind each residual block of each scale in the second half; () where they are as
            many as in the first.
    """

    multipliers: tuple[int, ...]
    depths: tuple[int, ...]
    middle: int | None
    context: int
    vector: int = 0
    linear_projections: bool = True
    image: int = _LATENT_CHANNELS
    resnets: int = 2
    depths_up: tuple[tuple[int, ...], ...] = ()

    def tensors(self, quant: str, prefix: str = "model.diffusion_model.") -> Iterator[Tensor]:
        """All tensors in the file's order."""
        yield from self.down(prefix, quant)
        yield from self._up(prefix, quant)
        yield from norm(f"{prefix}out.0", _CHANNELS)
        yield from convolution(f"{prefix}out.2", _LATENT_CHANNELS, _CHANNELS, quant)

    @property
    def widths(self) -> list[int]:
        """Widths of all that the first half hands on to the second."""
        widths = [_CHANNELS]
        for multiplier in self.multipliers:
            # The last of a scale is what halves height and width, and the smallest scale has none.
            widths += (self.resnets + 1) * [_CHANNELS * multiplier]
        return widths[:-1]

    def down(self, prefix: str, quant: str) -> Iterator[Tensor]:
        """What reads timestep and vector, the half that makes the picture smaller, and the blocks after it."""
        yield from linear(f"{prefix}time_embed.0", _TIME_CHANNELS, _CHANNELS, quant)
        yield from linear(f"{prefix}time_embed.2", _TIME_CHANNELS, _TIME_CHANNELS, quant)
        if self.vector:
            yield from linear(f"{prefix}label_emb.0.0", _TIME_CHANNELS, self.vector, quant)
            yield from linear(f"{prefix}label_emb.0.2", _TIME_CHANNELS, _TIME_CHANNELS, quant)
        yield from convolution(f"{prefix}input_blocks.0.0", _CHANNELS, self.image, quant)
        widths = self.widths
        for place in range(1, len(widths)):
            level, index = divmod(place - 1, self.resnets + 1)
            changes_scale = index == self.resnets
            # Numbers of residual blocks that are not there are left out.
            block = f"{prefix}input_blocks.{_NUMBERS * level + (_NUMBERS if changes_scale else index + 1)}"
            if not changes_scale:
                yield from _resnet(f"{block}.0", widths[place - 1], widths[place], quant)
                yield from self._transformer(f"{block}.1", widths[place], self.depths[level], quant)
            else:
                yield from convolution(f"{block}.0.op", widths[place], widths[place], quant)
        if self.middle is not None:
            yield from _resnet(f"{prefix}middle_block.0", widths[-1], widths[-1], quant)
        if self.middle:
            yield from self._transformer(f"{prefix}middle_block.1", widths[-1], self.middle, quant)
            yield from _resnet(f"{prefix}middle_block.2", widths[-1], widths[-1], quant)

    def _up(self, prefix: str, quant: str) -> Iterator[Tensor]:
        widths = self.widths
        width = widths[-1]
        depths_up = self.depths_up or [(depth,) * (self.resnets + 1) for depth in self.depths]
        for scale, level in enumerate(reversed(range(len(self.multipliers)))):
            outputs = _CHANNELS * self.multipliers[level]
            for index, depth in enumerate(depths_up[level]):
                block = f"{prefix}output_blocks.{_NUMBERS * scale + index}"
                yield from _resnet(f"{block}.0", width + widths.pop(), outputs, quant)
                yield from self._transformer(f"{block}.1", outputs, depth, quant)
                width = outputs
            if level:
                # In the last of three blocks, behind its attention. The smallest scale of Stable Diffusion 1 has none,
                # and U-Nets with fewer blocks keep its names.
                behind = 2 if depths_up[level][-1] and (scale or self.resnets == 2) else 1
                block = f"{prefix}output_blocks.{_NUMBERS * scale + _NUMBERS - 1}"
                yield from convolution(f"{block}.{behind}.conv", outputs, outputs, quant)

    def _transformer(self, prefix: str, width: int, depth: int, quant: str) -> Iterator[Tensor]:
        if not depth:
            return
        yield from norm(f"{prefix}.norm", width)
        yield from self._projection(f"{prefix}.proj_in", width, quant)
        for index in range(depth):
            yield from _block(f"{prefix}.transformer_blocks.{index}", width, self.context, quant)
        yield from self._projection(f"{prefix}.proj_out", width, quant)

    def _projection(self, name: str, width: int, quant: str) -> Iterator[Tensor]:
        if self.linear_projections:
            return linear(name, width, width, quant)
        return convolution(name, width, width, quant, kernel=1)


@dataclass(frozen=True)
class ControlNet:
    """A ControlNet: a copy of a U-Net's first half that reads a picture too, with a convolution at each way out."""

    unet: UNet

    def tensors(self, quant: str) -> Iterator[Tensor]:
        """All tensors in the file's order."""
        prefix, widths = "control_model.", self.unet.widths
        yield from self.unet.down(prefix, quant)
        for index, (inputs, outputs) in enumerate(zip(_HINTS, (*_HINTS[1:], _CHANNELS), strict=True)):
            yield from convolution(f"{prefix}input_hint_block.{2 * index}", outputs, inputs, quant)
        for index, width in enumerate(widths):
            yield from convolution(f"{prefix}zero_convs.{index}.0", width, width, quant, kernel=1)
        yield from convolution(f"{prefix}middle_block_out.0", widths[-1], widths[-1], quant, kernel=1)


def _resnet(name: str, inputs: int, outputs: int, type_: str) -> Iterator[Tensor]:
    yield from norm(f"{name}.in_layers.0", inputs)
    yield from convolution(f"{name}.in_layers.2", outputs, inputs, type_)
    yield from linear(f"{name}.emb_layers.1", outputs, _TIME_CHANNELS, type_)
    yield from norm(f"{name}.out_layers.0", outputs)
    yield from convolution(f"{name}.out_layers.3", outputs, outputs, type_)
    if inputs != outputs:
        yield from convolution(f"{name}.skip_connection", outputs, inputs, type_, kernel=1)


def _block(name: str, width: int, context: int, type_: str) -> Iterator[Tensor]:
    for attention, states in (("attn1", width), ("attn2", context)):
        yield matrix(f"{name}.{attention}.to_q.weight", width, width, type_)
        yield matrix(f"{name}.{attention}.to_k.weight", width, states, type_)
        yield matrix(f"{name}.{attention}.to_v.weight", width, states, type_)
        yield from linear(f"{name}.{attention}.to_out.0", width, width, type_)
    yield from linear(f"{name}.ff.net.0.proj", 8 * width, width, type_)
    yield from linear(f"{name}.ff.net.2", width, 4 * width, type_)
    for index in (1, 2, 3):
        yield from norm(f"{name}.norm{index}", width)
