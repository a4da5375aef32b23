"""The tensors of a model file, as its header names them, and the two ways in which a header can be refused."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class TensorInfo:
    """One tensor of a file.

    Attributes:
        shape: in numpy's order (rows first).
        dtype: the name of its type.
        nbytes: bytes in the file; 0 where an axis is empty.
        offset: where they begin, in bytes from the file's begin.
        file: the number of the file that they are in, of a model in several.
    """

    shape: tuple[int, ...]
    dtype: str
    nbytes: int
    offset: int
    file: int = 0


Tensors = Mapping[str, TensorInfo]
"""Tensors by name."""


class Damaged(Exception):
    """The bytes contradict the format: no program wrote them so."""


class Unsupported(Exception):
    """The file may be whole, and the engine does not read it, or would read something else in it than is there."""


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


def elements_of(shape: Iterable[int]) -> int:
    """How many numbers a tensor of that shape holds."""
    count = 1
    for size in shape:
        count *= size
    return count


def check_empty(name: str, shape: tuple[int, ...], dtype: str) -> None:
    """Raises Unsupported for a matrix of nothing. An empty list is a mark, such as ComfyUI's ``v_pred``.

    The engine takes widths from matrices, and divides by them.
    """
    if 0 in shape and len(shape) > 1:
        raise Unsupported(f"tensor '{name}' of type {dtype} and shape {shape} is empty")
