"""Naming denoisers from their tensors, as the engine does.

The rules are those of the engine's ``ModelLoader::get_sd_version``, in its order, where it knows a family; and more of
them for what it does not know, or takes for something else.
"""

from __future__ import annotations

from dataclasses import replace

from sdcpp_py.models.detect import kinds
from sdcpp_py.models.detect.described import Described, Kind, Part, Tensors, extent


def as_denoiser(tensors: Tensors, token_width: int = 0, two_encoders: bool = False) -> Described | None:
    """The denoiser that these tensors make, their names without the prefix of a whole checkpoint; None where none.

    Args:
        tensors: of the denoiser alone.
        token_width: of the first CLIP beside it in a whole checkpoint, by which the engine tells Stable Diffusion 1
            from 2; 0 where there is none.
        two_encoders: whether there is a second one, by which it tells XL.
    """
    tops = {name.partition(".")[0] for name in tensors}
    return (
        _that_the_engine_cannot_run(tensors, tops)
        or _in_diffusers_names(tensors, tops)
        or _transformer(tensors, tops)
        or _flux(tensors, tops)
        or _unet(tensors, tops, token_width, two_encoders)
    )


def _described(
    kind: Kind, context: int = 0, hidden: int = 0, *, foreign: bool = False, distilled: bool | None = None
) -> Described:
    """A denoiser of a kind. What cannot be drawn with in these names has no family."""
    title = kind.title if kind.title.startswith("the ") else f"the {kind.title} denoiser"
    if foreign:
        title += " in the diffusers format"
    return Described(
        Part.DENOISER,
        title,
        kind,
        None if foreign else kind.family,
        hidden_size=hidden,
        context_width=context,
        foreign=foreign,
        distilled=distilled,
    )


def _that_the_engine_cannot_run(tensors: Tensors, tops: set[str]) -> Described | None:
    pixel_space = 3 in (extent(tensors, name, 1) for name in ("conv_in.weight", "input_blocks.0.0.weight"))
    rules = (
        (kinds.HIDREAM, "double_stream_blocks" in tops and "caption_projection" in tops),
        (kinds.PIXART, "t_block" in tops or {"adaln_single", "caption_projection", "pos_embed"} <= tops),
        (kinds.DEEPFLOYD_IF, bool({"encoder_hid_proj", "encoder_proj", "encoder_pooling"} & tops) and pixel_space),
        (kinds.LUMINA2, "cap_embedder" in tops and "layers" in tops and not {"cap_pad_token", "x_pad_token"} & tops),
        (kinds.AURAFLOW, bool({"joint_transformer_blocks", "double_layers"} & tops)),
        (kinds.HUNYUAN_DIT, "mlp_t5" in tops),
        (kinds.HUNYUAN_VIDEO, any(name.startswith("txt_in.individual_token_refiner.") for name in tensors)),
        (kinds.LTX_VIDEO, "patchify_proj" in tops),
        (kinds.CASCADE, "clip_txt_mapper" in tops),
    )
    for kind, holds in rules:
        if holds:
            return _described(kind)
    return None


