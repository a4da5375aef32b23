"""Files in which one tensor claims another type: every type, at every kind of tensor of every part."""

from __future__ import annotations

import json
import re
import struct
from dataclasses import dataclass
from math import prod
from pathlib import Path
from random import Random

import numpy as np

from sdcpp_py.ggml_types import GGML_TYPES
from sdcpp_py.models.detect.headers import read_header
from sdcpp_py.models.tensors import TensorInfo
from tests.hostile import gguf_mutants, safetensors_mutants

# Numbers of types that ggml has no more, has not yet, or never has.
_UNKNOWN = (4, 5, 31, 33, 36, 41, 63, 2**31)


@dataclass(frozen=True)
class Retyped:
    """A tensor of a file, and the type that it is to claim.

    Attributes:
        role: of the file.
        format: "gguf" or "safetensors", in which the part is written for it.
        tensor: the name.
        type: ggml's number, or the name in safetensors.
    """

    role: str
    format: str
    tensor: str
    type: int | str


def cases(files: dict[str, Path]) -> list[Retyped]:
    """All of them, in an order of chance, so that the first ones are a sample."""
    found = [
        Retyped(role, format_, tensor, kind)
        for role, path in files.items()
        for tensor in one_of_each_kind(path)
        for format_, kinds in (
            ("gguf", (*GGML_TYPES, *_UNKNOWN)),
            ("safetensors", (*safetensors_mutants.WIDTHS, "F16X")),
        )
        for kind in kinds
    ]
    Random(0).shuffle(found)
    return found


def one_of_each_kind(path: Path) -> list[str]:
    """Of tensors whose names differ in numbers alone, and whose shapes have as many axes, one."""
    kinds: dict[tuple[str, int], str] = {}
    for name, tensor in read_header(path).tensors.items():
        kinds.setdefault((re.sub(r"\d+", "", name), len(tensor.shape)), name)
    return sorted(kinds.values())


def write_retyped(case: Retyped, original: Path, folder: Path) -> Path:
    """Writes the file of a case."""
    sound = _sound(original, case.format, folder)
    path = folder / f"retyped.{case.format}"
    data = bytearray(sound.read_bytes())
    if isinstance(case.type, int):
        places = gguf_mutants.places_of(bytes(data))
        name = case.tensor.encode()
        tensor = next(one for one in places.tensors if data[one.name : one.name + one.name_bytes] == name)
        gguf_mutants.set_type(data, places, tensor, case.type)
        path.write_bytes(data)
        return path
    header, weights = safetensors_mutants.split(bytes(data))
    behind = bytearray(weights)
    if case.type in safetensors_mutants.WIDTHS:
        safetensors_mutants.set_type(header, behind, case.tensor, case.type)
    else:
        header[case.tensor]["dtype"] = case.type
    path.write_bytes(safetensors_mutants.joined(json.dumps(header), behind))
    return path


def _sound(original: Path, format_: str, folder: Path) -> Path:
    """A file in a format: the original, or one of its names and shapes with small random weights."""
    if original.suffix == f".{format_}":
        return original
    path = folder / f"{original.stem}-sound.{format_}"
    if not path.exists():
        tensors = read_header(original).tensors
        path.write_bytes(_as_gguf(tensors) if format_ == "gguf" else _as_safetensors(tensors))
    return path


def _weights(tensor: TensorInfo) -> bytes:
    """Norms of one, and all else around zero."""
    values = np.random.default_rng(0).normal(0, 0.05, tensor.shape) if len(tensor.shape) > 1 else np.ones(tensor.shape)
    return values.astype(np.float16).tobytes()


def _as_safetensors(tensors: dict[str, TensorInfo] | object) -> bytes:
    assert isinstance(tensors, dict)
    header, weights = {}, bytearray()
    for name, tensor in tensors.items():
        size = prod(tensor.shape) * 2
        header[name] = {
            "dtype": "F16",
            "shape": list(tensor.shape),
            "data_offsets": [len(weights), len(weights) + size],
        }
        weights += _weights(tensor)
    return safetensors_mutants.joined(json.dumps(header), weights)


def _as_gguf(tensors: dict[str, TensorInfo] | object) -> bytes:
    assert isinstance(tensors, dict)
    header, weights = bytearray(b"GGUF" + struct.pack("<IQQ", 3, len(tensors), 0)), bytearray()
    for name, tensor in tensors.items():
        raw = name.encode()
        header += struct.pack("<Q", len(raw)) + raw + struct.pack("<I", len(tensor.shape))
        header += struct.pack(f"<{len(tensor.shape)}Q", *reversed(tensor.shape)) + struct.pack("<IQ", 1, len(weights))
        weights += _weights(tensor)
        weights += bytes(-len(weights) % 32)
    return bytes(header + bytes(-len(header) % 32) + weights)
