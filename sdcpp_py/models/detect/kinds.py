"""The kinds of denoisers that are recognised and not supported: what else the engine knows, and what it cannot run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from sdcpp_py.models.detect.described import Kind
from sdcpp_py.models.families.traits import DenoiserTensors, DenoiserTraits
from sdcpp_py.models.families.unet import PLAIN_INPUTS, context_width, has_middle, inputs, is_unet, is_xl, traits

Rule = Callable[[DenoiserTensors], bool]
Traits = Callable[[DenoiserTensors], DenoiserTraits]

# What the engine knows and this library does not support.
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
SD2_INPAINT = Kind("sd2-inpaint", "Stable Diffusion 2 Inpainting", "SD 2.x Inpaint", nearest="sd2")
SD2_TINY = Kind("sd2-tiny", "Stable Diffusion 2 with a tiny UNet", "SD 2.x Tiny UNet", nearest="sd2")
SDXS_09 = Kind("sdxs-09", "SDXS-512-0.9", "SDXS (09)", nearest="sd2")
SDXL_INPAINT = Kind("sdxl-inpaint", "Stable Diffusion XL Inpainting", "SDXL Inpaint", nearest="sdxl")
SDXL_PIX2PIX = Kind("sdxl-pix2pix", "Stable Diffusion XL InstructPix2Pix", "SDXL Instruct-Pix2Pix", nearest="sdxl")
SDXL_VEGA = Kind("sdxl-vega", "Segmind Vega", "SDXL (Vega)", nearest="sdxl")

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


def _pixel_space(seen: DenoiserTensors) -> bool:
    return 3 in (seen.extent(name, 1) for name in ("conv_in.weight", "input_blocks.0.0.weight"))


# The engine takes some of these for families that it runs, so they are looked for first.
CANNOT_RUN: tuple[tuple[Kind, Rule], ...] = (
    (HIDREAM, lambda seen: {"double_stream_blocks", "caption_projection"} <= seen.tops),
    (
        PIXART,
        lambda seen: "t_block" in seen.tops or {"adaln_single", "caption_projection", "pos_embed"} <= seen.tops,
    ),
    (
        DEEPFLOYD_IF,
        lambda seen: bool({"encoder_hid_proj", "encoder_proj", "encoder_pooling"} & seen.tops) and _pixel_space(seen),
    ),
    (
        LUMINA2,
        lambda seen: {"cap_embedder", "layers"} <= seen.tops and not {"cap_pad_token", "x_pad_token"} & seen.tops,
    ),
    (AURAFLOW, lambda seen: bool({"joint_transformer_blocks", "double_layers"} & seen.tops)),
    (HUNYUAN_DIT, lambda seen: "mlp_t5" in seen.tops),
    (HUNYUAN_VIDEO, lambda seen: seen.has("txt_in.individual_token_refiner.")),
    (LTX_VIDEO, lambda seen: "patchify_proj" in seen.tops),
    (CASCADE, lambda seen: "clip_txt_mapper" in seen.tops),
)


def _wan_inputs(seen: DenoiserTensors) -> int:
    """The first extent of Wan's patches, by which the engine tells its kinds; 0 where none is told."""
    embedding = seen.tensors.get("patch_embedding.weight")
    shape = embedding.shape if embedding is not None else ()
    if "img_emb" in seen.tops or not shape:
        return 0
    # A file in safetensors has five axes here; the engine puts the first two into one, as GGUF files have them.
    return shape[0] * shape[1] if len(shape) == 5 else (shape[0] if len(shape) == 4 else 0)


def _is_wan(seen: DenoiserTensors) -> bool:
    return "blocks.0.cross_attn.norm_k.weight" in seen


def _flux1_reading(seen: DenoiserTensors, channels: int) -> bool:
    second = "double_stream_modulation_img.lin.weight" in seen
    return "double_blocks" in seen.tops and not second and seen.extent("img_in.weight") == channels


