"""A small random Stable Diffusion 3.5: the library's own files, and its denoiser as diffusers converts it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from diffusers import SD3Transformer2DModel
from diffusers.loaders.single_file_utils import convert_sd3_transformer_checkpoint_to_diffusers
from diffusers.models.activations import GELU
from gguf import GGUFReader, dequantize

WIDTH = 128
_PATCH = "x_embedder.proj.weight"


def gelu_of_float16(numbers: torch.Tensor) -> torch.Tensor:
    """GELU as a table has it whose places and values are float16; from 10 on it is the number itself."""
    values = torch.nn.functional.gelu(numbers.half().float(), approximate="tanh").half().float()
    return torch.where(numbers >= 10, numbers, values)


def denoiser_of(files: Mapping[str, Path]) -> SD3Transformer2DModel:
    """The denoiser of a "tiny-sd3" in float32, but for its only convolution and its GELU.

    ggml has both in float16 on the CPU: a convolution's weights, and a table of GELU's values. That alone makes a
    difference of 0.0001.
    """
    tensors = {
        tensor.name: torch.from_numpy(np.array(dequantize(tensor.data, tensor.tensor_type))).reshape(
            [int(extent) for extent in reversed(tensor.shape)]
        )
        for tensor in GGUFReader(files["diffusion_model"]).tensors
    }
    tensors["pos_embed"] = tensors["pos_embed"].reshape(1, -1, WIDTH)
    tensors[_PATCH] = tensors[_PATCH].reshape(WIDTH, 16, 2, 2).half().float()
    denoiser = SD3Transformer2DModel(
        sample_size=128,
        patch_size=2,
        in_channels=16,
        num_layers=2,
        attention_head_dim=64,
        num_attention_heads=2,
        joint_attention_dim=4096,
        caption_projection_dim=WIDTH,
        pooled_projection_dim=2048,
        out_channels=16,
        pos_embed_max_size=384,
        dual_attention_layers=(0,),
        qk_norm="rms_norm",
    )
    denoiser.load_state_dict(convert_sd3_transformer_checkpoint_to_diffusers(tensors))
    for module in denoiser.modules():
        if isinstance(module, GELU):
            module.gelu = gelu_of_float16
    denoiser.eval()
    denoiser.requires_grad_(False)
    return denoiser
