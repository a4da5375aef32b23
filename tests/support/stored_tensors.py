"""Tensors with their bytes, and model files that are written of them in any form."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sdcpp_py.ggml_types import GGML_TYPES
from sdcpp_py.models.detect.headers import read_header

Floats = NDArray[np.float32]
_NUMBERS = {name: number for number, (name, _, _) in GGML_TYPES.items()}


@dataclass(frozen=True)
class Stored:
    """A tensor as a file has it."""

    dtype: str
    shape: tuple[int, ...]
    data: bytes


Tensors = Mapping[str, Stored]


def _eight_bits(exponent_bits: int, mantissa_bits: int, bias: int) -> Floats:
    """The values of all bytes of an eight-bit float, by its definition; NaN where it has infinities or none."""
    values = np.empty(256, np.float32)
    for byte in range(256):
        exponent, mantissa = byte >> mantissa_bits & (1 << exponent_bits) - 1, byte & (1 << mantissa_bits) - 1
        fraction = mantissa / (1 << mantissa_bits)
        size = (1 + fraction) * 2.0 ** (exponent - bias) if exponent else fraction * 2.0 ** (1 - bias)
        values[byte] = -size if byte & 0x80 else size
    return values


E4M3 = _eight_bits(4, 3, 7)
E4M3[[0x7F, 0xFF]] = np.nan
E5M2 = _eight_bits(5, 2, 15)
E5M2[[*range(0x7C, 0x80), *range(0xFC, 0x100)]] = np.nan
_FLOATS8 = {"F8_E4M3": E4M3, "F8_E5M2": E5M2}


def eight_bits(values: Floats, dtype: str) -> NDArray[np.uint8]:
    """The bytes of the nearest numbers that an eight-bit float has."""
    table = _FLOATS8[dtype]
    order = np.argsort(np.where(np.isnan(table), np.inf, table), kind="stable")[: int(np.isfinite(table).sum())]
    known = table[order]
    above = np.clip(np.searchsorted(known, values), 1, len(known) - 1)
    nearer = np.where(values - known[above - 1] < known[above] - values, above - 1, above)
    return order[nearer].astype(np.uint8)


def stored(values: Floats, dtype: str) -> Stored:
    """Numbers in a type, rounded where it has not all of them."""
    if dtype in _FLOATS8:
        return Stored(dtype, values.shape, eight_bits(values, dtype).tobytes())
    if dtype == "BF16":
        return Stored(dtype, values.shape, (np.ascontiguousarray(values).view(np.uint32) >> 16).astype("<u2").tobytes())
    return Stored(dtype, values.shape, values.astype({"F16": "<f2", "F32": "<f4", "F64": "<f8"}[dtype]).tobytes())


def floats(tensor: Stored) -> Floats:
    """The numbers of a tensor."""
    if tensor.dtype in _FLOATS8:
        found: Floats = _FLOATS8[tensor.dtype][np.frombuffer(tensor.data, np.uint8)]
    elif tensor.dtype == "BF16":
        found = (np.frombuffer(tensor.data, "<u2").astype(np.uint32) << 16).view(np.float32)
    else:
        found = np.frombuffer(tensor.data, {"F16": "<f2", "F32": "<f4", "F64": "<f8"}[tensor.dtype]).astype(np.float32)
    return found.reshape(tensor.shape)


def read(path: Path) -> dict[str, Stored]:
    """The tensors of a file."""
    content = path.read_bytes()
    return {
        name: Stored(info.dtype, info.shape, content[info.offset : info.offset + info.nbytes])
        for name, info in read_header(path).tensors.items()
    }


def write_safetensors(path: Path, tensors: Tensors, metadata: Mapping[str, str] | None = None) -> Path:
    """A safetensors file."""
    header: dict[str, object] = {} if metadata is None else {"__metadata__": dict(metadata)}
    end = 0
    for name, tensor in tensors.items():
        header[name] = {
            "dtype": tensor.dtype,
            "shape": list(tensor.shape),
            "data_offsets": [end, end + len(tensor.data)],
        }
        end += len(tensor.data)
    text = json.dumps(header).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(tensor.data for tensor in tensors.values()))
    return path


def write_gguf(path: Path, tensors: Tensors, alignment: int = 32, lists: Sequence[str] = ()) -> Path:
    """A GGUF file. ``lists``: the names of lists of texts among its metadata."""
    pairs = [_text("general.architecture") + struct.pack("<I", 8) + _text("any")]
    pairs += [_text(name) + struct.pack("<IIQ", 9, 8, 2) + _text("a") + _text("b") for name in lists]
    if alignment != 32:
        pairs.append(_text("general.alignment") + struct.pack("<II", 4, alignment))
    infos: list[bytes] = []
    data: list[bytes] = []
    end = 0
    for name, tensor in tensors.items():
        shape = tensor.shape[::-1]
        infos.append(_text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, _NUMBERS[tensor.dtype], end))
        data += [tensor.data, bytes(-len(tensor.data) % alignment)]
        end += sum(map(len, data[-2:]))
    head = struct.pack("<4sIQQ", b"GGUF", 3, len(tensors), len(pairs)) + b"".join([*pairs, *infos])
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join([head, bytes(-len(head) % alignment), *data]))
    return path


def _text(text: str) -> bytes:
    encoded = text.encode()
    return struct.pack("<Q", len(encoded)) + encoded


def split(tensors: Tensors, count: int) -> list[dict[str, Stored]]:
    """Tensors in so many lots, neighbours apart."""
    names = list(tensors)
    return [{name: tensors[name] for name in names[number::count]} for number in range(count)]


def write_sharded(folder: Path, stem: str, tensors: Tensors, count: int = 3) -> Path:
    """A model in several safetensors files with an index. Returns the index."""
    weight_map: dict[str, str] = {}
    for number, lot in enumerate(split(tensors, count), 1):
        name = f"{stem}-{number:05}-of-{count:05}.safetensors"
        write_safetensors(folder / name, lot, {"format": "pt"})
        weight_map |= dict.fromkeys(lot, name)
    index = folder / f"{stem}.safetensors.index.json"
    size = sum(len(tensor.data) for tensor in tensors.values())
    index.write_text(json.dumps({"metadata": {"total_size": size}, "weight_map": weight_map}))
    return index


def rows(tensor: Stored, begin: int, end: int) -> Stored:
    """Some rows of a tensor."""
    row = len(tensor.data) // tensor.shape[0]
    return Stored(tensor.dtype, (end - begin, *tensor.shape[1:]), tensor.data[begin * row : end * row])


def elements(tensor: Stored) -> int:
    """How many numbers it holds."""
    return prod(tensor.shape)
