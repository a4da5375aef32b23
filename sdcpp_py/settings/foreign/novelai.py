"""NovelAI's record: ``Comment``, an object, beside ``Description``, the prompt; in WebP all of them in one object."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sdcpp_py.settings.record import Record, is_said, json_object, plain_number, plain_text, table

_NUMBERS = {"width": "width", "height": "height", "steps": "steps", "scale": "cfg_scale", "seed": "seed"}
# "native" is the schedule that the sampler has of itself.
_NATIVE = "native"
# What changes pixels, and has no meaning here where it is not empty. The rest describes the request and its account.
_UNUSED = (
    "cfg_rescale", "sm", "sm_dyn", "dynamic_thresholding", "skip_cfg_above_sigma", "controlnet_model",
    "reference_image_multiple", "director_reference_strengths", "noise",
)  # fmt: skip


def is_own(values: Mapping[str, Any]) -> bool:
    """Whether an object is NovelAI's: the comment itself, or what holds it."""
    return "uc" in values or "v4_prompt" in values or isinstance(values.get("Comment"), str)


def read(values: Mapping[str, Any], around: Mapping[str, str]) -> Record:
    """The record of the comment. ``around``: the picture's other texts. Raises MetadataError."""
    if isinstance(values.get("Comment"), str):
        around = {name: value for name, value in values.items() if isinstance(value, str)}
        values = json_object(around["Comment"], "NovelAI")
    prompt, characters = _caption(values.get("v4_prompt"))
    negative, _ = _caption(values.get("v4_negative_prompt"))
    record = Record(
        {
            "prompt": plain_text(values.get("prompt")) or around.get("Description", "") or prompt,
            "negative_prompt": plain_text(values.get("uc")) or negative,
        },
        software="NovelAI",
    )
    if around.get("Source"):
        record.model["diffusion_model"] = around["Source"]
    record.take_numbers(values, _NUMBERS)
    if is_said(values.get("strength")) and "img2img" in plain_text(values.get("request_type")).lower():
        record.take_numbers(values, {"strength": "strength"})
    schedule = plain_text(values.get("noise_schedule"))
    record.take_choices(plain_text(values.get("sampler")), "" if schedule == _NATIVE else schedule)
    unused = [name for name in _UNUSED if is_said(values.get(name))]
    if plain_number(values.get("uncond_scale")) not in (None, 0, 1):
        unused.append("uncond_scale")
    record.say_unused([*unused, *(["the prompts of characters"] if characters else [])])
    return record


def _caption(prompt: object) -> tuple[str, bool]:
    """The prompt of an object of their fourth version, and whether there are others, for single characters."""
    caption = table(table(prompt).get("caption"))
    return plain_text(caption.get("base_caption")), is_said(caption.get("char_captions"))