def _reads(seen: DenoiserTensors, width: int, channels: int) -> bool:
    return is_unet(seen, width) and inputs(seen) == channels


def _is_small(seen: DenoiserTensors, width: int) -> bool:
    """Whether a U-Net was distilled to fewer blocks."""
    plain = inputs(seen) == PLAIN_INPUTS or width == 1024
    return is_unet(seen, width) and plain and not has_middle(seen)


def _is_tiny_sd2(seen: DenoiserTensors) -> bool:
    return seen.extent("output_blocks.7.1.transformer_blocks.0.attn1.to_k.weight") != 1024


def _no_traits(seen: DenoiserTensors) -> DenoiserTraits:
    del seen
    return DenoiserTraits()


def _flux_traits(seen: DenoiserTensors) -> DenoiserTraits:
    return seen.traits("txt_in.weight", distilled=True)


# U-Nets in the names of the diffusers format that no family takes for its own, by the width of the text states.
IN_DIFFUSERS: Mapping[int, Kind] = MappingProxyType(
    {768: SD1_TINY, 1024: SD2_TINY, 1280: SDXL_REFINER, 2048: SDXL_VEGA}
)

ENGINE_KNOWS: tuple[tuple[Kind, Traits, Rule], ...] = (
    (CHROMA_RADIANCE, _no_traits, lambda seen: "nerf_final_layer_conv" in seen.tops),
    (
        ANIMA,
        _no_traits,
        lambda seen: any(name.endswith("llm_adapter.blocks.0.cross_attn.q_proj.weight") for name in seen.tensors),
    ),
    (OVIS_IMAGE, _no_traits, lambda seen: "double_blocks.0.img_mlp.gate_proj.weight" in seen),
    (ERNIE_IMAGE, _no_traits, lambda seen: "layers.0.adaLN_sa_ln.weight" in seen),
    (WAN_I2V, _no_traits, lambda seen: _is_wan(seen) and _wan_inputs(seen) == 184320),
    (WAN_TI2V, _no_traits, lambda seen: _is_wan(seen) and _wan_inputs(seen) == 147456),
    (WAN, _no_traits, _is_wan),
    (
        FLUX2_DEV,
        _flux_traits,
        lambda seen: "double_stream_modulation_img.lin.weight" in seen and "single_blocks.47.linear1.weight" in seen,
    ),
    (FLUX1_CONTROL, _flux_traits, lambda seen: _flux1_reading(seen, 128)),
    (FLEX2, _flux_traits, lambda seen: _flux1_reading(seen, 196)),
    (SVD, _no_traits, lambda seen: "input_blocks.8.0.time_mixer.mix_factor" in seen),
    (
        SDXL_REFINER,
        traits,
        lambda seen: {"input_blocks", "label_emb"} <= seen.tops and context_width(seen) == 1280 and not is_xl(seen),
    ),
    (SDXL_INPAINT, traits, lambda seen: _reads(seen, 2048, 9)),
    (SDXL_PIX2PIX, traits, lambda seen: _reads(seen, 2048, 8)),
    (SDXL_VEGA, traits, lambda seen: _is_small(seen, 2048) and not seen.has("output_blocks.3.1.transformer_blocks.1")),
    (SD1_INPAINT, traits, lambda seen: _reads(seen, 768, 9)),
    (SD1_PIX2PIX, traits, lambda seen: _reads(seen, 768, 8)),
    (SD1_TINY, traits, lambda seen: _is_small(seen, 768) and seen.has("output_blocks.7.1")),
    (SD2_INPAINT, traits, lambda seen: _reads(seen, 1024, 9)),
    (SD2_TINY, traits, lambda seen: _is_small(seen, 1024) and _is_tiny_sd2(seen)),
    (SDXS_09, traits, lambda seen: _is_small(seen, 1024) and not _is_tiny_sd2(seen)),
)
