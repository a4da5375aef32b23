"""The tensors of a model file, as its header names them, and questions about their names and shapes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class TensorInfo:
    """One tensor of a file: its shape in numpy's order (rows first), its type's name, and its bytes in the file."""

    shape: tuple[int, ...]
    dtype: str
    nbytes: int


Tensors = Mapping[str, TensorInfo]
"""Tensors by name."""


def extent(tensors: Tensors, name: str, axis: int = -1) -> int:
    """One extent of a tensor's shape, in numpy's order; 0 where there is no such tensor or axis."""
    tensor = tensors.get(name)
    if tensor is None or not -len(tensor.shape) <= axis < len(tensor.shape):
        return 0
    return tensor.shape[axis]


def count_of(tensors: Tensors, name: str) -> int:
    """How many tensors bear a name with a number in it, from 0 on."""
    count = 0
    while name.format(count) in tensors:
        count += 1
    return count