def _in_diffusers_names(tensors: Tensors, tops: set[str]) -> Described | None:
    """Denoisers that the engine does not read by diffusers' names. (Qwen-Image has no others.)

    It has lists of such names, for LoRAs: where its own tensor is the diffusers format's queries, keys and values in
    one, it takes the first of the three for the whole.
    """
    context = extent(tensors, "context_embedder.weight")
    hidden = extent(tensors, "context_embedder.weight", 0)
    if "single_transformer_blocks" in tops:
        if "double_stream_modulation_img" in tops:
            return _described(kinds.FLUX2_DEV if hidden > 4096 else kinds.KLEIN_KIND, context, hidden, foreign=True)
        if "distilled_guidance_layer" in tops:
            return _described(kinds.CHROMA_KIND, context, hidden, foreign=True)
        guided = any(name.startswith("time_text_embed.guidance_embedder.") for name in tensors)
        kind = kinds.FLUX1_KIND if guided else kinds.FLUX1_SCHNELL_KIND
        return _described(kind, context, hidden, foreign=True, distilled=True)
    if "cap_embedder" in tops and "layers.0.attention.to_q.weight" in tensors:
        caption = extent(tensors, "cap_embedder.1.weight")
        return _described(kinds.Z_IMAGE_KIND, caption, extent(tensors, "cap_embedder.1.weight", 0), foreign=True)
    if "transformer_blocks.0.attn.add_q_proj.weight" in tensors and "pos_embed" in tops:
        return _described(kinds.SD3_KIND, context, hidden, foreign=True)
    if "down_blocks" in tops and "mid_block" in tops and extent(tensors, "conv_in.weight", 1):
        cross = _cross_width(tensors)
        kind = {768: kinds.SD1_KIND, 1024: kinds.SD2_KIND, 1280: kinds.SDXL_REFINER}.get(cross, kinds.SDXL_KIND)
        return _described(kind, cross, extent(tensors, "conv_in.weight", 0), foreign=True)
    if "transformer_blocks.0.attn.to_q.weight" in tensors and "transformer_blocks.0.img_mod.1.weight" not in tensors:
        return replace(
            _described(Kind("", "", nearest="flux1"), foreign=True), title="a denoiser in the diffusers format"
        )
    return None


def _transformer(tensors: Tensors, tops: set[str]) -> Described | None:
    """The families that one tensor each gives away, in the engine's order."""
    if "nerf_final_layer_conv" in tops:
        return _described(kinds.CHROMA_RADIANCE)
    if "joint_blocks" in tops:
        context = extent(tensors, "context_embedder.weight")
        return _described(kinds.SD3_KIND, context, extent(tensors, "context_embedder.weight", 0))
    if "transformer_blocks.0.img_mod.1.weight" in tensors:
        context = extent(tensors, "txt_in.weight")
        return _described(kinds.QWEN_IMAGE_KIND, context, extent(tensors, "txt_in.weight", 0))
    if any(name.endswith("llm_adapter.blocks.0.cross_attn.q_proj.weight") for name in tensors):
        return _described(kinds.ANIMA)
    if "double_blocks.0.img_mlp.gate_proj.weight" in tensors:
        return _described(kinds.OVIS_IMAGE)
    if "cap_embedder.0.weight" in tensors:
        context = extent(tensors, "cap_embedder.1.weight")
        return _described(kinds.Z_IMAGE_KIND, context, extent(tensors, "cap_embedder.1.weight", 0))
    if "layers.0.adaLN_sa_ln.weight" in tensors:
        return _described(kinds.ERNIE_IMAGE)
    if "blocks.0.cross_attn.norm_k.weight" in tensors:
        return _described(_wan(tensors, tops))
    return None


def _wan(tensors: Tensors, tops: set[str]) -> Kind:
    embedding = tensors.get("patch_embedding.weight")
    shape = embedding.shape if embedding is not None else ()
    # A file in safetensors has five axes here; the engine puts the first two into one, as GGUF files have them.
    first = shape[0] * shape[1] if len(shape) == 5 else (shape[0] if len(shape) == 4 else 0)
    if "img_emb" in tops:
        return kinds.WAN
    return {184320: kinds.WAN_I2V, 147456: kinds.WAN_TI2V}.get(first, kinds.WAN)


def heads_fit(tensors: Tensors) -> bool:
    """Whether a FLUX has heads: the engine divides by their number, which follows from these; any of them may count."""
    norms = ("single_blocks.0.norm.key_norm.scale", "double_blocks.0.txt_attn.norm.key_norm.scale")
    heads = {extent(tensors, name) for name in norms if name in tensors}
    hidden = extent(tensors, "txt_in.weight", 0)
    return bool(heads) and all(0 < head <= hidden for head in heads)


