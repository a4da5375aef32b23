"""The parts of a model and the roles of its files: the words that all packages share."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

PARTS = ("text_encoder", "diffusion_model", "vae")
"""The parts of a model, in the order in which a picture passes them."""

ROLES = ("model", "diffusion_model", "llm", "clip_l", "clip_g", "t5xxl", "vae", "tae")
"""What a file can be to a model: a whole checkpoint, its denoiser, one of its text encoders, or its VAE."""

ENCODERS: Mapping[str, str] = MappingProxyType(
    {"llm": "a Qwen", "clip_l": "CLIP-L", "clip_g": "CLIP-G", "t5xxl": "T5-XXL"}
)
"""The roles of text encoders, and their names in sentences."""
