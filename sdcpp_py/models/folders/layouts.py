"""How programs lay out their folders of models: whose layout a folder has, and what a folder in it is for."""

from __future__ import annotations

import os
import re
from enum import Enum
from pathlib import Path

from sdcpp_py.models.detect.shards import PIPELINE
from sdcpp_py.models.local_paths import is_file, is_folder


class Layout(Enum):
    """Whose layout a folder has, in words."""

    COMFYUI = "ComfyUI's folders"
    A1111 = "A1111's or Forge's folders"
    HUB_CACHE = "the Hub's cache"
    DIFFUSERS = "a model in the diffusers format"
    PLAIN = "files"


HUB_REPOSITORY = re.compile(r"models--([^/]+?)--([^/]+)")
_COMFYUI = {"checkpoints", "diffusion_models", "unet", "text_encoders", "clip", "loras", "upscale_models", "vae_approx"}
_A1111 = {"stable-diffusion", "vae-approx", "text_encoder", "lora", "lycoris", "esrgan", "realesrgan", "hypernetworks"}
# A folder of these alone could be of either, or of anybody.
_EITHER = {"vae", "controlnet"}
_ADDITIONS = {
    "loras", "lora", "lycoris", "controlnet", "upscale_models", "esrgan", "realesrgan", "swinir", "embeddings",
    "hypernetworks", "clip_vision", "style_models", "gligen", "photomaker", "ipadapter", "blip", "karlo",
}  # fmt: skip


def layout_of(folder: Path) -> Layout:
    """Whose layout a folder has; ``folder`` is the one that holds the models (see ``models_in``)."""
    if is_file(folder / PIPELINE):
        return Layout.DIFFUSERS
    names = _folders_in(folder)
    if any(HUB_REPOSITORY.fullmatch(name) for name in names):
        return Layout.HUB_CACHE
    lower = {name.lower() for name in names}
    comfyui, a1111 = len(lower & _COMFYUI), len(lower & _A1111)
    if not comfyui and not a1111:
        return Layout.PLAIN
    return Layout.COMFYUI if comfyui >= a1111 else Layout.A1111


def models_in(folder: Path) -> Path:
    """The folder that holds the models: ``models`` inside of a program's own folder, else the folder itself.

    Beside it lie the program, its environment and all that it drew, which would be looked through for nothing.
    """
    inside = folder / "models"
    named = {name.lower() for name in _folders_in(inside)} if is_folder(inside) else set()
    return inside if named & (_COMFYUI | _A1111 | _EITHER) else folder


def holds_additions(name: str) -> bool:
    """Whether a folder of that name holds what no model needs: LoRAs, ControlNets, upscalers, ..."""
    return name.lower() in _ADDITIONS


def _folders_in(folder: Path) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return [entry.name for entry in entries if entry.is_dir()]
    except OSError:
        return []
