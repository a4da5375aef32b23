"""InvokeAI's record: ``invokeai_metadata``, one flat object."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sdcpp_py.settings.record import Record, is_said, plain_number, plain_text, table

_NUMBERS = {
    "width": "width", "height": "height", "steps": "steps", "cfg_scale": "cfg_scale", "seed": "seed",
    "guidance": "guidance",
}  # fmt: skip
# What diffusers' schedulers are called there, where the name says not enough.
_SAMPLERS = {"kdpm_2": "dpm2"}
_KARRAS = "_k"
_DESCRIBING = {
    "positive_prompt", "negative_prompt", "scheduler", "model", "vae", "strength", "init_image", "clip_skip", "type",
    "generation_mode", "rand_device", "app_version", "positive_style_prompt", "negative_style_prompt",
    "t5_encoder", "clip_embed_model", "qwen3_encoder", "canvas_v2_metadata",
}  # fmt: skip


def read(values: Mapping[str, Any]) -> Record:
    """The record of InvokeAI's object."""
    record = Record(
        {"prompt": _prompt(values, "positive"), "negative_prompt": _prompt(values, "negative")},
        software=f"InvokeAI {plain_text(values.get('app_version'))}".strip(),
    )
    record.take_numbers(values, _NUMBERS)
    # Pictures that began from nothing carry a strength, too.
    if is_said(values.get("init_image")) or "img2img" in plain_text(values.get("generation_mode")):
        record.take_numbers(values, {"strength": "strength"})
    scheduler = plain_text(values.get("scheduler"))
    name = scheduler.removesuffix(_KARRAS)
    record.take_choices(_SAMPLERS.get(name, name), "karras" if scheduler.endswith(_KARRAS) else "")
    skipped = plain_number(values.get("clip_skip"))
    if skipped:  # counted from none here, from the last layer by us
        record.settings["clip_skip"] = skipped + 1
    for theirs, ours in (("model", "diffusion_model"), ("vae", "vae")):
        model = table(values.get(theirs))
        found = plain_text(model.get("name")) or plain_text(model.get("model_name"))
        if found:
            record.model[ours] = found
    record.say_unused(
        [name for name, value in values.items() if is_said(value) and name not in {*_NUMBERS, *_DESCRIBING}]
    )
    return record


def _prompt(values: Mapping[str, Any], which: str) -> str:
    """A prompt; for SDXL with its style, as it is there joined where both go to the same encoders."""
    prompt = plain_text(values.get(f"{which}_prompt"))
    style = plain_text(values.get(f"{which}_style_prompt"))
    return prompt if not style or style in prompt else f"{prompt} {style}".strip()
