"""Settings that change nothing, or other things than they seem to: said once, and taken all the same."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator

from sdcpp_py.models.families import Family
from sdcpp_py.naming import excerpt, named
from sdcpp_py.settings import GenerationSettings
from sdcpp_py.settings.samplers import SAMPLERS_WITH_NOISE

logger = logging.getLogger("sdcpp_py")

_LORA = re.compile(r"<(lora|lyco|hypernet):[^>]*>", re.IGNORECASE)
_WEIGHT = re.compile(r"[(\[][^()\[\]]+:\s*[0-9]*\.?[0-9]+\s*[)\]]")
_WORD = re.compile(r"[a-z]+")


def without_effect(settings: GenerationSettings, family: Family) -> Iterator[tuple[str, str]]:
    """What a family's model does not do with settings: the kind, and a sentence without a full stop."""
    if settings.negative_prompt and settings.cfg_scale == 1:
        yield (
            "negative_prompt",
            f"{named('negative_prompt')} has no effect while {named('cfg_scale')} is 1; a scale above 1 makes it count "
            "and takes twice as long",
        )
    if settings.guidance and not family.guidance:
        yield (
            "guidance",
            f"{named('guidance')} {settings.guidance:g} has no effect: {family.title} reads no distilled guidance; "
            f"{named('cfg_scale')} is another thing",
        )
    if settings.eta is not None and settings.sampler not in SAMPLERS_WITH_NOISE:
        yield (
            "eta",
            f"{named('eta')} has no effect: the sampler {settings.sampler} adds no noise; those that do are "
            f"{', '.join(SAMPLERS_WITH_NOISE)}",
        )
    yield from _of_prompt(settings.prompt)
    if family.trained_on is not None:
        yield from _of_training(settings, family)


def _of_prompt(prompt: str) -> Iterator[tuple[str, str]]:
    lora, weight = _LORA.search(prompt), _WEIGHT.search(prompt)
    if lora:
        instead = f"give its file as {named('loras')}, or its folder as {named('lora_dir')}"
        if lora[1].lower() == "hypernet":
            instead = "hypernetworks cannot be applied"
        yield "lora", f"{excerpt(lora[0])} in the prompt is read as words: {instead}"
    if weight:
        yield "weights", f"{excerpt(weight[0])} in the prompt is read as words: words have no weights here"


def _of_training(settings: GenerationSettings, family: Family) -> Iterator[tuple[str, str]]:
    assert family.trained_on is not None
    known = family.trained_on
    if not all(known.least <= edge <= known.most for edge in (settings.width, settings.height)):
        yield (
            "size",
            f"this model was trained on edges of {known.least} to {known.most} pixels, and "
            f"{settings.width}x{settings.height} will most likely show nothing",
        )
    found = _WORD.findall(settings.prompt.lower())
    words = {word for plural in found for word in (plural, plural.removesuffix("s"), plural.removesuffix("es"))}
    if not words & known.things:
        yield (
            "words",
            f"this model knows a few shapes alone, and the prompt names none: {', '.join(sorted(known.things))}",
        )


def tell(told: set[str], several: Iterable[GenerationSettings], family: Family) -> None:
    """Warns in the log of what has no effect, each kind once; ``told`` holds those that were."""
    for settings in several:
        for kind, sentence in without_effect(settings, family):
            if kind not in told:
                told.add(kind)
                logger.warning("%s", sentence)
