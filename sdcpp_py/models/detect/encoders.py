"""Naming text encoders and autoencoders from their tensors."""

from __future__ import annotations

from sdcpp_py.models.detect.described import Described, Part
from sdcpp_py.models.tensors import Tensors, count_of, extent

# Of CLIP, by the width of its states. The engine has these sizes fixed.
_CLIPS = {768: ("clip_l", "CLIP-L"), 1280: ("clip_g", "CLIP-G"), 1024: ("", "OpenCLIP-H")}
LONG_CLIP = "long-clip"
"""The make of a CLIP that reads more tokens than the engine gives it."""
_CLIP_TOKENS = 77
# A CLIP's table of tokens and its table of places, as transformers names them, and as OpenCLIP does.
_CLIP_TABLES = (
    ("text_model.embeddings.token_embedding.weight", "text_model.embeddings.position_embedding.weight"),
    (
        "transformer.text_model.embeddings.token_embedding.weight",
        "transformer.text_model.embeddings.position_embedding.weight",
    ),
)
_OPENCLIP_TABLES = (
    ("model.token_embedding.weight", "model.positional_embedding"),
    ("token_embedding.weight", "positional_embedding"),
)
# A language model's table, a tensor of each layer, the norm of queries (Qwen3) and their bias (Qwen2.5): as llama.cpp
# names them and as transformers does.
_LANGUAGE_MODELS = (
    ("token_embd.weight", "blk.{}.attn_norm.weight", "blk.0.attn_q_norm.weight", "blk.0.attn_q.bias"),
    (
        "model.embed_tokens.weight",
        "model.layers.{}.input_layernorm.weight",
        "model.layers.0.self_attn.q_norm.weight",
        "model.layers.0.self_attn.q_proj.bias",
    ),
)
_QWENS = {
    ("qwen3", 1024): "Qwen3-0.6B",
    ("qwen3", 2048): "Qwen3-1.7B",
    ("qwen3", 2560): "Qwen3-4B",
    ("qwen3", 4096): "Qwen3-8B",
    ("qwen2.5", 2048): "Qwen2.5-VL-3B",
    ("qwen2.5", 3584): "Qwen2.5-VL-7B",
}


def as_text_encoder(tensors: Tensors) -> Described | None:
    """The text encoder that these tensors make; None where they make none."""
    return _clip(tensors) or _t5(tensors) or _language_model(tensors)


def _clip(tensors: Tensors) -> Described | None:
    found = next(((table, places) for table, places in (*_CLIP_TABLES, *_OPENCLIP_TABLES) if table in tensors), None)
    if found is None:
        return None
    table, places = found
    width, tokens = extent(tensors, table), extent(tensors, places, 0)
    role, name = _CLIPS.get(width, ("", f"CLIP of width {width}"))
    title, foreign = f"the text encoder {name}", found in _OPENCLIP_TABLES
    if tokens > _CLIP_TOKENS:
        title = f"{title.replace('CLIP', 'LongCLIP')} of {tokens} tokens, of which the engine reads {_CLIP_TOKENS}"
        return Described(Part.TEXT_ENCODER, title, hidden_size=width, encoder=LONG_CLIP, foreign=foreign)
    return Described(Part.TEXT_ENCODER, title, hidden_size=width, role=role, encoder=role or "clip", foreign=foreign)


def _t5(tensors: Tensors) -> Described | None:
    for table, bias in (
        ("shared.weight", "encoder.block.{}.layer.0.SelfAttention.relative_attention_bias.weight"),
        ("encoder.embed_tokens.weight", "encoder.block.{}.layer.0.SelfAttention.relative_attention_bias.weight"),
        ("token_embd.weight", "enc.blk.{}.attn_rel_b.weight"),
    ):
        if table in tensors and bias.format(0) in tensors:
            width = extent(tensors, table)
            if bias.format(1) in tensors:
                return Described(Part.TEXT_ENCODER, "the text encoder UMT5 (Wan's)", hidden_size=width, encoder="umt5")
            name = "T5-XXL" if width == 4096 else f"T5 of width {width}"
            return Described(
                Part.TEXT_ENCODER, f"the text encoder {name}", hidden_size=width, role="t5xxl", encoder="t5"
            )
    return None


def _language_model(tensors: Tensors) -> Described | None:
    for table, layer, norm, bias in _LANGUAGE_MODELS:
        if table not in tensors:
            continue
        width, layers = extent(tensors, table), count_of(tensors, layer)
        make = "qwen3" if norm in tensors else "qwen2.5" if bias in tensors else "other"
        if make == "other":
            title = f"a language model that is no Qwen (hidden size {width}, {layers} layers)"
        else:
            name = _QWENS.get((make, width), f"{make.capitalize()} of hidden size {width}")
            title = f"the text encoder {name}"
        return Described(
            Part.TEXT_ENCODER,
            title,
            hidden_size=width,
            layers=layers,
            role="" if make == "other" else "llm",
            encoder=make,
        )
    if "v.patch_embd.weight" in tensors:
        return Described(Part.UNKNOWN, "the image half of a language model (mmproj), which only editing needs")
    if any(name.startswith("vision_model.") for name in tensors):
        return Described(Part.UNKNOWN, "the image half of CLIP")
    return None


def as_autoencoder(tensors: Tensors) -> Described | None:
    """The VAE or tiny autoencoder that these tensors make; None where they make none."""
    return _vae(tensors) or _tiny_autoencoder(tensors)


def _vae(tensors: Tensors) -> Described | None:
    first = tensors.get("decoder.conv_in.weight")
    if first is not None and len(first.shape) == 5:
        return Described(Part.VAE, "a VAE of Qwen-Image or Wan in the diffusers format", vae="wan", foreign=True)
    if first is not None and len(first.shape) == 4:
        channels = first.shape[1]
        return Described(Part.VAE, f"a VAE with {channels} latent channels", latent_channels=channels, vae="kl")
    if "decoder.middle.0.residual.0.gamma" in tensors and "conv2.weight" in tensors:
        channels = extent(tensors, "conv2.weight", 0)
        # In GGUF, whose tensors have four axes at most, the first two are one.
        if len(tensors["conv2.weight"].shape) == 4:
            channels = round(channels**0.5)
        owner = "Wan 2.2" if channels == 48 else "Qwen-Image or Wan"
        title = f"the VAE of {owner} with {channels} latent channels"
        return Described(Part.VAE, title, latent_channels=channels, vae="wan")
    return None


def _tiny_autoencoder(tensors: Tensors) -> Described | None:
    first = tensors.get("decoder.layers.0.weight")
    if first is not None and len(first.shape) == 4:
        title = f"{Part.TINY_AUTOENCODER.value} with {first.shape[1]} latent channels"
        return Described(Part.TINY_AUTOENCODER, title, latent_channels=first.shape[1], vae="taesd")
    first = tensors.get("decoder.1.weight")
    # The layer that grows the number of frames; where TAESD has it, it has a plain convolution.
    if first is not None and len(first.shape) == 4 and "decoder.7.conv.weight" in tensors:
        title = f"a tiny autoencoder of videos (TAEHV) with {first.shape[1]} latent channels"
        return Described(Part.TINY_AUTOENCODER, title, latent_channels=first.shape[1], vae="taehv")
    bare = "1.weight" in tensors and "3.conv.0.weight" in tensors
    if first is not None or bare or any(name.startswith("taesd_decoder.") for name in tensors):
        return Described(Part.UNKNOWN, "a tiny autoencoder (TAESD) in other names than diffusers', which are not read")
    return None