def _flux(tensors: Tensors, tops: set[str]) -> Described | None:
    context, hidden = extent(tensors, "txt_in.weight"), extent(tensors, "txt_in.weight", 0)
    second = "double_stream_modulation_img.lin.weight" in tensors
    if not second and "double_blocks" not in tops:
        return None
    if second and "single_blocks.47.linear1.weight" in tensors:
        return _described(kinds.FLUX2_DEV, context, hidden, distilled=True)
    if second and not heads_fit(tensors):
        return Described(Part.UNKNOWN, "a part of a FLUX.2 denoiser")
    if second:
        return _described(kinds.KLEIN_KIND, context, hidden)
    other = {384: kinds.FLUX1_FILL_KIND, 128: kinds.FLUX1_CONTROL, 196: kinds.FLEX2}.get(
        extent(tensors, "img_in.weight")
    )
    if other is not None:
        return _described(other, context, hidden, distilled=True)
    if "distilled_guidance_layer.in_proj.weight" in tensors:
        return _described(kinds.CHROMA_KIND, context, hidden, distilled=False)
    guided = "guidance_in.in_layer.weight" in tensors
    return _described(kinds.FLUX1_KIND if guided else kinds.FLUX1_SCHNELL_KIND, context, hidden, distilled=True)


def _cross_width(tensors: Tensors) -> int:
    """Width of the text states that a UNet reads."""
    return next((extent(tensors, name) for name in tensors if name.endswith("attn2.to_k.weight")), 0)


def _unet(tensors: Tensors, tops: set[str], token_width: int, two_encoders: bool) -> Described | None:
    if "input_blocks" not in tops:
        return None
    cross = _cross_width(tensors)
    if "input_blocks.8.0.time_mixer.mix_factor" in tensors:
        return _described(kinds.SVD, cross)
    xl = two_encoders or (not token_width and cross == 2048)
    if not xl and "label_emb" in tops and cross == 1280:
        return _described(kinds.SDXL_REFINER, cross)
    width = token_width or cross
    if not xl and width not in (768, 1024):
        return Described(Part.UNKNOWN, "a UNet of a kind that is not known here")
    kind = _xl_kind(tensors) if xl else _sd1_kind(tensors) if width == 768 else _sd2_kind(tensors)
    return _described(kind, cross or width, extent(tensors, "input_blocks.0.0.weight", 0))


def _has(tensors: Tensors, start: str) -> bool:
    return any(name.startswith(start) for name in tensors)


def _xl_kind(tensors: Tensors) -> Kind:
    inputs = extent(tensors, "input_blocks.0.0.weight", 1)
    if inputs in (8, 9):
        return kinds.SDXL_INPAINT if inputs == 9 else kinds.SDXL_PIX2PIX
    if _has(tensors, "middle_block.1."):
        return kinds.SDXL_KIND
    return kinds.SDXL_SSD1B if _has(tensors, "output_blocks.3.1.transformer_blocks.1") else kinds.SDXL_VEGA


def _sd1_kind(tensors: Tensors) -> Kind:
    inputs = extent(tensors, "input_blocks.0.0.weight", 1)
    if inputs in (8, 9):
        return kinds.SD1_INPAINT if inputs == 9 else kinds.SD1_PIX2PIX
    if _has(tensors, "middle_block.1."):
        return kinds.SD1_KIND
    return kinds.SD1_TINY if _has(tensors, "output_blocks.7.1") else kinds.SDXS_512


def _sd2_kind(tensors: Tensors) -> Kind:
    if extent(tensors, "input_blocks.0.0.weight", 1) == 9:
        return kinds.SD2_INPAINT
    if _has(tensors, "middle_block.1."):
        return kinds.SD2_KIND
    wide = extent(tensors, "output_blocks.7.1.transformer_blocks.0.attn1.to_k.weight") == 1024
    return kinds.SDXS_09 if wide else kinds.SD2_TINY
