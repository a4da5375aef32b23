"""The kinds of denoisers that are told apart: the families, what else the engine knows, and what it cannot run."""

from __future__ import annotations

from dataclasses import replace

from sdcpp_py.models.detect.described import Kind
from sdcpp_py.models.families import (
    CHROMA,
    FLUX1,
    FLUX1_FILL,
    FLUX1_SCHNELL,
    FLUX2_KLEIN,
    QWEN_IMAGE,
    SD1,
    SD2,
    SD3,
    SDXL,
    Z_IMAGE,
    Family,
)


def _drawn(family: Family, version: str) -> Kind:
    return Kind(family.name, family.title, version, family)


KLEIN_KIND = _drawn(FLUX2_KLEIN, "Flux.2 klein")
Z_IMAGE_KIND = _drawn(Z_IMAGE, "Z-Image")
FLUX1_KIND = _drawn(FLUX1, "Flux")
FLUX1_SCHNELL_KIND = replace(FLUX1_KIND, title=FLUX1_SCHNELL.title, family=FLUX1_SCHNELL)
FLUX1_FILL_KIND = _drawn(FLUX1_FILL, "Flux Fill")
CHROMA_KIND = _drawn(CHROMA, "Flux")
QWEN_IMAGE_KIND = _drawn(QWEN_IMAGE, "Qwen Image")
SD3_KIND = _drawn(SD3, "SD3.x")
SD1_KIND = _drawn(SD1, "SD 1.x")
SD2_KIND = _drawn(SD2, "SD 2.x")
SDXL_KIND = _drawn(SDXL, "SDXL")

# What the engine knows and this library does not draw with.
FLUX2_DEV = Kind("flux2-dev", "FLUX.2 dev", "Flux.2", nearest="flux2-klein")
FLUX1_CONTROL = Kind("flux1-control", "FLUX.1 Control", "Flux Control", nearest="flux1")
FLEX2 = Kind("flex2", "Flex.2", "Flex.2", nearest="flux1")
CHROMA_RADIANCE = Kind("chroma-radiance", "Chroma Radiance", "Chroma Radiance", nearest="chroma")
OVIS_IMAGE = Kind("ovis-image", "Ovis-Image", "Ovis Image", nearest="z-image")
ERNIE_IMAGE = Kind("ernie-image", "ERNIE-Image", "Ernie Image", nearest="z-image")
ANIMA = Kind("anima", "Anima", "Anima", nearest="sdxl")
WAN = Kind("wan", "Wan 2", "Wan 2.x", nearest="qwen-image")
WAN_I2V = Kind("wan-i2v", "Wan 2.2 image-to-video", "Wan 2.2 I2V", nearest="qwen-image")
WAN_TI2V = Kind("wan-ti2v", "Wan 2.2 text-and-image-to-video", "Wan 2.2 TI2V", nearest="qwen-image")
SVD = Kind("svd", "Stable Video Diffusion", "SVD", nearest="sd1")
SD1_INPAINT = Kind("sd1-inpaint", "Stable Diffusion 1 Inpainting", "SD 1.x Inpaint", nearest="sd1")
SD1_PIX2PIX = Kind("sd1-pix2pix", "InstructPix2Pix", "Instruct-Pix2Pix", nearest="sd1")
SD1_TINY = Kind("sd1-tiny", "Stable Diffusion 1 with a tiny UNet", "SD 1.x Tiny UNet", nearest="sd1")
SDXS_512 = Kind("sdxs-512", "SDXS-512-DreamShaper", "SDXS (512-DS)", nearest="sd1")
SD2_INPAINT = Kind("sd2-inpaint", "Stable Diffusion 2 Inpainting", "SD 2.x Inpaint", nearest="sd2")
SD2_TINY = Kind("sd2-tiny", "Stable Diffusion 2 with a tiny UNet", "SD 2.x Tiny UNet", nearest="sd2")
SDXS_09 = Kind("sdxs-09", "SDXS-512-0.9", "SDXS (09)", nearest="sd2")
SDXL_INPAINT = Kind("sdxl-inpaint", "Stable Diffusion XL Inpainting", "SDXL Inpaint", nearest="sdxl")
SDXL_PIX2PIX = Kind("sdxl-pix2pix", "Stable Diffusion XL InstructPix2Pix", "SDXL Instruct-Pix2Pix", nearest="sdxl")
SDXL_VEGA = Kind("sdxl-vega", "Segmind Vega", "SDXL (Vega)", nearest="sdxl")
SDXL_SSD1B = Kind("sdxl-ssd1b", "SSD-1B", "SDXL (SSD1B)", nearest="sdxl")

# What the engine cannot run. Lumina's and HunyuanVideo's tensors look to it like those of others.
HIDREAM = Kind("hidream-i1", "HiDream-I1", nearest="flux1")
PIXART = Kind("pixart-alpha", "PixArt-Alpha", nearest="sd3")
DEEPFLOYD_IF = Kind("deepfloyd-if", "DeepFloyd IF", nearest="flux1")
LUMINA2 = Kind("lumina2", "Lumina-Image 2.0", "Z-Image", nearest="z-image")
AURAFLOW = Kind("auraflow", "AuraFlow", nearest="flux1")
HUNYUAN_DIT = Kind("hunyuan-dit", "Hunyuan-DiT", nearest="qwen-image")
HUNYUAN_VIDEO = Kind("hunyuan-video", "HunyuanVideo", "Flux", nearest="qwen-image")
LTX_VIDEO = Kind("ltx-video", "LTX-Video", nearest="z-image")
CASCADE = Kind("stable-cascade", "Stable Cascade", nearest="sdxl")
SDXL_REFINER = Kind("sdxl-refiner", "the Stable Diffusion XL refiner", nearest="sdxl")
