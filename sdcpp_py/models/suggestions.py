"""The files to get instead: what people download, by what it is to a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from sdcpp_py.models.families import FLUX1_SCHNELL, Family

DENOISERS: Mapping[str, str] = MappingProxyType(
    {
        "flux2-klein": "flux-2-klein-4b-Q4_0.gguf (leejet/FLUX.2-klein-4B-GGUF)",
        "z-image": "z_image_turbo-Q4_K.gguf (leejet/Z-Image-Turbo-GGUF)",
        "flux1": "flux1-dev-Q4_K_S.gguf (city96/FLUX.1-dev-gguf)",
        "flux1-fill": "flux1-fill-dev-Q4_K_S.gguf (YarvixPA/FLUX.1-Fill-dev-gguf)",
        "chroma": "Chroma1-HD-Q4_0.gguf (silveroxides/Chroma1-HD-GGUF)",
        "qwen-image": "Qwen_Image-Q4_K_M.gguf (QuantStack/Qwen-Image-GGUF)",
        "sd3": "sd3.5_medium-Q4_K_M.gguf (city96/stable-diffusion-3.5-medium-gguf)",
        "sd1": "v1-5-pruned-emaonly.safetensors (stable-diffusion-v1-5/stable-diffusion-v1-5)",
        "sd2": "sd_turbo-f16-q8_0.gguf (Green-Sky/SD-Turbo-GGUF)",
        "sdxl": "sd_xl_base_1.0.safetensors (stabilityai/stable-diffusion-xl-base-1.0)",
    }
)
"""By the family's name: its denoiser, or its whole checkpoint where that is what is downloaded."""

_KLEIN_9B = "flux-2-klein-9b-Q4_0.gguf (leejet/FLUX.2-klein-9B-GGUF)"
_SCHNELL = "flux1-schnell-q4_k.gguf (leejet/FLUX.1-schnell-gguf)"

VAES: Mapping[str, str] = MappingProxyType(
    {
        "flux2-klein": "flux2-vae.safetensors (Comfy-Org/flux2-dev)",
        "z-image": "ae.safetensors (Comfy-Org/z_image_turbo)",
        "flux1": "ae.safetensors (Comfy-Org/z_image_turbo)",
        "flux1-fill": "ae.safetensors (Comfy-Org/z_image_turbo)",
        "chroma": "ae.safetensors (Comfy-Org/z_image_turbo)",
        "qwen-image": "qwen_image_vae.safetensors (Comfy-Org/Qwen-Image_ComfyUI)",
        "sd3": "vae/diffusion_pytorch_model.safetensors (stabilityai/stable-diffusion-3.5-medium)",
        "sd1": "vae-ft-mse-840000-ema-pruned.safetensors (stabilityai/sd-vae-ft-mse-original)",
        "sd2": "vae-ft-mse-840000-ema-pruned.safetensors (stabilityai/sd-vae-ft-mse-original)",
        "sdxl": "sdxl_vae.safetensors (madebyollin/sdxl-vae-fp16-fix)",
    }
)
"""By the family's name."""

CLIP_L = "CLIP-L: clip_l.safetensors (comfyanonymous/flux_text_encoders)"
CLIP_G = "CLIP-G: clip_g.safetensors (Comfy-Org/stable-diffusion-3.5-fp8)"
UPSCALER = "RealESRGAN_x4plus.safetensors (Comfy-Org/Real-ESRGAN_repackaged)"
CONTROLNET = "control_v11p_sd15_canny_fp16.safetensors (comfyanonymous/ControlNet-v1-1_fp16_safetensors)"
T5XXL = "T5-XXL: t5xxl_q4_k.gguf (Green-Sky/flux.1-schnell-GGUF)"
_QWEN3 = {2560: "Qwen3-4B (unsloth/Qwen3-4B-GGUF)", 4096: "Qwen3-8B (unsloth/Qwen3-8B-GGUF)"}
_QWEN25 = {3584: "Qwen2.5-VL-7B-Instruct (mradermacher/Qwen2.5-VL-7B-Instruct-GGUF)"}


def denoiser_of(family: Family, hidden_size: int = 0) -> str:
    """The denoiser to get for a family, in words; of that width, where the family has several."""
    if family.name == "flux2-klein" and hidden_size == 4096:
        return _KLEIN_9B
    return _SCHNELL if family.title == FLUX1_SCHNELL.title else DENOISERS[family.name]


def language_model(make: str, hidden_size: int) -> str:
    """The Qwen of that make ("qwen3", "qwen2.5") and width of states to get, in words."""
    known = _QWEN3 if make == "qwen3" else _QWEN25
    name = "Qwen3" if make == "qwen3" else "Qwen2.5-VL"
    return known.get(hidden_size, f"a {name} of hidden size {hidden_size}")


def encoder_of(family: Family, role: str, context_width: int) -> str:
    """The text encoder to get for a role in a family, in words, for a denoiser of that width of text states."""
    if role == "llm":
        return language_model(make_of(family), context_width // family.context_layers)
    return {"clip_l": CLIP_L, "clip_g": CLIP_G, "t5xxl": T5XXL}[role]


def make_of(family: Family) -> str:
    """Which Qwen a family reads: "qwen2.5" for Qwen-Image, "qwen3" for every other."""
    return "qwen2.5" if family.name == "qwen-image" else "qwen3"


def all_of(family: Family, context_width: int) -> str:
    """All text encoders of a family, in words."""
    return listed([encoder_of(family, role, context_width) for role in family.encoders])


def listed(words: Sequence[str]) -> str:
    """Words in a sentence: "a, b and c"."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
