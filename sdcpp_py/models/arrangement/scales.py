"""Weights with scales beside them: eight-bit floats as ComfyUI and others write them.

A layer's scale multiplies its stored numbers: one number for the whole, one for each row, or one for each square of 128
by 128. ComfyUI calls it ``scale_weight``, and later ``weight_scale``; models that were trained so have
``weight_scale_inv``. What is said there of the numbers that go into a layer is for GPUs that multiply in eight bits,
and has no use here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import prod

from sdcpp_py.models.arrangement.pieces import FLOATS, Arranged, Scale
from sdcpp_py.models.tensors import TensorInfo

_WEIGHT = "weight"
_OF_WEIGHTS = ("scale_weight", "weight_scale", "weight_scale_inv")
_OF_INPUTS = ("scale_input", "input_scale", "comfy_quant")
_MARK = "scaled_fp8"
_SQUARE = 128
_READ = ("F32", "F16", "BF16")


def without_scales(tensors: Mapping[str, Arranged]) -> tuple[dict[str, Arranged], bool]:
    """Tensors with their scales taken to them, and whether there were any.

    Scales of packed weights stay what they are: these are refused for their type. Raises ValueError where a scale does
    not fit its tensor, or is of a type that is not known.
    """
    scales: dict[str, str] = {}
    left: dict[str, Arranged] = {}
    beside = False
    for name, tensor in tensors.items():
        layer, dot, end = name.rpartition(".")
        weight = layer + dot + _WEIGHT
        if end in _OF_WEIGHTS and _is_float(tensors, weight):
            scales[weight] = name
        elif (end in _OF_INPUTS and _is_float(tensors, weight)) or end == _MARK:
            beside = True
        else:
            left[name] = tensor
    for weight, name in scales.items():
        (piece,) = left[weight].pieces
        scale = _grid(piece.tensor.shape, tensors[name].pieces[0].tensor, name)
        left[weight] = replace(left[weight], pieces=(replace(piece, scale=scale),))
    return left, beside or bool(scales)


def _is_float(tensors: Mapping[str, Arranged], weight: str) -> bool:
    return weight in tensors and tensors[weight].pieces[0].tensor.dtype in FLOATS


def _grid(shape: tuple[int, ...], scale: TensorInfo, name: str) -> Scale:
    """What each number of a scale is for. Raises ValueError."""
    if scale.dtype not in _READ:
        known = ", ".join(_READ)
        raise ValueError(f"holds the scale '{name}' of type {scale.dtype}, which is not read; known are {known}")
    columns = shape[-1] if shape else 1
    rows = shape[0] if len(shape) > 1 else 1
    if prod(scale.shape) == 1:
        return Scale(scale, 1, 1, rows, columns)
    if prod(scale.shape) == rows == scale.shape[0]:
        return Scale(scale, rows, 1, 1, columns)
    if len(scale.shape) == len(shape) == 2:
        down, across = scale.shape
        if (down, across) == (-(-rows // _SQUARE), -(-columns // _SQUARE)):
            return Scale(scale, down, across, min(rows, _SQUARE), min(columns, _SQUARE))
        if rows % down == 0 and columns % across == 0:
            return Scale(scale, down, across, rows // down, columns // across)
    raise ValueError(
        f"holds the scale '{name}' of shape {scale.shape} for a tensor of shape {shape}; known are one number, one for "
        f"each row, and one for each square of {_SQUARE} by {_SQUARE}"
    )
