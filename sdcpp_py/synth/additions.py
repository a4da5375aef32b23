"""Files that go with a model and generate nothing by themselves: LoRAs and upscalers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sdcpp_py.synth.tensors import Layout, Tensor, constant, convolution, matrix


@dataclass(frozen=True)
class Lora:
    """A LoRA for the matrices of a denoiser's blocks.

    Attributes:
        denoiser: what it was trained for.
        rank: the narrow side of its matrices.
        prefix: what names start with.
    """

    denoiser: Layout
    rank: int
    prefix: str = "diffusion_model."

    def tensors(self, quant: str) -> Iterator[Tensor]:
        """All tensors in the file's order. ``quant`` changes nothing."""
        for tensor in self.denoiser.tensors("F32"):
            if "blocks." in tensor.name and tensor.name.endswith(".weight") and len(tensor.shape) == 2:
                name = self.prefix + tensor.name.removesuffix(".weight")
                rows, columns = tensor.shape
                yield matrix(f"{name}.lora_A.weight", self.rank, columns, "BF16")
                yield matrix(f"{name}.lora_B.weight", rows, self.rank, "BF16", gain=0.1)


@dataclass(frozen=True)
class Esrgan:
    """An ESRGAN upscaler that makes a picture four times as wide and high.

    Attributes:
        blocks: how many: 23 in RealESRGAN_x4plus, 6 in its variant for drawings.
        channels, growth: width of the blocks, and what each of their layers adds to it.
    """

    blocks: int
    channels: int = 64
    growth: int = 32

    def tensors(self, quant: str) -> Iterator[Tensor]:
        """All tensors in the file's order. ``quant`` changes nothing."""
        channels = self.channels
        yield from convolution("conv_first", channels, 3, "F32")
        for block in range(self.blocks):
            for dense in (1, 2, 3):
                for layer in range(5):
                    outputs = channels if layer == 4 else self.growth
                    name = f"body.{block}.rdb{dense}.conv{layer + 1}"
                    yield from convolution(name, outputs, channels + layer * self.growth, "F32")
        for name in ("conv_body", "conv_up1", "conv_up2", "conv_hr"):
            yield from convolution(name, channels, channels, "F32")
        yield from convolution("conv_last", 3, channels, "F32", bias=False)
        yield constant("conv_last.bias", 3, value=0.5)  # without it most of a picture would be black
