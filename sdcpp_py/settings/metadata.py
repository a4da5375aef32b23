"""What a picture says of itself: made for writing, and read back."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL.PngImagePlugin import PngInfo

from sdcpp_py.errors import MetadataError
from sdcpp_py.image_files.exif import exif_block
from sdcpp_py.image_files.png_chunks import Texts
from sdcpp_py.settings import OPTIONS, GenerationSettings, unknown_names
from sdcpp_py.settings.applied_loras import AppliedLora, hashes, mentions
from sdcpp_py.settings.png_text import (
    COMMON,
    FORMAT,
    LORA_HASHES,
    OURS,
    PictureFile,
    parse_common,
    parse_ours,
    picture_texts,
    read_record,
    record_of,
    shown_name,
    warn_of,
)
from sdcpp_py.settings.record import Record
from sdcpp_py.settings.sampler_names import COMMON_SAMPLERS
from sdcpp_py.signatures import checked_names
from sdcpp_py.version import __version__


@dataclass(frozen=True)
class PictureMetadata:
    """What a picture says of itself.

    Attributes:
        settings: what it was generated with.
        model: names of the family and of the files ("family", "diffusion_model", "text_encoder", "vae").
        software: what generated it ("sdcpp_py 0.1.0").
        engine: commit of the engine.
        timings: seconds by phase.
        extra_settings: settings that a later version wrote and this one does not know, by name. They are written again.
        extra: what else a later version wrote, likewise.
        problems: what could not be taken from the picture, in sentences.
        loras: those that were applied, with their weights and hashes.
    """

    settings: GenerationSettings
    model: Mapping[str, str] = field(default_factory=dict)
    software: str = f"sdcpp_py {__version__}"
    engine: str = ""
    timings: Mapping[str, float] = field(default_factory=dict)
    extra_settings: Mapping[str, Any] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)
    problems: tuple[str, ...] = field(default=(), compare=False)
    loras: tuple[AppliedLora, ...] = ()


@checked_names
def read_metadata(file: PictureFile) -> PictureMetadata:
    """What a picture file says of itself.

    What cannot be taken from it is in ``problems``, and a ``MetadataWarning`` says it too.

    Args:
        file: a path, or a binary file that can be sought in: a PNG, JPEG, WebP, AVIF, or another that has texts.

    Raises:
        MetadataError: it is no picture, or carries nothing that can be read.
        MetadataNotFoundError: there is no such file.
    """
    metadata = read_quietly(file)
    warn_of(metadata.problems, shown_name(file), stacklevel=2)
    return metadata


read_png = read_metadata
"""What it was called when PNG alone carried anything."""


def read_quietly(file: PictureFile) -> PictureMetadata:
    """The same without a warning, for those who show ``problems`` themselves. Raises as ``read_metadata`` does."""
    return _from_record(read_record(file))


def read_all(file: PictureFile) -> tuple[PictureMetadata | None, Texts, str]:
    """All that a picture file says, without warnings: for showing it.

    Returns:
        the metadata, or None where they cannot be used here; all its texts; and why they cannot be used, or "".

    Raises as ``read_metadata`` does, but not over texts that are there and cannot be used.
    """
    texts = picture_texts(file)
    try:
        return _from_record(record_of(texts, shown_name(file))), texts, ""
    except MetadataError as error:
        if not texts.by_name and not texts.unread:
            raise
        return None, texts, str(error)


def from_json(text: str) -> PictureMetadata:
    """The opposite of ``to_json``, exactly. Raises MetadataError."""
    return _from_record(parse_ours(text))


def from_common_text(text: str) -> PictureMetadata:
    """What the ``parameters`` text of this or another tool says; settings it does not name keep their defaults.

    Raises MetadataError where there is no line of names and values.
    """
    return _from_record(parse_common(text))


def _from_record(record: Record) -> PictureMetadata:
    settings, unknown, problems = GenerationSettings.taken_from(record.settings)
    return PictureMetadata(
        settings,
        record.model,
        record.software,
        record.engine,
        record.timings,
        unknown,
        record.extra,
        (*record.problems, *problems, *unknown_names({**record.extra, **unknown})),
        record.loras,
    )


def to_png_info(metadata: PictureMetadata) -> PngInfo:
    """The two text chunks for Pillow's PNG writer."""
    info = PngInfo()
    # Pillow writes tEXt where Latin-1 suffices, as readers of the common text expect, and else iTXt.
    info.add_text(COMMON, to_common_text(metadata))
    info.add_text(OURS, to_json(metadata))
    return info


