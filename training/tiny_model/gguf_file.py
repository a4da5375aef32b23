"""Writing and reading weights as GGUF."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from gguf import GGMLQuantizationType, GGUFReader, GGUFWriter, dequantize, quantize

Metadata = Mapping[str, str | int | float]


def write_gguf(
    path: Path,
    architecture: str,
    tensors: Mapping[str, torch.Tensor],
    metadata: Metadata | None = None,
    type_of: Callable[[str, torch.Tensor], str] = lambda name, tensor: "F32",
) -> None:
    """Writes a file that holds the tensors under the names given.

    Args:
        path: where to.
        architecture: ``general.architecture``.
        tensors: float32.
        metadata: further key-value pairs: strings, 32-bit integers and floats.
        type_of: (name, tensor) -> the tensor's GGUF type, as "Q8_0".
    """
    writer = GGUFWriter(path, architecture)
    for key, value in (metadata or {}).items():
        if isinstance(value, str):
            writer.add_string(key, value)
        elif isinstance(value, int):
            writer.add_uint32(key, value)
        else:
            writer.add_float32(key, value)
    for name, tensor in tensors.items():
        kind = GGMLQuantizationType[type_of(name, tensor)]
        data = np.ascontiguousarray(tensor.detach().numpy(), dtype=np.float32)
        writer.add_tensor(name, quantize(data, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def read_gguf(path: Path) -> dict[str, torch.Tensor]:
    """All tensors of a file in float32, as whoever loads it understands them."""
    return {
        tensor.name: torch.from_numpy(
            # A copy in any case: what is stored in float32 comes as a read-only view of the file.
            np.array(dequantize(tensor.data, tensor.tensor_type), dtype=np.float32).reshape(
                tuple(int(extent) for extent in reversed(tensor.shape))
            )
        )
        for tensor in GGUFReader(path).tensors
    }
