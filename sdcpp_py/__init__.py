"""Generates pictures on ordinary laptops: Z-Image-Turbo, FLUX.2 Klein and their kin from GGUF files, without PyTorch.

::

    from sdcpp_py import Generator

    with Generator.from_pretrained("flux2-klein-4b") as generator:
        generator.generate("a lovely cat on a windowsill", seed=42).save("cat.png")
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from sdcpp_py._native.library import Device, devices
from sdcpp_py.errors import (
    CatalogueError,
    DeviceLostError,
    DownloadError,
    EngineCrashedError,
    GatedModelError,
    GenerationCancelled,
    GenerationError,
    GenerationTimeoutError,
    GeneratorClosedError,
    ImageError,
    ImageNotFoundError,
    LoraWarning,
    MetadataError,
    MetadataNotFoundError,
    MetadataWarning,
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
from sdcpp_py.models.families import Family
from sdcpp_py.models.inspection import Inspection, inspect
from sdcpp_py.progress import GenerationEvent, Phase, Progress
from sdcpp_py.settings import GenerationSettings
from sdcpp_py.settings.samplers import SAMPLERS, SCHEDULERS
from sdcpp_py.version import __version__

if TYPE_CHECKING:
    from sdcpp_py.generator import Generator
    from sdcpp_py.images.loading import extend
    from sdcpp_py.images.result import GeneratedImage
    from sdcpp_py.memory.plan import MemoryPlan
    from sdcpp_py.models.folders.groups import MissingPart, ModelGroup
    from sdcpp_py.models.folders.inspecting import FolderInspection, inspect_folder
    from sdcpp_py.models.folders.scan import FolderFile
    from sdcpp_py.models.loras import Lora
    from sdcpp_py.preflight.listing import ListedModel, list_models
    from sdcpp_py.preflight.recommendation import Recommendation, recommend
    from sdcpp_py.prompts.encoded import EncodedPrompt
    from sdcpp_py.prompts.text_encoder import TextEncoder
    from sdcpp_py.settings.metadata import PictureMetadata, read_metadata, read_png

__all__ = [
    "SAMPLERS",
    "SCHEDULERS",
    "CatalogueError",
    "Device",
    "DeviceLostError",
    "DownloadError",
    "EncodedPrompt",
    "EngineCrashedError",
    "Family",
    "FolderFile",
    "FolderInspection",
    "GatedModelError",
    "GeneratedImage",
    "GenerationCancelled",
    "GenerationError",
    "GenerationEvent",
    "GenerationSettings",
    "GenerationTimeoutError",
    "Generator",
    "GeneratorClosedError",
    "ImageError",
    "ImageNotFoundError",
    "Inspection",
    "ListedModel",
    "Lora",
    "LoraWarning",
    "MemoryPlan",
    "MetadataError",
    "MetadataNotFoundError",
    "MetadataWarning",
    "MissingPart",
    "ModelError",
    "ModelGroup",
    "ModelLoadError",
    "ModelMismatchError",
    "ModelNotFoundError",
    "NativeLibraryError",
    "OutOfMemoryError",
    "OutputError",
    "Phase",
    "PictureMetadata",
    "Progress",
    "Recommendation",
    "SdcppError",
    "SettingsError",
    "TextEncoder",
    "__version__",
    "devices",
    "extend",
    "inspect",
    "inspect_folder",
    "list_models",
    "read_metadata",
    "read_png",
    "recommend",
]

# Most of these need numpy and Pillow, and all take longer to import than the rest does; they are imported when first
# asked for.
_LATER = {
    "FolderFile": "sdcpp_py.models.folders.scan",
    "FolderInspection": "sdcpp_py.models.folders.inspecting",
    "MissingPart": "sdcpp_py.models.folders.groups",
    "ModelGroup": "sdcpp_py.models.folders.groups",
    "inspect_folder": "sdcpp_py.models.folders.inspecting",
    "EncodedPrompt": "sdcpp_py.prompts.encoded",
    "ListedModel": "sdcpp_py.preflight.listing",
    "Lora": "sdcpp_py.models.loras",
    "MemoryPlan": "sdcpp_py.memory.plan",
    "Recommendation": "sdcpp_py.preflight.recommendation",
    "list_models": "sdcpp_py.preflight.listing",
    "recommend": "sdcpp_py.preflight.recommendation",
    "TextEncoder": "sdcpp_py.prompts.text_encoder",
    "GeneratedImage": "sdcpp_py.images.result",
    "Generator": "sdcpp_py.generator",
    "extend": "sdcpp_py.images.loading",
    "PictureMetadata": "sdcpp_py.settings.metadata",
    "read_metadata": "sdcpp_py.settings.metadata",
    "read_png": "sdcpp_py.settings.metadata",
}


def __getattr__(name: str) -> object:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_LATER[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
