"""Denoisers, VAEs and language models in other programs' names, under those that the engine reads.

Which names denoisers have stands with each family (``families.family.OtherNames``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from sdcpp_py.models.arrangement.pieces import Arranged, joined, swapped
from sdcpp_py.models.detect.denoisers import as_denoiser
from sdcpp_py.models.detect.described import Part
from sdcpp_py.models.families.naming import OtherNames

_DENOISER = "model.diffusion_model."
# What a denoiser's names begin with in a checkpoint, where a program saved it from memory, and in a file of its own.
_SAVED = ("diffusion_model.", "transformer.")
# What a language model's names begin with where it was saved without its head, or with its image half.
_LANGUAGE_MODELS = ("", "model.language_model.", "language_model.model.")
_TABLE = "embed_tokens.weight"
_WHOLE = (_DENOISER, *_SAVED, "")


def renamed(tensors: Mapping[str, Arranged]) -> tuple[Mapping[str, Arranged], bool]:
    """Tensors under the engine's names, laid together as it has them; and whether any had another.

    Raises ValueError where a part of one is missing or does not fit.
    """
    for prefix in _WHOLE:
        inner = {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
        names = _names_of(inner)
        if names is not None:
            others = {name: tensor for name, tensor in tensors.items() if not name.startswith(prefix)}
            back = _DENOISER if prefix else ""
            found = _under(inner, names)
            _check(found)
            return others | {back + name: tensor for name, tensor in found.items()}, True
    for prefix in _SAVED:
        if tensors and all(name.startswith(prefix) for name in tensors):
            return {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}, True
    for prefix in _LANGUAGE_MODELS:
        if prefix + _TABLE in tensors and f"{prefix}layers.0.input_layernorm.weight" in tensors:
            return {_in_transformers(name, prefix): tensor for name, tensor in tensors.items()}, True
    return _as_convolutions(tensors)


def _in_transformers(name: str, prefix: str) -> str:
    """The name that a language model's tensor has where the model has a head beside it."""
    return f"model.{name.removeprefix(prefix)}" if name.startswith(prefix) else name


def _names_of(tensors: Mapping[str, Arranged]) -> OtherNames | None:
    described = as_denoiser({name: tensor.seen() for name, tensor in tensors.items()})
    if described is None or not described.foreign or described.kind is None or described.kind.family is None:
        return None
    return described.kind.family.other_names


def _check(tensors: Mapping[str, Arranged]) -> None:
    """Raises ValueError where renamed tensors make no denoiser: some of those are missing by which it is told."""
    described = as_denoiser({name: tensor.seen() for name, tensor in tensors.items()})
    if described is None or described.part is not Part.DENOISER or described.foreign:
        raise ValueError("lacks tensors that every such denoiser has")


def _under(tensors: Mapping[str, Arranged], names: OtherNames) -> dict[str, Arranged]:
    found: dict[str, Arranged] = {}
    parts: dict[str, dict[int, Arranged]] = {}
    for name, tensor in tensors.items():
        own, place = names.of(name)
        if place is None:
            found[own] = tensor
        else:
            parts.setdefault(own, {})[place] = tensor
    for name, places in parts.items():
        wanted = names.parts_of(name)
        missing = [place for place in range(wanted) if place not in places]
        if missing:
            raise ValueError(f"lacks part {missing[0] + 1} of {wanted} of what the engine calls '{name}'")
        found[name] = joined(name, [places[place] for place in range(wanted)])
    for name in names.swapped_in(found):
        found[name] = swapped(found[name])
    return found


_ATTENTION_OF_VAE = re.compile(r"mid_block\.attentions\.0\.(?:to_[qkv]|to_out\.0|query|key|value|proj_attn)\.weight$")


def _as_convolutions(tensors: Mapping[str, Arranged]) -> tuple[Mapping[str, Arranged], bool]:
    """A VAE's tensors, with the matrices of diffusers where the original has convolutions of 1x1."""
    matrices = [name for name, tensor in tensors.items() if len(tensor.shape) == 2 and _ATTENTION_OF_VAE.search(name)]
    if not matrices:
        return tensors, False
    return dict(tensors) | {name: replace(tensors[name], shape=(*tensors[name].shape, 1, 1)) for name in matrices}, True
