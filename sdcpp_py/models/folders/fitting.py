"""Which text encoders and VAEs of a folder belong to a denoiser, and which of several is taken."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from sdcpp_py.errors import ModelMismatchError
from sdcpp_py.models.compatibility import (
    Given,
    check_width,
    encoder_role,
    encoder_warnings,
    holds_vae,
    vae_fits,
)
from sdcpp_py.models.detect.described import Part
from sdcpp_py.models.families import Family
from sdcpp_py.models.folders.scan import FolderFile
from sdcpp_py.models.quantization import WORKING_ROOM

_FOUR_BITS = 4.5
"""Bits a weight of the usual files of four bits, their scales included."""
_MORE_THAN_SIXTEEN = 17.0


def encoder_fits(denoiser: Given, role: str, given: Given) -> bool:
    """Whether a file is the text encoder for a role of a denoiser that can generate."""
    family = denoiser.described.family
    if family is None or given.described.foreign or encoder_role(family, given.described) != role:
        return False
    return _has_its_states(family, denoiser, role, given)


def encoders_outside(denoiser: Given) -> list[str]:
    """The roles of the text encoders that a denoiser reads from other files, as they are not in its own, or not fit."""
    family, described = denoiser.described.family, denoiser.described
    if family is None:
        return []
    inside = {
        role: replace(denoiser, described=part)
        for role, part in zip(described.holds, described.inner, strict=True)
        if role in family.encoders
    }
    return [
        role
        for role in family.encoders
        if role not in inside or not _has_its_states(family, denoiser, role, inside[role])
    ]


def _has_its_states(family: Family, denoiser: Given, role: str, encoder: Given) -> bool:
    """Whether a text encoder makes the states that a denoiser was trained with."""
    try:
        check_width(family, role, encoder, denoiser)
    except ModelMismatchError:
        return False
    return True


def fitting_parts(denoiser: FolderFile, files: Iterable[FolderFile], memory: int) -> dict[str, tuple[FolderFile, ...]]:
    """What belongs to a denoiser, by role ("llm", "t5xxl", ..., "vae" for full and tiny ones), the one to take first.

    A role is there without files where nothing fits; one that the denoiser's own file fills is not there.

    Of several text encoders, those come first that nothing speaks against; then the largest with which the model and
    ``WORKING_ROOM`` fit into half of the memory, else the one nearest to four bits a weight; weights of 32 bits last,
    since they give what those of 16 do. Of several VAEs, a full one, with the name that it is known by.
    """
    given = denoiser.given
    assert given is not None
    assert given.described.family is not None
    family = given.described.family
    usable = [file for file in files if file.given is not None and not file.copy_of]
    found: dict[str, tuple[FolderFile, ...]] = {}
    for role in encoders_outside(given):
        fits = [file for file in usable if file.given is not None and _reads(given, role, file.given)]
        found[role] = tuple(sorted(fits, key=_order_of_encoders(denoiser, memory)))
    if not holds_vae(family, given.described):
        fits = [file for file in usable if file.given is not None and _decodes(family, file.given)]
        found["vae"] = tuple(sorted(fits, key=_order_of_vaes(family)))
    return found


def role_of(role: str, file: FolderFile) -> str:
    """The role of a file found for ``role``: a tiny autoencoder is the "tae"."""
    tiny = file.given is not None and file.given.described.part is Part.TINY_AUTOENCODER
    return "tae" if role == "vae" and tiny else role


def _reads(denoiser: Given, role: str, given: Given) -> bool:
    return given.described.part is Part.TEXT_ENCODER and encoder_fits(denoiser, role, given)


def _decodes(family: Family, given: Given) -> bool:
    return given.described.part in (Part.VAE, Part.TINY_AUTOENCODER) and vae_fits(family, given.described)


_Order = Callable[[FolderFile], tuple[object, ...]]


def _order_of_encoders(denoiser: FolderFile, memory: int) -> _Order:
    def order(file: FolderFile) -> tuple[object, ...]:
        assert file.given is not None
        assert file.inspection is not None
        warned = bool(encoder_warnings(file.path, file.given.header, file.given.described))
        bits = 8 * file.inspection.nbytes / (file.inspection.parameters or 1)
        fits = denoiser.size + file.size + WORKING_ROOM <= memory / 2
        rank = (0, -float(file.size)) if fits else (1, abs(bits - _FOUR_BITS))
        return warned, bits > _MORE_THAN_SIXTEEN, *rank, file.name

    return order


def _order_of_vaes(family: Family) -> _Order:
    known = family.vae_file.partition(" (")[0].rpartition("/")[2]

    def order(file: FolderFile) -> tuple[object, ...]:
        assert file.given is not None
        name = file.path.name.lower()
        of_another = any(word in name for word in family.vae_of_others)
        tiny = file.given.described.part is Part.TINY_AUTOENCODER
        return tiny, of_another, name != known, -file.size, file.name

    return order
