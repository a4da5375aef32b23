"""Tensors as pieces of what lies in files, and how they are written down for the native library."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path

from sdcpp_py.models.detect.headers import FileHeader
from sdcpp_py.models.tensors import TensorInfo

_BETWEEN_RECORDS, _BETWEEN_FIELDS = "\x1e", "\x1f"
_AXES = 4
# In memory, where that is another type than in the file.
_IN_MEMORY = {"F8_E4M3": "F16", "F8_E5M2": "F16", "F64": "F32", "I64": "I32"}
FLOATS = frozenset({"F64", "F32", "F16", "BF16", "F8_E4M3", "F8_E5M2"})


@dataclass(frozen=True)
class Scale:
    """Numbers that multiply those of a piece.

    Attributes:
        tensor: where they are.
        rows, columns: of numbers.
        of_rows, of_columns: how many of the piece's each is for.
    """

    tensor: TensorInfo
    rows: int
    columns: int
    of_rows: int
    of_columns: int


@dataclass(frozen=True)
class Piece:
    """Rows of a tensor, as they lie in a file.

    Attributes:
        tensor: their type and place, with the shape of these rows alone.
        scale: None where the numbers are what is stored.
    """

    tensor: TensorInfo
    scale: Scale | None = None

    def halves(self) -> tuple[Piece, Piece]:
        """The first half of the rows, and the second. Raises ValueError where that is not to be had."""
        rows, *others = self.tensor.shape or (1,)
        if rows % 2 or (self.scale is not None and self.scale.rows > 1):
            raise ValueError(f"holds a tensor of shape {self.tensor.shape} that cannot be cut into halves")
        half = replace(self.tensor, shape=(rows // 2, *others), nbytes=self.tensor.nbytes // 2)
        second = replace(half, offset=self.tensor.offset + half.nbytes)
        return replace(self, tensor=half), replace(self, tensor=second)


@dataclass(frozen=True)
class Arranged:
    """A tensor as the engine is to see it.

    Attributes:
        shape: in numpy's order.
        pieces: its rows, one after the other.
    """

    shape: tuple[int, ...]
    pieces: tuple[Piece, ...]

    @property
    def type(self) -> str:
        """Its type in memory, by ggml's name."""
        types = {_IN_MEMORY.get(piece.tensor.dtype, piece.tensor.dtype) for piece in self.pieces}
        if len(types) == 1:
            return types.pop()
        # Of several floats the one that holds all; numbers out of blocks are no longer in blocks together.
        return "F32" if types <= FLOATS else "F16"

    def seen(self) -> TensorInfo:
        """The tensor as a header has it; of several pieces, with the first one's place."""
        first = self.pieces[0].tensor
        return replace(first, shape=self.shape, nbytes=sum(piece.tensor.nbytes for piece in self.pieces))


def plain(header: FileHeader) -> dict[str, Arranged]:
    """The tensors of a header, each of one piece."""
    return {name: Arranged(tensor.shape, (Piece(tensor),)) for name, tensor in header.tensors.items()}


def joined(name: str, tensors: Sequence[Arranged]) -> Arranged:
    """Tensors laid together, the rows of the first one before those of the others.

    Raises ValueError where their rows are of different lengths.
    """
    tails = {tensor.shape[1:] for tensor in tensors}
    if len(tails) != 1 or () in (tensor.shape for tensor in tensors):
        shapes = ", ".join(str(tensor.shape) for tensor in tensors)
        raise ValueError(f"holds parts of '{name}' that do not fit each other, of the shapes {shapes}")
    rows = sum(tensor.shape[0] for tensor in tensors)
    return Arranged((rows, *tails.pop()), tuple(piece for tensor in tensors for piece in tensor.pieces))


def swapped(tensor: Arranged) -> Arranged:
    """A tensor of one piece with its second half of rows before the first. Raises ValueError."""
    first, second = tensor.pieces[0].halves()
    return replace(tensor, pieces=(second, first))


def written(files: Sequence[Path], tensors: Mapping[str, Arranged], format_: str) -> str:
    """Tensors and files as ``native/weights/arranged_files.h`` says.

    Raises ValueError for a path or a name with a character in it that stands between records or fields.
    """
    records: list[tuple[str, ...]] = [("F", str(file)) for file in files]
    for name, tensor in tensors.items():
        if prod(tensor.shape) == 0 or any(_is_bytes(piece) for piece in tensor.pieces):
            continue  # marks and notes beside the weights
        records += _records(name, tensor, format_)
    if any(mark in field for record in records for field in record for mark in (_BETWEEN_RECORDS, _BETWEEN_FIELDS)):
        raise ValueError("has a control character in the path of a file, or in the name of a tensor; rename it")
    return _BETWEEN_RECORDS.join(_BETWEEN_FIELDS.join(record) for record in records)


def _is_bytes(piece: Piece) -> bool:
    return piece.tensor.dtype in ("U8", "BOOL")


def _records(name: str, tensor: Arranged, format_: str) -> Iterator[tuple[str, ...]]:
    extents = _extents(tensor.shape)
    # ggml's own reader forgets of axes of one, the outermost first.
    axes = max((place + 1 for place, size in enumerate(extents) if size > 1), default=1)
    if format_ == "safetensors":
        axes = min(max(1, len(tensor.shape)), _AXES)
    yield ("T", name, tensor.type, str(axes), *map(str, extents))
    for piece in tensor.pieces:
        at = piece.tensor
        whole = len(tensor.pieces) == 1
        yield ("R", str(at.file), str(at.offset), at.dtype, *map(str, _extents(tensor.shape if whole else at.shape)))
        if piece.scale is not None:
            yield _scale_record(piece.scale, at)


def _scale_record(scale: Scale, at: TensorInfo) -> tuple[str, ...]:
    # The native library counts as a row what lies along the last axis; a convolution has many of them for each output.
    inner = prod(at.shape[1:-1])
    places = (scale.tensor.file, scale.tensor.offset)
    sizes = (scale.rows, scale.columns, scale.of_rows * inner, scale.of_columns)
    return ("S", *map(str, places), scale.tensor.dtype, *map(str, sizes))


def _extents(shape: tuple[int, ...]) -> tuple[int, ...]:
    """A shape as ggml has it: four extents, the innermost first. Of five axes the outer two are one."""
    if len(shape) > _AXES:
        shape = (shape[0] * shape[1], *shape[2:])
    return (*reversed(shape), *(1 for _ in range(_AXES - len(shape))))
