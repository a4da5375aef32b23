"""Draws pictures on ordinary laptops: Z-Image-Turbo, FLUX.2 Klein and their kin from GGUF files, without PyTorch.

::

    from sdcpp_py import Generator

    with Generator("flux-2-klein-4b-Q4_0.gguf", "Qwen3-4B-Q4_K_M.gguf", "flux2-vae.safetensors") as generator:
        generator.generate("a lovely cat on a windowsill", seed=42).save("cat.png")
"""

from sdcpp_py._native.library import Device, devices
from sdcpp_py.errors import (
    DeviceLostError,
    GenerationCancelled,
    GenerationError,
    GeneratorClosedError,
    MetadataError,
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
from sdcpp_py.generator import Generator
from sdcpp_py.metadata import PictureMetadata, read_png
from sdcpp_py.progress import Phase, Progress
from sdcpp_py.prompts import EncodedPrompt
from sdcpp_py.result import GeneratedImage
from sdcpp_py.settings import GenerationSettings
from sdcpp_py.version import __version__

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
    "MetadataError",
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
    "__version__",
    "devices",
    "read_png",
]