# What one segment of a JPEG holds, in bytes.
_MOST_IN_JPEG = 65_533


def to_exif(metadata: PictureMetadata, *, jpeg: bool = False) -> bytes:
    """The EXIF block for Pillow's writers of JPEG, WebP and AVIF: the two texts as UserComment and MakerNote.

    ``jpeg``: where they take more bytes than a JPEG can hold, our own is left out, and then both; a
    ``MetadataWarning`` says so.
    """
    common = to_common_text(metadata)
    block = exif_block(common, to_json(metadata), metadata.software)
    if not jpeg or len(block) <= _MOST_IN_JPEG:
        return block
    block = exif_block(common, "", metadata.software)
    if len(block) <= _MOST_IN_JPEG:
        warn_of(["the prompts are too long for all that a JPEG would say of itself"], "the picture", stacklevel=2)
        return block
    warn_of(["the prompts are too long for a JPEG, which says nothing of itself"], "the picture", stacklevel=2)
    return b""


def to_json(metadata: PictureMetadata) -> str:
    """Our own text: JSON in ASCII. Settings that have their default are left out.

    An older version would otherwise meet, in every picture, a name of an option that it does not have.
    """
    return json.dumps(
        {
            **metadata.extra,
            "format": FORMAT,
            "software": metadata.software,
            "engine": metadata.engine,
            "settings": {**metadata.extra_settings, **metadata.settings.beyond_defaults()},
            "model": dict(metadata.model),
            "timings": dict(metadata.timings),
            **({"loras": [lora.as_plain() for lora in metadata.loras]} if metadata.loras else {}),
        }
    )


def to_common_text(metadata: PictureMetadata) -> str:
    """The ``parameters`` text: prompt, negative prompt, and one line of names and values.

    LoRAs stand at the end of the prompt, where the web UI's users write them, and with their hashes in the line.
    """
    settings = metadata.settings
    pairs: dict[str, Any] = {
        "Steps": settings.steps,
        "Sampler": COMMON_SAMPLERS.get(settings.sampler, settings.sampler),
        "Schedule type": settings.scheduler,
        "CFG scale": f"{settings.cfg_scale:g}",
        "Seed": settings.seed,
        "Size": f"{settings.width}x{settings.height}",
    }
    for name, value in settings.beyond_defaults().items():
        if OPTIONS[name].common:
            pairs.setdefault(OPTIONS[name].common, f"{value:g}" if isinstance(value, float) else value)
    model = model_name(metadata.model)
    if model:
        pairs["Model"] = _quoted(model)
    if metadata.loras:
        pairs[LORA_HASHES] = hashes(metadata.loras)
    pairs["Version"] = metadata.software
    lines = [settings.prompt + mentions(metadata.loras)]
    if settings.negative_prompt:
        lines.append(f"Negative prompt: {settings.negative_prompt}")
    lines.append(", ".join(f"{name}: {value}" for name, value in pairs.items()))
    return "\n".join(lines)


def model_name(model: Mapping[str, str]) -> str:
    """The name of a picture's model, which is that of the denoiser's file without its ending."""
    return Path(model.get("diffusion_model", model.get("model", ""))).stem


def _quoted(value: str) -> str:
    return json.dumps(value, ensure_ascii=False) if re.search(r'[,:\n"]', value) else value
