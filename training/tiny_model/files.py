"""The model's three files: written from what was trained, and read back."""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import Flux2Transformer2DModel
from safetensors.torch import load_file, save_file
from transformers import Qwen3Model

from .autoencoder import FORMAT_CHANNELS, Autoencoder, from_format, widened
from .flow import small_klein
from .gguf_file import read_gguf, write_gguf
from .naming import diffusers_names, klein_names, llama_name, transformers_name
from .sizes import SIZES
from .text_encoder import (
    FFN,
    HIDDEN_SIZE,
    TOTAL_HEADS,
    TOTAL_LAYERS,
    TRAINED_LAYERS,
    TextEncoder,
    Vocabulary,
    full_qwen3,
    qwen3,
)

DENOISER = "denoiser.gguf"
TEXT_ENCODER = "qwen3.gguf"
AUTOENCODER = "autoencoder.safetensors"
_LICENCE = {"general.license": "mit"}


def write_denoiser(model: Flux2Transformer2DModel, path: Path, quant: str = "Q8_0") -> None:
    """Writes the denoiser; ``quant`` is the type of the blocks' matrices and of those that modulate them."""

    def type_of(name: str, tensor: torch.Tensor) -> str:
        if tensor.ndim == 1:
            return "F32"
        return quant if "blocks" in name or "modulation" in name else "F16"

    metadata = {
        "general.name": "sdcpp_py tiny",
        "sdcpp_py.default_width": SIZES[0][0],
        "sdcpp_py.default_height": SIZES[0][1],
        **_LICENCE,
    }
    write_gguf(path, "flux", klein_names(model.state_dict()), metadata, type_of)


def read_denoiser(path: Path) -> Flux2Transformer2DModel:
    """The denoiser of a file, in diffusers and in float32."""
    model = small_klein()
    model.load_state_dict(diffusers_names(read_gguf(path)))
    return model.eval()


def write_text_encoder(encoder: TextEncoder, vocabulary: Vocabulary, path: Path) -> None:
    """Writes the encoder: what is trained in half precision, the table and the silent layers in four bits."""
    trained = {f"blk.{layer}" for layer in TRAINED_LAYERS}

    def type_of(name: str, tensor: torch.Tensor) -> str:
        if tensor.ndim == 1:
            return "F32"
        return "F16" if ".".join(name.split(".")[:2]) in trained else "Q4_0"

    metadata = {
        "general.name": "sdcpp_py tiny text encoder",
        "qwen3.block_count": TOTAL_LAYERS,
        "qwen3.context_length": 40960,
        "qwen3.embedding_length": HIDDEN_SIZE,
        "qwen3.feed_forward_length": FFN,
        "qwen3.attention.head_count": TOTAL_HEADS[0],
        "qwen3.attention.head_count_kv": TOTAL_HEADS[1],
        "qwen3.attention.key_length": 128,
        "qwen3.attention.value_length": 128,
        "qwen3.attention.layer_norm_rms_epsilon": 1e-6,
        "qwen3.rope.freq_base": 1e6,
        **_LICENCE,
    }
    tensors = {llama_name(name): tensor for name, tensor in full_qwen3(encoder, vocabulary).state_dict().items()}
    write_gguf(path, "qwen3", tensors, metadata, type_of)


def read_text_encoder(path: Path) -> Qwen3Model:
    """The encoder of a file, whole, in transformers and in float32."""
    tensors = {transformers_name(name): tensor for name, tensor in read_gguf(path).items()}
    model = qwen3(TOTAL_LAYERS, len(tensors["embed_tokens.weight"]), *TOTAL_HEADS)
    model.load_state_dict(tensors)
    return model.eval()


def write_autoencoder(autoencoder: Autoencoder, path: Path) -> None:
    """Writes the autoencoder in half precision, both directions."""
    tensors = widened(autoencoder.state_dict())
    save_file({name: tensor.half().contiguous() for name, tensor in tensors.items()}, path, {"license": "mit"})


def read_autoencoder(path: Path, channels: int = FORMAT_CHANNELS) -> Autoencoder:
    """The autoencoder of a file in float32: as wide as it stands there, or its first channels, where those are all."""
    return from_format(load_file(path), channels)
