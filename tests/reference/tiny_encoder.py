"""A small random Qwen3, in transformers and as a file in llama.cpp's naming."""

from __future__ import annotations

from pathlib import Path

from tiny_model.gguf_file import write_gguf
from tiny_model.naming import llama_name
from tiny_model.qwen_tokenizer import VOCABULARY_SIZE
from transformers import Qwen3Config, Qwen3Model

from .random_weights import randomise

HIDDEN_SIZE = 64
# The engine takes the number of heads from the number of layers: 28 is the Qwen3 with 16 heads, all others have 32.
HEADS_BY_LAYERS = {28: 16, 36: 32}


def qwen3_config(hidden: int, intermediate: int, layers: int) -> Qwen3Config:
    """A Qwen3 that differs from the real ones in its width and its depth alone."""
    return Qwen3Config(
        vocab_size=VOCABULARY_SIZE,
        hidden_size=hidden,
        intermediate_size=intermediate,
        num_hidden_layers=layers,
        num_attention_heads=HEADS_BY_LAYERS[layers],
        num_key_value_heads=8,
        head_dim=128,
        max_position_embeddings=40960,
        rms_norm_eps=1e-6,
        rope_parameters={"rope_type": "default", "rope_theta": 1_000_000.0},
        attention_bias=False,
    )


def tiny_encoder(layers: int, seed: int) -> Qwen3Model:
    """A narrow one with random weights."""
    model = Qwen3Model(qwen3_config(HIDDEN_SIZE, 3 * HIDDEN_SIZE, layers))
    randomise(model, seed)
    return model


def export_encoder(model: Qwen3Model, path: Path) -> None:
    """Writes the encoder as llama.cpp's converter would."""
    write_gguf(path, "qwen3", {llama_name(name): tensor for name, tensor in model.state_dict().items()})
