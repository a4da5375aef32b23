"""Text encoders some of whose layers add nothing to what they get, and are not computed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import gguf

OUTPUTS = ("attn_output.weight", "ffn_down.weight")


def silence(path: Path, chosen: Callable[[str], bool], *, but_one: bool = False) -> Path:
    """Writes zeros over the output weights of an encoder's chosen tensors, or over all of each but its last number."""
    for tensor in gguf.GGUFReader(path, "r+").tensors:
        if tensor.name.endswith(OUTPUTS) and chosen(tensor.name):
            tensor.data.reshape(-1)[: -1 if but_one else None] = 0
    return path


def layer_of(name: str) -> int:
    """The number of the layer that a tensor belongs to."""
    return int(name.split(".")[1])
