"""What is said of one tensor before it is written, and the types it can be stored in."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from sdcpp_py.ggml_types import GGML_TYPES

UNQUANTIZED = ("F32", "F16", "BF16")
QUANTIZATIONS = (*UNQUANTIZED, "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K")

# Type name -> (elements per block, bytes per block). ggml has no type of 8-bit floats; safetensors files have.
BLOCKS = {name: (elements, size) for name, elements, size in GGML_TYPES.values()} | {"F8_E4M3": (1, 1)}


@dataclass(frozen=True)
class Tensor:
    """One tensor to write.

    Attributes:
        name: as it stands in the file.
        shape: in numpy's order; the last axis is the one that blocks run along.
        type: ggml's name of the stored type ("Q4_K", "F32", ...).
        std: standard deviation of the random values; 0 fills the tensor with ``mean``.
        mean: mean of the values; anything but 0 needs type F32.
    """

    name: str
    shape: tuple[int, ...]
    type: str
    std: float
    mean: float = 0.0

    @property
    def elements(self) -> int:
        """How many numbers it holds."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes of its data in the file, without padding."""
        block, size = BLOCKS[self.type]
        return self.elements // block * size


class Layout(Protocol):
    """The sizes of one model, from which its tensors follow."""

    def tensors(self, quant: str) -> Iterator[Tensor]:
        """All tensors in the file's order, when its large matrices are stored as ``quant``."""


def matrix(name: str, rows: int, columns: int, type_: str, *, gain: float = 1.0) -> Tensor:
    """A linear layer's weight of shape (rows, columns).

    Its deviation, gain / sqrt(columns), keeps the size of what passes through: with anything larger, thirty random
    layers overflow.
    """
    return Tensor(name, (rows, columns), fitting(type_, columns), gain / math.sqrt(columns))


def constant(name: str, *shape: int, value: float = 0.0) -> Tensor:
    """A norm's scale, a bias, a statistic: F32 in files of every quantization."""
    return Tensor(name, shape, "F32", 0.0, value)


def linear(name: str, rows: int, columns: int, type_: str) -> Iterator[Tensor]:
    """A linear layer with a bias: ``name.weight`` and ``name.bias``."""
    yield matrix(f"{name}.weight", rows, columns, type_)
    yield constant(f"{name}.bias", rows)


def convolution(
    name: str, outputs: int, inputs: int, type_: str, *, kernel: int = 3, bias: bool = True
) -> Iterator[Tensor]:
    """A convolution with a square kernel. Its rows are too short for quantized blocks: it is F16 then."""
    shape = (outputs, inputs, kernel, kernel)
    yield Tensor(f"{name}.weight", shape, fitting(type_, kernel), 1 / math.sqrt(inputs * kernel * kernel))
    if bias:
        yield constant(f"{name}.bias", outputs)


def norm(name: str, channels: int) -> Iterator[Tensor]:
    """A norm that scales by ``name.weight`` and moves by ``name.bias``."""
    yield constant(f"{name}.weight", channels, value=1.0)
    yield constant(f"{name}.bias", channels)


def outside(quant: str, type_: str = "BF16") -> str:
    """Type of what lies outside the blocks: quantizers leave it as it was trained (``type_``)."""
    return quant if quant in UNQUANTIZED else type_


def fitting(type_: str, columns: int) -> str:
    """``type_``, or what real quantizers take for a row that its blocks do not divide: Q8_0, else F16."""
    if columns % BLOCKS[type_][0] == 0:
        return type_
    return "Q8_0" if columns % BLOCKS["Q8_0"][0] == 0 else "F16"
