"""What a picture says of itself, as plain values, whichever program wrote it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sdcpp_py.errors import MetadataError
from sdcpp_py.settings.applied_loras import AppliedLora, untaken
from sdcpp_py.settings.sampler_names import find_both, find_sampler, find_scheduler, is_automatic

# Of text that stands where a name belongs, so much is looked at and shown.
_LONGEST_NAME = 100


@dataclass
class Record:
    """What a picture says of itself.

    Attributes:
        settings: by our names, and not checked yet.
        model, software, engine, timings, loras, extra: as ``PictureMetadata`` has them.
        problems: what could not be taken, in sentences without a full stop.
    """

    settings: dict[str, Any]
    model: dict[str, str] = field(default_factory=dict)
    software: str = ""
    engine: str = ""
    timings: dict[str, float] = field(default_factory=dict)
    loras: tuple[AppliedLora, ...] = ()
    extra: dict[str, Any] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def take_choices(self, text: str, schedule: str) -> None:
        """Sampler and scheduler, under our names; what the engine lacks is left to the default, and said.

        Args:
            text: the sampler's name, or the names of both in one, as programs of this engine, and the web UIs of old,
                write it.
            schedule: the scheduler's name; "" where there is none beside the sampler's.
        """
        text, schedule = text[:_LONGEST_NAME], schedule[:_LONGEST_NAME]
        sampler, scheduler = (find_sampler(text), None) if schedule else find_both(text)
        if sampler is not None:
            self.settings["sampler"] = sampler
        elif text:
            self.problems.append(f"the sampler {text!r} does not exist here, so that the default is taken")
        if schedule:
            scheduler = find_scheduler(schedule, sampler)
            if scheduler is None and not is_automatic(schedule):
                self.problems.append(f"the scheduler {schedule!r} does not exist here, so that the default is taken")
        if scheduler is not None:
            self.settings["scheduler"] = scheduler

    def take_numbers(self, values: Mapping[str, Any], names: Mapping[str, str]) -> None:
        """Numbers, by the names that they have in ``values`` and here; what is none is said. None counts as absent."""
        for theirs, ours in names.items():
            value = values.get(theirs)
            if value is None:
                continue
            number = plain_number(value)
            if number is None:
                self.problems.append(f"{theirs!r} is {_shown(value)}, which is no number")
            else:
                self.settings[ours] = number

    def say_unused(self, names: list[str]) -> None:
        """Says what a picture has that is not taken."""
        if names:
            self.problems.append(f"this is not taken from it: {', '.join(names)}")

    def say_loras(self, names: list[str]) -> None:
        """Says which LoRAs a picture was generated with, if any."""
        self.problems += untaken(names)


def plain_number(value: object) -> int | float | None:
    """A JSON number, or text that is one, as an int where it is whole; None for all else."""
    if isinstance(value, str):
        try:
            value = int(value)
        except ValueError:
            try:
                value = float(str(value))
            except ValueError:
                return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return int(value) if isinstance(value, float) and value.is_integer() else value


def plain_text(value: object) -> str:
    """A JSON string; "" for all else."""
    return value if isinstance(value, str) else ""


def table(value: object) -> dict[str, Any]:
    """A JSON object; an empty one for all else."""
    return value if isinstance(value, dict) else {}


def json_object(text: str, whose: str) -> dict[str, Any]:
    """The JSON object that a text is. Raises MetadataError where it is none, with ``whose`` text that is."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise MetadataError(f"the text of {whose} in the picture is damaged: it is no JSON") from error
    if not isinstance(value, dict):
        raise MetadataError(f"the text of {whose} in the picture is a JSON {type(value).__name__}, and no object")
    return value


def is_said(value: object) -> bool:
    """Whether a value in another program's record says anything: most write all they know, with nothing in it."""
    return value not in (None, "", "None", [], {}, False, 0)


def _shown(value: object) -> str:
    text = value if isinstance(value, str) else type(value).__name__
    return repr(text[:_LONGEST_NAME])
