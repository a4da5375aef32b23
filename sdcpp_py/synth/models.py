"""What is known of a model file before it is written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from sdcpp_py.synth.gguf_header import ALIGNMENT
from sdcpp_py.synth.tensors import QUANTIZATIONS, Layout, Tensor


@dataclass(frozen=True)
class ModelShape:
    """A model file without its values.

    Attributes:
        name: what ``write`` calls it.
        layout: its sizes.
        architecture: GGUF's ``general.architecture``; "" for a safetensors file.
        metadata: further GGUF keys.
    """

    name: str
    layout: Layout
    architecture: str = ""
    metadata: Mapping[str, int | float] = field(default_factory=dict)

    def tensors(self, quant: str = "Q4_K") -> Iterator[Tensor]:
        """All tensors in the file's order.

        Raises:
            ValueError: there is no such quantization.
        """
        check_quantization(quant)
        return self.layout.tensors(quant)

    def parameters(self) -> int:
        """How many numbers the model has."""
        return sum(tensor.elements for tensor in self.tensors())

    def weight_bytes(self, quant: str = "Q4_K") -> int:
        """Bytes of the file but for its header: each tensor, padded as its format pads."""
        padding = ALIGNMENT if self.architecture else 1
        return sum(-(-tensor.nbytes // padding) * padding for tensor in self.tensors(quant))

    def file_name(self, quant: str = "Q4_K") -> str:
        """What its file is called: ``klein-4b-Q4_K.gguf``, ``flux2-vae.safetensors``."""
        return f"{self.name}-{quant}.gguf" if self.architecture else f"{self.name}.safetensors"


def check_quantization(quant: str) -> None:
    """Refuses a name that is no quantization.

    Raises:
        ValueError: it cannot be written; the message lists all that can.
    """
    if quant not in QUANTIZATIONS:
        raise ValueError(f"there is no quantization {quant!r}; choose one of {', '.join(QUANTIZATIONS)}")
