"""What a model file is, told in words from its header alone: in milliseconds, without its weights."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sdcpp_py.models import suggestions
from sdcpp_py.models.arrangement import ReadModel, read_arranged
from sdcpp_py.models.compatibility import encoder_role, encoder_warnings, holds_vae, lacks_heads, vae_fits
from sdcpp_py.models.detect import describe
from sdcpp_py.models.detect.described import Described, Kind, Part
from sdcpp_py.models.detect.headers import FileHeader
from sdcpp_py.models.detect.storage import is_inflated, mix_of, parameters_of
from sdcpp_py.models.families import FAMILIES, FAMILIES_BY_NAME, Family
from sdcpp_py.signatures import checked_names
from sdcpp_py.system.paths import StrPath, absolute

# Words in names of files that say what tensors cannot.
_DISTILLED = re.compile(r"turbo|schnell|lightning|hyper|lcm|distill|twinflow|dmd|sdxs")
T5_WIDTH = 4096
"""Of the states of T5-XXL, which the denoisers that can be downloaded were trained with."""
_BASE = re.compile(r"(?:^|[^a-z])base(?:[^a-z]|$)")


@dataclass(frozen=True)
class Inspection:
    """What a model file is.

    Attributes:
        path: the file, or the index or folder of a model in several files.
        part: what it is to a model.
        title: the same in words ("the FLUX.2 Klein denoiser").
        family: the short name of the denoiser's kind ("flux2-klein", "wan"); of a LoRA or a ControlNet: of the one that
            it was made for; "" where there is none or it is not known.
        drawable: whether one can generate with it here, or it serves a part with which one can.
        parameters: how many numbers it holds.
        types: bytes by type of weight, the largest first.
        nbytes: bytes of all weights.
        encoder: the text encoders that a denoiser needs beside it, in words; "" where none.
        vae: the VAE that it needs beside it, in words; "" where none.
        goes_with: of every other part: the titles of the families that it serves.
        distilled: whether a denoiser generates without classifier-free guidance. None where neither the tensors nor the
            file's name tell.
        notes: whatever else there is to know, in sentences.
    """

    path: Path
    part: Part
    title: str
    family: str
    drawable: bool
    parameters: int
    types: Mapping[str, int]
    nbytes: int
    encoder: str = ""
    vae: str = ""
    goes_with: tuple[str, ...] = ()
    distilled: bool | None = None
    notes: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """The same in plain values, as JSON has them."""
        return {
            "path": str(self.path),
            "part": self.part.name.lower(),
            "title": self.title,
            "family": self.family,
            "drawable": self.drawable,
            "parameters": self.parameters,
            "types": dict(self.types),
            "nbytes": self.nbytes,
            "encoder": self.encoder,
            "vae": self.vae,
            "goes_with": list(self.goes_with),
            "distilled": self.distilled,
            "notes": list(self.notes),
        }


@checked_names
def inspect(path: StrPath) -> Inspection:
    """Says what a model file is, from its header.

    Args:
        path: a GGUF or safetensors file; of a model in several, one of them, their index, or the folder they are in.

    Raises:
        ModelNotFoundError: there is no such file, or one that the index names is missing.
        ModelLoadError: it is unreadable, empty, truncated, damaged, or something else than a model.
    """
    path = absolute(path)
    model = read_arranged(path)
    return inspection_of(model, describe(model.header))


def inspection_of(model: ReadModel, described: Described) -> Inspection:
    """What a model is whose header was read."""
    header = model.header
    kind = described.kind
    family = described.family
    encoder, vae = _needs(described, family)
    fault = model.fault
    notes = [*_notes(header, described, fault), *_how_read(model)]
    goes_with = _goes_with(described)
    drawable = not fault and not described.foreign and (family is not None or bool(goes_with))
    if family is not None and (_lacks_encoders(family, described) or lacks_heads(family, header)):
        drawable = False
    return Inspection(
        path=header.path,
        part=described.part,
        title=described.title,
        family=kind.name if kind is not None else "",
        drawable=drawable,
        parameters=parameters_of(header),
        types=mix_of(model.stored),
        nbytes=model.stored.nbytes,
        encoder=encoder,
        vae=vae,
        goes_with=goes_with,
        distilled=_distilled(header, described),
        notes=tuple(notes),
    )


def _lacks_encoders(family: Family, described: Described) -> bool:
    """Whether the engine does not open a file because its text encoders are not in it."""
    return family.whole_only and not set(family.encoders) <= set(described.holds)


def _needs(described: Described, family: Family | None) -> tuple[str, str]:
    """The text encoders and the VAE that a denoiser needs beside it, in words."""
    if family is None:
        return "", ""
    missing = [role for role in family.encoders if role not in described.holds]
    encoders = [suggestions.encoder_of(family, role, described.context_width) for role in missing]
    return suggestions.listed(encoders), "" if holds_vae(family, described) else family.vae_file


def _goes_with(described: Described) -> tuple[str, ...]:
    """Titles of the families that a part other than a denoiser serves."""
    if described.part in (Part.LORA, Part.CONTROLNET):
        known = described.kind is not None and described.kind.family is not None
        return (described.kind.title,) if known and described.kind is not None else ()
    if described.part is Part.UPSCALER:
        return ("every family",)
    return tuple(family.title for family in FAMILIES if _serves(described, family))


def _serves(described: Described, family: Family) -> bool:
    if described.part is Part.TEXT_ENCODER:
        role = encoder_role(family, described)
        if role != "llm":
            wide = role != "t5xxl" or described.hidden_size == T5_WIDTH
            return wide and role in family.encoders
        reads = family.language_model
        return reads is not None and described.encoder == reads.make and described.hidden_size in reads.widths
    if described.part in (Part.VAE, Part.TINY_AUTOENCODER):
        return vae_fits(family, described)
    return False


def _distilled(header: FileHeader, described: Described) -> bool | None:
    if described.part not in (Part.DENOISER, Part.CHECKPOINT):
        return None
    if described.distilled is not None:
        return described.distilled
    name = f"{header.metadata.get('general.name', '')} {header.path.name}".lower()
    if _BASE.search(name):
        return False
    word = described.kind.family.distilled_word if described.kind is not None and described.kind.family else ""
    return True if (word and word in name) or _DISTILLED.search(name) else None


def _notes(header: FileHeader, described: Described, fault: str) -> tuple[str, ...]:
    notes = []
    kind = described.kind
    if fault:
        notes.append(f"it {fault}")
    if described.foreign:
        of_clip = described.part is Part.TEXT_ENCODER
        origin = "OpenCLIP, outside of a whole checkpoint" if of_clip else "the diffusers format"
        notes.append(f"the engine does not read it under these names, those of {origin}")
    if kind is not None and kind.nearest and kind.title:
        notes.append(_cannot(kind))
    if described.family is not None and _lacks_encoders(described.family, described):
        notes.append(f"the engine opens {described.family.title} from whole checkpoints only")
    if described.family is not None and lacks_heads(described.family, header):
        notes.append(f"it is only a part of {described.title}")
    if described.inner:
        notes.append(f"beside the denoiser it holds {suggestions.listed([part.title for part in described.inner])}")
    if described.unread:
        notes.append(f"it also holds {suggestions.listed(described.unread)}, which the engine does not read there")
    notes.extend(encoder_warnings(header.path, header, described))
    return tuple(notes)


def _how_read(model: ReadModel) -> list[str]:
    """What is done to a model when it is opened."""
    notes = []
    if len(model.files) > 1:
        notes.append(f"it is in {len(model.files)} files, from {model.files[0].name} on")
    if describe(model.stored).foreign and not describe(model.header).foreign:
        notes.append("its names are those of the diffusers format")
    if is_inflated(model.stored):
        notes.append("its fp8 weights take twice their size in memory")
    return notes


def _cannot(kind: Kind) -> str:
    nearest = FAMILIES_BY_NAME[kind.nearest]
    able = "it is not supported here" if kind.version else "the engine cannot run it"
    return f"{able}; {nearest.title} comes nearest: {nearest.denoiser_file()}"
