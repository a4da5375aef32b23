"""Fooocus' record: an object called ``parameters`` (its own scheme), or a ``Comment`` of older versions and kin.

Its other scheme is the common text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from sdcpp_py.settings.record import Record, is_said, plain_text

_NUMBERS = {
    "width": "width", "height": "height", "steps": "steps", "guidance_scale": "cfg_scale", "cfg": "cfg_scale",
    "seed": "seed", "clip_skip": "clip_skip",
}  # fmt: skip
_SIZE = re.compile(r"\(?\s*(\d{1,9})\s*[,x×]\s*(\d{1,9})\s*\)?")
_UNUSED = ("loras", "refiner_model", "freeu", "inpaint_engine_version", "inpaint_method", "inpaint_strength")
_OWN = ("base_model", "metadata_scheme", "full_prompt", "performance", "guidance_scale")


def is_own(values: Mapping[str, Any]) -> bool:
    """Whether an object is Fooocus'."""
    return any(name in values for name in _OWN)


def read(values: Mapping[str, Any]) -> Record:
    """The record of Fooocus' object."""
    record = Record(
        {"prompt": _prompt(values, "prompt"), "negative_prompt": _prompt(values, "negative_prompt")},
        software=plain_text(values.get("version")) or "Fooocus",
    )
    record.take_numbers(values, _NUMBERS)
    resolution = values.get("resolution")
    if isinstance(resolution, str):
        size = _SIZE.fullmatch(resolution.strip())
        if size is None:
            record.problems.append(f"'resolution' is {resolution[:100]!r}, which is no size")
        else:
            record.settings["width"], record.settings["height"] = int(size[1]), int(size[2])
    record.take_choices(plain_text(values.get("sampler")), plain_text(values.get("scheduler")))
    for theirs, ours in (("base_model", "diffusion_model"), ("vae", "vae")):
        name = plain_text(values.get(theirs))
        if is_said(name) and name != "Default (model)":
            record.model[ours] = name
    record.say_unused([name for name in _UNUSED if is_said(values.get(name))])
    return record


def _prompt(values: Mapping[str, Any], name: str) -> str:
    """The prompt that the model read: what was typed, with the styles around it, where both are told."""
    full = values.get(f"full_{name}")
    if isinstance(full, list) and full and all(isinstance(part, str) for part in full):
        return ", ".join(full)
    return plain_text(full) or plain_text(values.get(name))
