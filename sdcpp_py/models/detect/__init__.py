"""Naming the part of a model that a file is, from names and shapes of its tensors, as the engine itself decides.

GGUF files written by stable-diffusion.cpp carry no architecture name, so none is asked for.
"""

from __future__ import annotations

import re
from dataclasses import replace

from sdcpp_py.models.detect.adapters import as_adapter
from sdcpp_py.models.detect.denoisers import as_denoiser
from sdcpp_py.models.detect.described import Described, Part
from sdcpp_py.models.detect.encoders import LONG_CLIP, as_autoencoder, as_text_encoder
from sdcpp_py.models.detect.headers import FileHeader
from sdcpp_py.models.families import Family
from sdcpp_py.models.tensors import TensorInfo, Tensors, extent
from sdcpp_py.parts import ENCODERS, ROLES

OWN_SIZE_KEYS = ("sdcpp_py.default_width", "sdcpp_py.default_height")
"""GGUF metadata of a denoiser: the size in pixels of the pictures that it generates when nothing is said."""

_DENOISER = "model.diffusion_model."
# What names start with in a whole checkpoint, and the role of what follows; the longer ones first. The second CLIP of
# Stable Diffusion XL is always the larger one. A part that keeps these names in a file of its own is read too
# (native/overrides/model_loader.cpp).
_INNER = (
    ("conditioner.embedders.0.", "clip_l"),
    ("conditioner.embedders.1.", "clip_g"),
    ("cond_stage_model.1.", "clip_g"),
    ("cond_stage_model.", "clip_l"),
    ("text_encoders.clip_l.", "clip_l"),
    ("text_encoders.clip_g.", "clip_g"),
    ("text_encoders.t5xxl.", "t5xxl"),
    ("text_encoders.llm.", "llm"),
    ("first_stage_model.", "vae"),
    ("tae.", "tae"),
    ("vae.", "vae"),
)
# A Qwen in a checkpoint of ComfyUI's ("text_encoders.qwen3_4b.transformer.").
_QWEN = re.compile(r"text_encoders\.qwen[^.]*\.")
# Where the engine reads a CLIP in OpenCLIP's names.
_OPENCLIP = ("conditioner.embedders.0.", "conditioner.embedders.1.", "cond_stage_model.1.", "cond_stage_model.")
# Names of a CLIP's table, after those, by which the engine tells Stable Diffusion 1 from 2.
_TOKENS = (
    "transformer.text_model.embeddings.token_embedding.weight",
    "model.token_embedding.weight",
    "text_model.embeddings.token_embedding.weight",
)


def describe(header: FileHeader) -> Described:
    """Names the part that a file is."""
    tensors = header.tensors
    adapter = as_adapter(tensors)
    if adapter is not None:
        return adapter
    groups = _groups(tensors)
    denoiser = groups.pop("diffusion_model", None)
    if denoiser is not None:
        return _with_own_size(_checkpoint(denoiser, groups, tensors), header)
    if len(groups) == 1:
        ((role, inner),) = groups.items()
        # An encoder or a VAE whose names are those that it has in a checkpoint.
        return _part(role, inner) or Described(Part.UNKNOWN, Part.UNKNOWN.value)
    described = as_denoiser(tensors) or as_text_encoder(tensors) or as_autoencoder(tensors)
    if described is not None:
        return _with_own_size(described, header)
    return Described(Part.UNKNOWN, Part.UNKNOWN.value)


def denoiser_tensors(header: FileHeader) -> Tensors:
    """The tensors of the denoiser in a file, without the prefix that they have in a whole checkpoint."""
    return _groups(header.tensors).get("diffusion_model", header.tensors)


def _groups(tensors: Tensors) -> dict[str, dict[str, TensorInfo]]:
    """The tensors that are named as in a whole checkpoint, by role, without their prefixes."""
    groups: dict[str, dict[str, TensorInfo]] = {}
    for name, tensor in tensors.items():
        if name.startswith(_DENOISER):
            groups.setdefault("diffusion_model", {})[name[len(_DENOISER) :]] = tensor
            continue
        for prefix, role in _INNER:
            if name.startswith(prefix):
                groups.setdefault(role, {})[name[len(prefix) :]] = tensor
                break
        else:
            qwen = _QWEN.match(name)
            if qwen is not None:
                groups.setdefault("llm", {})[name[qwen.end() :]] = tensor
    return groups


def _part(role: str, tensors: Tensors) -> Described | None:
    """A part of a checkpoint; None where the tensors do not make one."""
    plain = {name.removeprefix("transformer."): tensor for name, tensor in tensors.items()}
    if role in ENCODERS:
        return as_text_encoder(plain) or as_text_encoder(tensors)
    return as_autoencoder(tensors)


def _is_read(family: Family | None, role: str, part: Described, inner: Tensors, tensors: Tensors) -> bool:
    """Whether the engine reads a part in the place that it has in a checkpoint, under the names that it has there."""
    if role not in ENCODERS:
        tiny = family is not None and family.vae_make == part.vae  # of a family that has none but a tiny one
        return (part.part is Part.VAE or tiny) and not part.foreign
    if part.encoder == LONG_CLIP:
        return False
    if part.foreign:
        return any(f"{place}model.token_embedding.weight" in tensors for place in _OPENCLIP)
    if role == "t5xxl":
        return any(name.removeprefix("transformer.") in ("shared.weight", "token_embd.weight") for name in inner)
    return True


def _checkpoint(denoiser: Tensors, groups: dict[str, dict[str, TensorInfo]], tensors: Tensors) -> Described:
    """A denoiser, with whatever lies beside it; ``tensors`` are those of the whole file."""
    first = groups.get("clip_l", {})
    token_width = next((extent(first, name) for name in _TOKENS if name in first), 0)
    described = as_denoiser(denoiser, token_width, "clip_g" in groups)
    if described is None:
        return Described(Part.UNKNOWN, "a checkpoint of a kind that is not known here")
    if described.part is not Part.DENOISER:
        return described
    found = {role: _part(role, group) for role, group in groups.items()}
    parts = {role: part for role in ROLES if (part := found.get(role)) is not None}
    inner = {
        role: part for role, part in parts.items() if _is_read(described.family, role, part, groups[role], tensors)
    }
    unread = tuple(part.title for role, part in parts.items() if role not in inner)
    if not inner:
        return replace(described, unread=unread)
    title = described.title.removesuffix(" denoiser")
    title = title if title == (described.kind and described.kind.title) else title.removeprefix("the ")
    return replace(
        described,
        part=Part.CHECKPOINT,
        title=f"{Part.CHECKPOINT.value} of {title}",
        holds=tuple(inner),
        inner=tuple(inner.values()),
        unread=unread,
    )


def _with_own_size(described: Described, header: FileHeader) -> Described:
    """A denoiser trained for other sizes than its family says so in its file's metadata."""
    width, height = (header.metadata.get(key) for key in OWN_SIZE_KEYS)
    if described.family is None or not (isinstance(width, int) and isinstance(height, int)):
        return described
    return replace(described, family=described.family.sized(width, height))
