"""Whole checkpoints of Stable Diffusion: denoiser, VAE and text encoders in one file, as they were published."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sdcpp_py.synth.tensors import Layout, Tensor


@dataclass(frozen=True)
class Checkpoint:
    """The parts of a checkpoint. Each one's names begin as they do in the file."""

    denoiser: Layout
    vae: Layout
    encoders: tuple[Layout, ...]

    def tensors(self, quant: str) -> Iterator[Tensor]:
        """All tensors in the file's order. Convolutions are never quantized, so most of a U-Net's file is not."""
        yield from self.denoiser.tensors(quant)
        yield from self.vae.tensors(quant)
        for encoder in self.encoders:
            yield from encoder.tensors(quant)
