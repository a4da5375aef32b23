"""Narrow matrices beside the denoiser's layers, and the file that they are kept in."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from diffusers import Flux2Transformer2DModel
from safetensors.torch import load_file, save_file
from torch import nn

_PREFIX = "transformer."  # what diffusers puts before the denoiser's layers


class Adapted(nn.Module):
    """A layer as it was, and beside it two narrow matrices, whose product begins as nothing."""

    def __init__(self, layer: nn.Linear, rank: int) -> None:
        super().__init__()
        self.layer = layer.requires_grad_(False)
        self.down = nn.Linear(layer.in_features, rank, bias=False)
        self.up = nn.Linear(rank, layer.out_features, bias=False)
        nn.init.normal_(self.down.weight, std=layer.in_features**-0.5)
        nn.init.zeros_(self.up.weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(..., inputs) to (..., outputs)."""
        return self.layer(x) + self.up(self.down(x))


def adapt(model: Flux2Transformer2DModel, rank: int) -> dict[str, Adapted]:
    """Puts narrow matrices beside every layer of the model's blocks; the rest of the model is held fast.

    Args:
        model: is changed.
        rank: how narrow.

    Returns:
        By the names of the layers.
    """
    model.requires_grad_(False)
    layers = [
        (name, layer)
        for name, layer in model.named_modules()
        if isinstance(layer, nn.Linear) and "transformer_blocks." in name
    ]
    adapted = {}
    for name, layer in layers:
        adapted[name] = Adapted(layer, rank)
        model.set_submodule(name, adapted[name])
    return adapted


def write_lora(adapted: Mapping[str, Adapted], path: Path, word: str) -> None:
    """Writes the matrices in half precision under the names that diffusers and PEFT give them."""
    tensors = {}
    for name, layer in adapted.items():
        tensors[f"{_PREFIX}{name}.lora_A.weight"] = layer.down.weight.detach().half().contiguous()
        tensors[f"{_PREFIX}{name}.lora_B.weight"] = layer.up.weight.detach().half().contiguous()
    save_file(tensors, path, {"modelspec.title": f"tiny {word}", "modelspec.trigger_phrase": word, "license": "mit"})


@torch.no_grad()
def read_lora(model: Flux2Transformer2DModel, path: Path, weight: float = 1.0) -> dict[str, Adapted]:
    """Puts a file's matrices beside the layers of a model, which is changed; ``weight`` is how often they are added."""
    tensors = load_file(path)
    rank = next(len(tensor) for name, tensor in tensors.items() if "lora_A" in name)
    adapted = adapt(model, rank)
    for name, layer in adapted.items():
        layer.down.weight.copy_(tensors[f"{_PREFIX}{name}.lora_A.weight"])
        layer.up.weight.copy_(tensors[f"{_PREFIX}{name}.lora_B.weight"]).mul_(weight)
    return adapted
