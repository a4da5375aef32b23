"""Draws pictures on ordinary laptops: Z-Image-Turbo, FLUX.2 Klein and their kin from GGUF files, without PyTorch.

::

    from sdcpp_py import Generator

    with Generator("flux-2-klein-4b-Q4_0.gguf", "Qwen3-4B-Q4_K_M.gguf", "flux2-vae.safetensors") as generator:
        generator.generate("a lovely cat on a windowsill", seed=42).save("cat.png")
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from sdcpp_py._native.library import Device, devices
from sdcpp_py.errors import (
    DeviceLostError,
    GenerationCancelled,
    GenerationError,
    GeneratorClosedError,
    MetadataError,
    MetadataNotFoundError,
    ModelError,
    ModelLoadError,
    ModelMismatchError,
    ModelNotFoundError,
    NativeLibraryError,
    OutOfMemoryError,
    OutputError,
    SdcppError,
    SettingsError,
)
from sdcpp_py.families import SAMPLERS, SCHEDULERS, Family
from sdcpp_py.progress import Phase, Progress
from sdcpp_py.settings import GenerationSettings
from sdcpp_py.version import __version__

if TYPE_CHECKING:
    from sdcpp_py.generator import Generator
    from sdcpp_py.metadata import PictureMetadata, read_png
    from sdcpp_py.planning import MemoryPlan
    from sdcpp_py.prompts import EncodedPrompt
    from sdcpp_py.result import GeneratedImage
    from sdcpp_py.text_encoder import TextEncoder

__all__ = [
    "SAMPLERS",
    "SCHEDULERS",
    "Device",
    "DeviceLostError",
    "EncodedPrompt",
    "Family",
    "GeneratedImage",
    "GenerationCancelled",
    "GenerationError",
    "GenerationSettings",
    "Generator",
    "GeneratorClosedError",
    "MemoryPlan",
    "MetadataError",
    "MetadataNotFoundError",
    "ModelError",
    "ModelLoadError",
    "ModelMismatchError",
    "ModelNotFoundError",
    "NativeLibraryError",
    "OutOfMemoryError",
    "OutputError",
    "Phase",
    "PictureMetadata",
    "Progress",
    "SdcppError",
    "SettingsError",
    "TextEncoder",
    "__version__",
    "devices",
    "read_png",
]

# These need numpy and Pillow, which take longer to import than all the rest; they are imported when first asked for.
_LATER = {
    "EncodedPrompt": "sdcpp_py.prompts",
    "MemoryPlan": "sdcpp_py.planning",
    "TextEncoder": "sdcpp_py.text_encoder",
    "GeneratedImage": "sdcpp_py.result",
    "Generator": "sdcpp_py.generator",
    "PictureMetadata": "sdcpp_py.metadata",
    "read_png": "sdcpp_py.metadata",
}


def __getattr__(name: str) -> object:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_LATER[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATER})
