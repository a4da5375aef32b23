"""Writing float32 weights to GGUF."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from gguf import GGUFWriter


def write_gguf(path: Path, architecture: str, tensors: Mapping[str, torch.Tensor]) -> None:
    """Writes a file that holds the tensors under the names given."""
    writer = GGUFWriter(path, architecture)
    for name, tensor in tensors.items():
        writer.add_tensor(name, np.ascontiguousarray(tensor.detach().numpy(), dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
