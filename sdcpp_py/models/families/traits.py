"""What families are told by: the tensors of a denoiser, and the layers that a LoRA changes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from sdcpp_py.models.tensors import Tensors, extent


@dataclass(frozen=True)
class DenoiserTraits:
    """What a denoiser's tensors say, once its family is known.

    Attributes:
        context_width: of the text states that it reads.
        hidden_size: its own width; 0 where nothing depends on it.
        distilled: whether it generates without classifier-free guidance; None where tensors cannot tell.
    """

    context_width: int = 0
    hidden_size: int = 0
    distilled: bool | None = None


@dataclass(frozen=True)
class DenoiserTensors:
    """The tensors of a denoiser.

    Attributes:
        tensors: their names without the prefix of a whole checkpoint.
        token_width: of the first CLIP beside it in a whole checkpoint, by which the engine tells Stable Diffusion 1
            from 2; 0 where there is none.
        two_encoders: whether there is a second one, by which it tells XL.
    """

    tensors: Tensors
    token_width: int = 0
    two_encoders: bool = False

    @cached_property
    def tops(self) -> frozenset[str]:
        """What the names begin with, up to the first dot."""
        return frozenset(name.partition(".")[0] for name in self.tensors)

    def __contains__(self, name: str) -> bool:
        return name in self.tensors

    def extent(self, name: str, axis: int = -1) -> int:
        """As ``tensors.extent``."""
        return extent(self.tensors, name, axis)

    def has(self, start: str) -> bool:
        """Whether any name begins so."""
        return any(name.startswith(start) for name in self.tensors)

    def found(self, end: str) -> int:
        """The last extent of the first tensor whose name ends so; 0 where there is none."""
        return next((self.extent(name) for name in self.tensors if name.endswith(end)), 0)

    def traits(self, text_input: str, *, distilled: bool | None = None) -> DenoiserTraits:
        """The traits of a denoiser of which this weight brings text states to its own width."""
        return DenoiserTraits(self.extent(text_input), self.extent(text_input, 0), distilled)


@dataclass(frozen=True)
class LoraLayers:
    """The layers that a LoRA changes.

    Attributes:
        names: of all its tensors, with "_" for ".", since each training program has names of its own.
        layers: name -> how many values the layer reads, and how many it writes.
    """

    names: frozenset[str]
    layers: Mapping[str, tuple[int, int]]

    def any_has(self, *pieces: str) -> bool:
        """Whether any name has any of these pieces in it."""
        return any(piece in name for name in self.names for piece in pieces)

    def reads(self, *ends: str) -> int:
        """How many values the first layer reads whose name ends in one of these; 0 where there is none."""
        for end in ends:
            found = next((reads for name, (reads, _) in self.layers.items() if name.endswith(end)), 0)
            if found:
                return found
        return 0

    @cached_property
    def of_unet(self) -> bool:
        """Whether these are layers of a U-Net."""
        return self.any_has(
            "down_blocks_", "up_blocks_", "mid_block_", "input_blocks_", "output_blocks_", "middle_block_"
        )

    @cached_property
    def of_flux(self) -> bool:
        """Whether these are layers of a FLUX, the first or the second."""
        blocks = self.any_has("single_transformer_blocks_", "single_blocks_", "double_blocks_")
        return blocks and not self.any_has("distilled_guidance_layer")
