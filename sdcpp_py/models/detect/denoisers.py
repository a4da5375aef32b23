"""Naming denoisers from their tensors, as the engine does.

Each family says itself how it is told (``models/families``). They are asked after the kinds that are not supported
(``kinds.py``), some of which the engine takes for one of them.
"""

from __future__ import annotations

from sdcpp_py.models.detect import kinds
from sdcpp_py.models.detect.described import Described, Kind, Part
from sdcpp_py.models.families import FAMILIES, VARIANTS
from sdcpp_py.models.families.klein import WIDEST
from sdcpp_py.models.families.traits import DenoiserTensors, DenoiserTraits
from sdcpp_py.models.families.unet import traits_in_diffusers
from sdcpp_py.models.tensors import Tensors


def as_denoiser(tensors: Tensors, token_width: int = 0, two_encoders: bool = False) -> Described | None:
    """The denoiser that these tensors make; None where they make none.

    Arguments are those of ``DenoiserTensors``.
    """
    seen = DenoiserTensors(tensors, token_width, two_encoders)
    for kind, holds in kinds.CANNOT_RUN:
        if holds(seen):
            return _described(kind, DenoiserTraits())
    return _in_diffusers_names(seen) or _in_original_names(seen) or _unknown(seen)


def _described(kind: Kind, traits: DenoiserTraits, *, foreign: bool = False) -> Described:
    """A denoiser of a kind. What is not supported in these names has no family."""
    title = kind.title if kind.title.startswith("the ") else f"the {kind.title} denoiser"
    if foreign:
        title += " in the diffusers format"
    return Described(
        Part.DENOISER,
        title,
        kind,
        None if foreign else kind.family,
        hidden_size=traits.hidden_size,
        context_width=traits.context_width,
        foreign=foreign,
        distilled=traits.distilled,
    )


def _in_original_names(seen: DenoiserTensors) -> Described | None:
    for kind, traits_of, holds in kinds.ENGINE_KNOWS:
        if holds(seen):
            return _described(kind, traits_of(seen))
    for family in (*FAMILIES, *VARIANTS):
        traits = family.recognise(seen)
        if traits is not None:
            return _described(Kind.of(family), traits)
    return None


def _in_diffusers_names(seen: DenoiserTensors) -> Described | None:
    """Denoisers that the engine does not read by diffusers' names. (Qwen-Image has no others.)

    It has lists of such names, for LoRAs: where its own tensor is the diffusers format's queries, keys and values in
    one, it takes the first of the three for the whole.
    """
    for family in (*FAMILIES, *VARIANTS):
        traits = family.recognise_diffusers(seen)
        if traits is not None:
            return _described(Kind.of(family), traits, foreign=True)
    if {"single_transformer_blocks", "double_stream_modulation_img"} <= seen.tops:
        wide = seen.traits("context_embedder.weight")
        assert wide.hidden_size > WIDEST
        return _described(kinds.FLUX2_DEV, wide, foreign=True)
    unet = traits_in_diffusers(seen)
    if unet is not None and unet.context_width in kinds.IN_DIFFUSERS:
        return _described(kinds.IN_DIFFUSERS[unet.context_width], unet, foreign=True)
    named = "transformer_blocks.0.attn.to_q.weight" in seen
    if named and "transformer_blocks.0.img_mod.1.weight" not in seen:
        title = "a denoiser in the diffusers format"
        return Described(Part.DENOISER, title, Kind("", "", nearest="flux1"), foreign=True)
    return None


def _unknown(seen: DenoiserTensors) -> Described | None:
    if "double_stream_modulation_img.lin.weight" in seen:
        return Described(Part.UNKNOWN, "a part of a FLUX.2 denoiser")
    if "input_blocks" in seen.tops:
        return Described(Part.UNKNOWN, "a UNet of a kind that is not known here")
    return None
