"""Settings inside PNG files: one text that other tools read, and one that is exact.

``parameters`` is the text that AUTOMATIC1111's web UI made common. ``sdcpp_py`` is JSON of ours; reading prefers it,
because in the other text a prompt that contains "Negative prompt:" cannot be told from a prompt followed by one.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image, UnidentifiedImageError
from PIL.PngImagePlugin import PngInfo

from sdcpp_py.errors import MetadataError, SettingsError
from sdcpp_py.families import SAMPLERS, SCHEDULERS
from sdcpp_py.settings import GenerationSettings
from sdcpp_py.version import __version__

OURS, COMMON = "sdcpp_py", "parameters"
_FORMAT = 1


@dataclass(frozen=True)
class PictureMetadata:
    """What a picture says of itself.

    Attributes:
        settings: what it was drawn with.
        model: names of the family and of the files ("family", "diffusion_model", "text_encoder", "vae").
        software: what drew it ("sdcpp_py 0.1.0").
        engine: commit of the engine.
        timings: seconds by phase.
    """

    settings: GenerationSettings
    model: Mapping[str, str] = field(default_factory=dict)
    software: str = f"sdcpp_py {__version__}"
    engine: str = ""
    timings: Mapping[str, float] = field(default_factory=dict)


def to_png_info(metadata: PictureMetadata) -> PngInfo:
    """The two text chunks for Pillow's PNG writer."""
    info = PngInfo()
    # iTXt holds any Unicode; tEXt holds Latin-1. Readers of the common text expect tEXt where it suffices.
    info.add_text(COMMON, to_common_text(metadata))
    info.add_text(OURS, to_json(metadata))
    return info


def to_json(metadata: PictureMetadata) -> str:
    """Our own text: JSON in ASCII."""
    return json.dumps(
        {
            "format": _FORMAT,
            "software": metadata.software,
            "engine": metadata.engine,
            "settings": metadata.settings.as_dict(),
            "model": dict(metadata.model),
            "timings": {name: round(seconds, 3) for name, seconds in metadata.timings.items()},
        }
    )


def from_json(text: str) -> PictureMetadata:
    """The opposite of ``to_json``, exactly. Raises MetadataError."""
    try:
        data = json.loads(text)
        if data["format"] > _FORMAT:
            raise MetadataError(f"the metadata has format {data['format']}; this version reads up to {_FORMAT}")
        return PictureMetadata(
            settings=GenerationSettings(**data["settings"]),
            model=dict(data.get("model", {})),
            software=str(data.get("software", "")),
            engine=str(data.get("engine", "")),
            timings=dict(data.get("timings", {})),
        )
    except MetadataError:
        raise
    except SettingsError as error:
        raise MetadataError(f"the metadata holds a setting that is not valid: {error}") from error
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise MetadataError("the metadata of this library in the picture is damaged") from error


_COMMON_SAMPLERS = {
    "euler": "Euler", "euler_a": "Euler a", "heun": "Heun", "dpm2": "DPM2", "dpm++2s_a": "DPM++ 2S a",
    "dpm++2m": "DPM++ 2M", "lcm": "LCM", "ddim_trailing": "DDIM", "res_multistep": "Res Multistep",
}  # fmt: skip


def to_common_text(metadata: PictureMetadata) -> str:
    """The ``parameters`` text: prompt, negative prompt, and one line of names and values."""
    settings = metadata.settings
    pairs: dict[str, Any] = {
        "Steps": settings.steps,
        "Sampler": _COMMON_SAMPLERS.get(settings.sampler, settings.sampler),
        "Schedule type": settings.scheduler,
        "CFG scale": f"{settings.cfg_scale:g}",
        "Seed": settings.seed,
        "Size": f"{settings.width}x{settings.height}",
    }
    model = Path(metadata.model.get("diffusion_model", "")).stem
    if model:
        pairs["Model"] = _quoted(model)
    pairs["Version"] = metadata.software
    lines = [settings.prompt]
    if settings.negative_prompt:
        lines.append(f"Negative prompt: {settings.negative_prompt}")
    lines.append(", ".join(f"{name}: {value}" for name, value in pairs.items()))
    return "\n".join(lines)


def _quoted(value: str) -> str:
    return json.dumps(value, ensure_ascii=False) if re.search(r'[,:\n"]', value) else value


_PAIR = re.compile(r'\s*([\w][\w \-/]*):\s*("(?:\\.|[^\\"])+"|[^,]*)(?:,|$)')


def from_common_text(text: str) -> PictureMetadata:
    """What the ``parameters`` text of this or another tool says; settings it does not name keep their defaults.

    Raises MetadataError where there is no line of names and values, or one of them is not valid here.
    """
    head, _, last = text.strip("\n").rpartition("\n")
    pairs = {name.strip().lower(): value.strip().strip('"') for name, value in _PAIR.findall(last)}
    if "steps" not in pairs:
        raise MetadataError("the 'parameters' text of the picture has no line with 'Steps: ...'")
    prompt, _, negative = head.partition("\nNegative prompt: ")
    if head.startswith("Negative prompt: "):
        prompt, negative = "", head.removeprefix("Negative prompt: ")
    try:
        settings: dict[str, Any] = {"steps": int(pairs["steps"])}
        if "cfg scale" in pairs:
            settings["cfg_scale"] = float(pairs["cfg scale"])
        if "seed" in pairs:
            settings["seed"] = int(pairs["seed"])
        if "size" in pairs:
            settings["width"], settings["height"] = (int(edge) for edge in pairs["size"].split("x"))
        settings.update(_named_choices(pairs))
        return PictureMetadata(
            settings=GenerationSettings(prompt=prompt, negative_prompt=negative, **settings),
            model={"diffusion_model": pairs["model"]} if "model" in pairs else {},
            software=pairs.get("version", ""),
        )
    except ValueError as error:  # SettingsError is one
        raise MetadataError(f"the 'parameters' text of the picture cannot be used here: {error}") from error


def _named_choices(pairs: Mapping[str, str]) -> dict[str, str]:
    """Sampler and scheduler, under our names; other tools' schedules that the engine lacks are left to the default."""
    choices = {}
    ours = {common.lower(): name for name, common in _COMMON_SAMPLERS.items()}
    sampler = pairs.get("sampler", "").lower()
    if sampler:
        choices["sampler"] = ours.get(sampler, sampler)
        if choices["sampler"] not in SAMPLERS:
            raise MetadataError(f"the sampler '{pairs['sampler']}' does not exist here")
    scheduler = pairs.get("schedule type", "").lower()
    if scheduler in SCHEDULERS:
        choices["scheduler"] = scheduler
    return choices


def read_png(file: str | os.PathLike[str]) -> PictureMetadata:
    """What a picture file says of itself.

    Raises:
        MetadataError: it is no picture, or carries nothing that can be read.
        FileNotFoundError: there is no such file.
    """
    try:
        with Image.open(file) as image:
            image.load()  # text chunks may follow the pixels
            texts = {name: value for name, value in image.info.items() if isinstance(value, str)}
    except FileNotFoundError:
        raise
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError) as error:
        raise MetadataError(f"{os.fspath(file)} is no picture that can be read") from error
    if OURS in texts:
        return from_json(texts[OURS])
    if COMMON in texts:
        return from_common_text(texts[COMMON])
    raise MetadataError(f"{os.fspath(file)} carries no generation settings")
