"""The model families, each in a file of its own that says everything of it.

``docs/contributing/add-a-family.md`` tells in order how to add one.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from sdcpp_py.models.families.chroma import CHROMA
from sdcpp_py.models.families.family import Family, LanguageModel, TrainedOn
from sdcpp_py.models.families.flux1 import FLUX1, FLUX1_FILL, FLUX1_SCHNELL
from sdcpp_py.models.families.klein import FLUX2_KLEIN
from sdcpp_py.models.families.qwen_image import QWEN_IMAGE
from sdcpp_py.models.families.sd1 import SD1
from sdcpp_py.models.families.sd2 import SD2
from sdcpp_py.models.families.sd3 import SD3
from sdcpp_py.models.families.sdxl import SDXL
from sdcpp_py.models.families.sdxs_512 import SDXS_512
from sdcpp_py.models.families.ssd_1b import SSD_1B
from sdcpp_py.models.families.z_image import Z_IMAGE

__all__ = [
    "CHROMA",
    "FAMILIES",
    "FAMILIES_BY_NAME",
    "FLUX1",
    "FLUX1_FILL",
    "FLUX1_SCHNELL",
    "FLUX2_KLEIN",
    "QWEN_IMAGE",
    "SD1",
    "SD2",
    "SD3",
    "SDXL",
    "SDXS_512",
    "SSD_1B",
    "VARIANTS",
    "Z_IMAGE",
    "Family",
    "LanguageModel",
    "TrainedOn",
]

FAMILIES = (FLUX2_KLEIN, Z_IMAGE, FLUX1, FLUX1_FILL, CHROMA, QWEN_IMAGE, SD3, SD1, SD2, SDXL, SSD_1B, SDXS_512)
"""All of them, in the order in which they are named to people. A file is of one of them at most."""
VARIANTS = (FLUX1_SCHNELL,)
"""Models with defaults of their own, under a family's name."""
FAMILIES_BY_NAME: Mapping[str, Family] = MappingProxyType({family.name: family for family in FAMILIES})
