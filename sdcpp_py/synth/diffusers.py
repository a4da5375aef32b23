"""Denoisers in the names of diffusers, which are not those that the engine's own files have."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sdcpp_py.synth.flux1 import Flux1
from sdcpp_py.synth.klein import Klein
from sdcpp_py.synth.tensors import Tensor, constant, linear, matrix

_HEAD = 128
_PROJECTIONS = ("to_q", "to_k", "to_v", "to_out.0", "add_q_proj", "add_k_proj", "add_v_proj", "to_add_out")
_NORMS = ("norm_q", "norm_k", "norm_added_q", "norm_added_k")
_MODULATIONS = {"double_stream_modulation_img": 6, "double_stream_modulation_txt": 6, "single_stream_modulation": 3}


@dataclass(frozen=True)
class DiffusersFlux1:
    """A FLUX.1 in diffusers' names: queries, keys and values are apart."""

    sizes: Flux1

    def tensors(self, quant: str) -> Iterator[Tensor]:
        """All tensors in the file's order."""
        hidden = self.sizes.hidden
        yield from linear("x_embedder", hidden, self.sizes.image, quant)
        yield from linear("context_embedder", hidden, self.sizes.context, quant)
        embedders = {"timestep": 256, "text": 768, **({"guidance": 256} if self.sizes.guidance else {})}
        for embedder, inputs in embedders.items():
            yield from linear(f"time_text_embed.{embedder}_embedder.linear_1", hidden, inputs, quant)
            yield from linear(f"time_text_embed.{embedder}_embedder.linear_2", hidden, hidden, quant)
        for index in range(self.sizes.double):
            yield from _double(f"transformer_blocks.{index}", hidden, quant)
        for index in range(self.sizes.single):
            prefix = f"single_transformer_blocks.{index}"
            yield from linear(f"{prefix}.norm.linear", 3 * hidden, hidden, quant)
            for projection in ("to_q", "to_k", "to_v"):
                yield from linear(f"{prefix}.attn.{projection}", hidden, hidden, quant)
            yield from _norms(f"{prefix}.attn", "norm_q", "norm_k")
            yield from linear(f"{prefix}.proj_mlp", 4 * hidden, hidden, quant)
            yield from linear(f"{prefix}.proj_out", hidden, 5 * hidden, quant)
        yield from linear("norm_out.linear", 2 * hidden, hidden, quant)
        yield from linear("proj_out", 64, hidden, quant)


def _double(prefix: str, hidden: int, type_: str) -> Iterator[Tensor]:
    yield from linear(f"{prefix}.norm1.linear", 6 * hidden, hidden, type_)
    yield from linear(f"{prefix}.norm1_context.linear", 6 * hidden, hidden, type_)
    for projection in _PROJECTIONS:
        yield from linear(f"{prefix}.attn.{projection}", hidden, hidden, type_)
    yield from _norms(f"{prefix}.attn", *_NORMS)
    for stream in ("ff", "ff_context"):
        yield from linear(f"{prefix}.{stream}.net.0.proj", 4 * hidden, hidden, type_)
        yield from linear(f"{prefix}.{stream}.net.2", hidden, 4 * hidden, type_)


@dataclass(frozen=True)
class DiffusersKlein:
    """A FLUX.2 in diffusers' names."""

    sizes: Klein

    def tensors(self, quant: str) -> Iterator[Tensor]:
        """All tensors in the file's order."""
        hidden = self.sizes.hidden
        yield matrix("x_embedder.weight", hidden, 128, quant)
        yield matrix("context_embedder.weight", hidden, self.sizes.context, quant)
        yield matrix("time_guidance_embed.timestep_embedder.linear_1.weight", hidden, 256, quant)
        yield matrix("time_guidance_embed.timestep_embedder.linear_2.weight", hidden, hidden, quant)
        for stream, parts in _MODULATIONS.items():
            yield matrix(f"{stream}.linear.weight", parts * hidden, hidden, quant)
        for index in range(self.sizes.double):
            prefix = f"transformer_blocks.{index}"
            for projection in _PROJECTIONS:
                yield matrix(f"{prefix}.attn.{projection}.weight", hidden, hidden, quant)
            yield from _norms(f"{prefix}.attn", *_NORMS)
            for stream in ("ff", "ff_context"):
                yield matrix(f"{prefix}.{stream}.linear_in.weight", 6 * hidden, hidden, quant)
                yield matrix(f"{prefix}.{stream}.linear_out.weight", hidden, 3 * hidden, quant)
        for index in range(self.sizes.single):
            prefix = f"single_transformer_blocks.{index}.attn"
            yield matrix(f"{prefix}.to_qkv_mlp_proj.weight", 9 * hidden, hidden, quant)
            yield matrix(f"{prefix}.to_out.weight", hidden, 4 * hidden, quant)
            yield from _norms(prefix, "norm_q", "norm_k")
        yield matrix("norm_out.linear.weight", 2 * hidden, hidden, quant)
        yield matrix("proj_out.weight", 128, hidden, quant)


def _norms(prefix: str, *names: str) -> Iterator[Tensor]:
    for name in names:
        yield constant(f"{prefix}.{name}.weight", _HEAD, value=1.0)
