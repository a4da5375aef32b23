"""Model files that are all header: names and shapes of tensors as wanted, and a hole where the weights would be."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Iterable, Mapping
from math import prod
from pathlib import Path

Shapes = Mapping[str, tuple[int, ...]]
_WIDTHS = {"I64": 8, "F32": 4, "F16": 2, "BF16": 2, "F8_E4M3": 1, "U8": 1, "I8": 1, "F8_E8M0": 1}


def safetensors(path: Path, shapes: Shapes, dtype: str = "F16", others: Mapping[str, Shapes] | None = None) -> Path:
    """A safetensors file of tensors of one type; ``others`` are of further types."""
    header, end = {}, 0
    for kind, tensors in ((dtype, shapes), *(others or {}).items()):
        for name, shape in tensors.items():
            size = prod(shape) * _WIDTHS[kind]
            header[name] = {"dtype": kind, "shape": list(shape), "data_offsets": [end, end + size]}
            end += size
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text)
    os.truncate(path, 8 + len(text) + end)
    return path


def gguf(path: Path, shapes: Shapes, metadata: Mapping[str, str | float | Iterable[bytes]] | None = None) -> Path:
    """A GGUF file of F16 tensors. In ``metadata``, a list of bytes is an array of texts."""
    pairs = metadata or {}
    content = [b"GGUF" + struct.pack("<IQQ", 3, len(shapes), len(pairs))]
    for key, value in pairs.items():
        content.append(_text(key.encode()) + _value(value))
    offset = 0
    for name, shape in shapes.items():
        content.append(_text(name.encode()))
        content.append(struct.pack(f"<I{len(shape)}QIQ", len(shape), *reversed(shape), 1, offset))
        offset += -(-prod(shape) * 2 // 32) * 32
    header = b"".join(content)
    path.write_bytes(header)
    os.truncate(path, -(-len(header) // 32) * 32 + offset)
    return path


def _text(text: bytes) -> bytes:
    return struct.pack("<Q", len(text)) + text


def _value(value: str | float | Iterable[bytes]) -> bytes:
    if isinstance(value, str):
        return struct.pack("<I", 8) + _text(value.encode())
    if isinstance(value, (int, float)):
        return struct.pack("<If", 6, value)
    texts = list(value)
    return struct.pack("<IIQ", 9, 8, len(texts)) + b"".join(map(_text, texts))
