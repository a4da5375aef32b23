"""The files to get instead: what people download, by what it is to a model."""

from __future__ import annotations

from collections.abc import Sequence

from sdcpp_py.models.families import Family

CLIP_L = "CLIP-L: clip_l.safetensors (comfyanonymous/flux_text_encoders)"
CLIP_G = "CLIP-G: clip_g.safetensors (Comfy-Org/stable-diffusion-3.5-fp8)"
UPSCALER = "RealESRGAN_x4plus.safetensors (Comfy-Org/Real-ESRGAN_repackaged)"
CONTROLNET = "control_v11p_sd15_canny_fp16.safetensors (comfyanonymous/ControlNet-v1-1_fp16_safetensors)"
T5XXL = "T5-XXL: t5xxl_q4_k.gguf (Green-Sky/flux.1-schnell-GGUF)"
_QWEN3 = {2560: "Qwen3-4B (unsloth/Qwen3-4B-GGUF)", 4096: "Qwen3-8B (unsloth/Qwen3-8B-GGUF)"}
_QWEN25 = {3584: "Qwen2.5-VL-7B-Instruct (mradermacher/Qwen2.5-VL-7B-Instruct-GGUF)"}


def language_model(make: str, hidden_size: int) -> str:
    """The Qwen of that make ("qwen3", "qwen2.5") and width of states to get, in words."""
    known = _QWEN3 if make == "qwen3" else _QWEN25
    name = "Qwen3" if make == "qwen3" else "Qwen2.5-VL"
    return known.get(hidden_size, f"a {name} of hidden size {hidden_size}")


def encoder_of(family: Family, role: str, context_width: int) -> str:
    """The text encoder to get for a role in a family, in words, for a denoiser of that width of text states."""
    if family.language_model is not None and role == "llm":
        return language_model(family.language_model.make, context_width // family.context_layers)
    return {"clip_l": CLIP_L, "clip_g": CLIP_G, "t5xxl": T5XXL}[role]


def all_of(family: Family, context_width: int) -> str:
    """All text encoders of a family, in words."""
    return listed([encoder_of(family, role, context_width) for role in family.encoders])


def listed(words: Sequence[str]) -> str:
    """Words in a sentence: "a, b and c"."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
