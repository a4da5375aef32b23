"""Reading what PNG files say of themselves, as plain values: our own exact text, or the common one of other tools.

``parameters`` is the text that AUTOMATIC1111's web UI made common. ``sdcpp_py`` is JSON of ours; reading prefers it,
because in the other text a prompt that contains "Negative prompt:" cannot be told from a prompt followed by one.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from typing import Any

from sdcpp_py.errors import ImageError, ImageNotFoundError, MetadataError, MetadataNotFoundError
from sdcpp_py.models.families import SAMPLERS, SCHEDULERS
from sdcpp_py.system.image_files import read_texts

OURS, COMMON = "sdcpp_py", "parameters"
FORMAT = 1

COMMON_SAMPLERS = {
    "euler": "Euler", "euler_a": "Euler a", "heun": "Heun", "dpm2": "DPM2", "dpm++2s_a": "DPM++ 2S a",
    "dpm++2m": "DPM++ 2M", "lcm": "LCM", "ddim_trailing": "DDIM", "res_multistep": "Res Multistep",
}  # fmt: skip

# Not "denoising strength": other tools write it for pictures that began from nothing, too.
_COMMON_NUMBERS = {"cfg_scale": "cfg scale", "guidance": "distilled cfg scale"}

Record = dict[str, Any]
"""What a picture says: "settings" (by our names), "model", "software", "engine", "timings"."""


def read_record(file: str | os.PathLike[str]) -> Record:
    """What a picture file says of itself.

    Raises:
        MetadataError: it is no picture, or carries nothing that can be read.
        MetadataNotFoundError: there is no such file.
    """
    try:
        texts = read_texts(file).by_name
    except ImageNotFoundError as error:
        raise MetadataNotFoundError(f"there is no file {file!s}") from error
    except ImageError as error:
        raise MetadataError(str(error)) from error
    if OURS in texts:
        return parse_ours(texts[OURS])
    if COMMON in texts:
        return parse_common(texts[COMMON])
    raise MetadataError(f"{file!s} carries no generation settings")


def parse_ours(text: str) -> Record:
    """Our own JSON. Raises MetadataError where it is damaged or of a newer format."""
    try:
        data = json.loads(text)
        if data["format"] > FORMAT:
            raise MetadataError(f"the metadata has format {data['format']}; this version reads up to {FORMAT}")
        return {
            "settings": {str(name): value for name, value in data["settings"].items()},
            "model": {str(name): str(value) for name, value in data.get("model", {}).items()},
            "software": str(data.get("software", "")),
            "engine": str(data.get("engine", "")),
            "timings": {str(name): float(value) for name, value in data.get("timings", {}).items()},
        }
    except MetadataError:
        raise
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError) as error:
        raise MetadataError("the metadata of this library in the picture is damaged") from error


# Settings take one line of a few hundred characters; looking for them in a megabyte would take minutes.
_LONGEST_LINE = 4096
_PAIR = re.compile(r'\s*([\w][\w \-/]*):\s*("(?:\\.|[^\\"])+"|[^,]*)(?:,|$)')


def parse_common(text: str) -> Record:
    """What the ``parameters`` text of this or another tool says; settings it does not name are left out.

    Raises MetadataError where there is no line of names and values, or one of them is no number or name known here.
    """
    head, _, last = text.strip("\n").rpartition("\n")
    pairs = {name.strip().lower(): value.strip().strip('"') for name, value in _PAIR.findall(last[:_LONGEST_LINE])}
    if "steps" not in pairs:
        raise MetadataError("the 'parameters' text of the picture has no line with 'Steps: ...'")
    prompt, _, negative = head.partition("\nNegative prompt: ")
    if head.startswith("Negative prompt: "):
        prompt, negative = "", head.removeprefix("Negative prompt: ")
    settings: dict[str, Any] = {"prompt": prompt, "negative_prompt": negative}
    try:
        settings["steps"] = int(pairs["steps"])
        for ours, common in _COMMON_NUMBERS.items():
            if common in pairs:
                settings[ours] = float(pairs[common])
        if "seed" in pairs:
            settings["seed"] = int(pairs["seed"])
        if "size" in pairs:
            settings["width"], settings["height"] = (int(edge) for edge in pairs["size"].split("x"))
    except ValueError as error:
        raise MetadataError(f"the 'parameters' text of the picture cannot be used here: {error}") from error
    settings.update(_named_choices(pairs))
    model = {"diffusion_model": pairs["model"]} if "model" in pairs else {}
    return {"settings": settings, "model": model, "software": pairs.get("version", ""), "engine": "", "timings": {}}


def _named_choices(pairs: Mapping[str, str]) -> dict[str, str]:
    """Sampler and scheduler, under our names; other tools' schedules that the engine lacks are left to the default."""
    choices = {}
    ours = {common.lower(): name for name, common in COMMON_SAMPLERS.items()}
    sampler = pairs.get("sampler", "").lower()
    if sampler:
        choices["sampler"] = ours.get(sampler, sampler)
        if choices["sampler"] not in SAMPLERS:
            raise MetadataError(f"the sampler '{pairs['sampler']}' does not exist here")
    scheduler = pairs.get("schedule type", "").lower()
    if scheduler in SCHEDULERS:
        choices["scheduler"] = scheduler
    return choices
