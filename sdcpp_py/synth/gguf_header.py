"""The head of a GGUF file: what it says of itself, and of each tensor behind it."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence

from sdcpp_py.ggml_types import GGML_TYPES
from sdcpp_py.synth.tensors import Tensor

ALIGNMENT = 32
"""Tensors begin at multiples of this many bytes, counted from the end of the head."""

_MAGIC, _VERSION = b"GGUF", 3
_UINT32, _FLOAT32, _STRING = 4, 6, 8  # how the format numbers the types of values
_TYPE_NUMBERS = {name: number for number, (name, _, _) in GGML_TYPES.items()}


def gguf_header(metadata: Mapping[str, str | int | float], tensors: Sequence[Tensor]) -> bytes:
    """The file up to where its first tensor begins.

    Args:
        metadata: keys and values in their order: texts, whole numbers of 32 bits without a sign, and floats of 32 bits.
        tensors: in the order in which their data will follow, each padded to ``ALIGNMENT``.
    """
    pieces = [struct.pack("<4sIQQ", _MAGIC, _VERSION, len(tensors), len(metadata))]
    pieces += [_text(key) + _value(value) for key, value in metadata.items()]
    offset = 0
    for tensor in tensors:
        # The format has the quickest axis first, numpy last.
        shape, axes = tensor.shape[::-1], len(tensor.shape)
        pieces.append(_text(tensor.name))
        pieces.append(struct.pack(f"<I{axes}QIQ", axes, *shape, _TYPE_NUMBERS[tensor.type], offset))
        offset += tensor.nbytes + len(padding(tensor.nbytes))
    head = b"".join(pieces)
    return head + padding(len(head))


def padding(nbytes: int) -> bytes:
    """What follows so many bytes, up to the next multiple of ``ALIGNMENT``."""
    return bytes(-nbytes % ALIGNMENT)


def _text(text: str) -> bytes:
    encoded = text.encode()
    return struct.pack("<Q", len(encoded)) + encoded


def _value(value: str | int | float) -> bytes:
    if isinstance(value, str):
        return struct.pack("<I", _STRING) + _text(value)
    if isinstance(value, int):
        return struct.pack("<II", _UINT32, value)
    return struct.pack("<If", _FLOAT32, value)
