"""What is drawn: the settings of one picture, checked before anything starts."""

from __future__ import annotations

import math
import numbers
import os
from collections.abc import Mapping
from dataclasses import Field, dataclass, fields, replace
from typing import Any

from sdcpp_py.errors import MetadataError, SettingsError
from sdcpp_py.models.families import DEFAULTS, REFERENCE_SCHEDULER, SAMPLERS, SCHEDULERS, Family
from sdcpp_py.naming import named, naming

MIN_EDGE, MAX_EDGE = 64, 4096
MAX_STEPS = 1000
MAX_CFG_SCALE = 100.0
MAX_GUIDANCE = 100.0
MAX_SEED = 2**63 - 1
MAX_PROMPT_CHARACTERS = 8192
MIN_TILE, MAX_TILE = 64, 2048


@dataclass(frozen=True)
class GenerationSettings:
    """Everything that decides the pixels of a picture, besides the model and pictures that are handed in.

    The same settings give the same picture.

    Attributes:
        prompt: what to generate; may be empty. At most 8192 characters, and at most the tokens the model reads (512 for
            FLUX.2 Klein and Z-Image).
            Every character is text, brackets and line breaks too, as the model was trained on it.
        negative_prompt: what to keep away from; read only where ``cfg_scale`` is not 1.
        width: in pixels, a multiple of 16 (of 64 for Stable Diffusion 1, 2 and XL) from 64 to 4096.
        height: likewise.
        steps: sampling steps, 1 to 1000; with an init image, a denoising strength below 1 runs fewer.
        cfg_scale: scale of the classifier-free guidance, 0 to 100; 1 turns it off (and halves the work).
        seed: of the noise, 0 to 2**63 - 1.
        sampler: one of ``sdcpp_py.SAMPLERS``.
        scheduler: "reference" for the sigma schedule of the model's reference pipeline, or one of the engine's own
            (``sdcpp_py.SCHEDULERS``).
        vae_tile_size: edge in pixels (64 to 2048) of the tiles in which the VAE decodes, to need less memory; 0 decodes
            the picture in one piece.
        guidance: the distilled guidance of FLUX.1 dev, Fill and Kontext, 0 to 100; other models do not read it.
        strength: denoising strength, 0 < s <= 1; 1 ignores the init image. With the reference schedule it is the sigma
            to begin at, with the engine's schedules the part of the steps that are run.

    Raises:
        SettingsError: a value is of another type or out of its domain.
    """

    prompt: str
    negative_prompt: str = ""
    width: int = 512
    height: int = 512
    steps: int = 4
    cfg_scale: float = 1.0
    seed: int = 0
    sampler: str = "euler"
    scheduler: str = REFERENCE_SCHEDULER
    vae_tile_size: int = 0
    guidance: float = 0.0
    strength: float = 1.0

    def __post_init__(self) -> None:
        check_prompt("prompt", self.prompt)
        check_prompt("negative_prompt", self.negative_prompt)
        for name in ("width", "height"):
            _set(self, name, check_edge(name, getattr(self, name), 16))
        _set(self, "steps", check_whole("steps", self.steps, 1, MAX_STEPS))
        _set(self, "cfg_scale", _finite("cfg_scale", self.cfg_scale, 0.0, MAX_CFG_SCALE))
        _set(self, "guidance", _finite("guidance", self.guidance, 0.0, MAX_GUIDANCE))
        _set(self, "strength", _finite("strength", self.strength, 0.0, 1.0))
        if self.strength == 0:
            raise SettingsError(
                f"{named('strength')} must be above 0 (0.05 changes hardly anything); 0 would draw nothing"
            )
        _set(self, "seed", check_whole("seed", self.seed, 0, MAX_SEED))
        _choice("sampler", self.sampler, SAMPLERS)
        _choice("scheduler", self.scheduler, SCHEDULERS)
        tile = _whole("vae_tile_size", self.vae_tile_size)
        _set(self, "vae_tile_size", tile and check_whole("vae_tile_size", tile, MIN_TILE, MAX_TILE))

    @classmethod
    def for_family(cls, family: Family, prompt: str, **given: Any) -> GenerationSettings:
        """Settings with the family's defaults for all that is not given (None counts as not given).

        A seed that is not given is drawn at random. Raises SettingsError.
        """
        defaults: dict[str, Any] = {name: getattr(family, name) for name in DEFAULTS}
        defaults.update({name: value for name, value in given.items() if value is not None})
        if "seed" not in defaults:
            defaults["seed"] = random_seed()
        for name in ("width", "height"):
            check_edge(name, defaults[name], family.size_multiple)
        return cls(prompt=prompt, **defaults)

    @classmethod
    def from_png(cls, file: str | os.PathLike[str]) -> GenerationSettings:
        """The settings that a PNG of this library carries; of others' PNGs, what their ``parameters`` text says.

        What the picture does not say, or says in a way that cannot be used here, is left to the defaults. Where a
        sampler, an option of a later version or anything else that was wanted is not taken, a ``MetadataWarning``
        says so.

        Raises:
            MetadataError: it is no picture, or carries no settings that can be read.
            MetadataNotFoundError: there is no such file.
        """
        # Pillow takes longer to import than the rest of this module.
        from sdcpp_py.settings.png_text import read_record, shown_name, warn_of

        record = read_record(file)
        settings, unknown, problems = cls.taken_from(record.settings)
        problems = [*record.problems, *problems, *unknown_names({**record.extra, **unknown})]
        warn_of(problems, shown_name(file), stacklevel=2)
        return settings

    @classmethod
    def taken_from(cls, values: Mapping[str, Any]) -> tuple[GenerationSettings, dict[str, Any], list[str]]:
        """Settings out of what a picture says, by name.

        Returns:
            the settings, with defaults for what is not there or not valid; what is no setting of this version; and
            what is not valid, in sentences.

        Raises MetadataError where there is no prompt that can be used.
        """
        with naming(None):  # what is wrong there is a name in a file, not an option of a command
            return cls._taken_from(values)

    @classmethod
    def _taken_from(cls, values: Mapping[str, Any]) -> tuple[GenerationSettings, dict[str, Any], list[str]]:
        known = {field.name: field.default for field in fields(cls)}
        unknown = {name: value for name, value in values.items() if name not in known}
        try:
            settings = cls(values["prompt"])
        except KeyError:
            raise MetadataError("the metadata holds no prompt") from None
        except SettingsError as error:
            raise MetadataError(f"the metadata holds a prompt that is not valid: {error}") from error
        problems = []
        for name, value in values.items():
            if name in unknown:
                continue
            try:
                settings = replace(settings, **{name: value})
            except SettingsError as error:
                instead: Any = known[name]
                if name in ("width", "height") and type(value) is int:
                    # The default beside the other edge would be another shape.
                    instead = nearest_edge(value, 16)
                    settings = replace(settings, **{name: instead})
                problems.append(f"{error}, so that {instead!r} is taken")
        return settings, unknown, problems

    def replace(self, **changes: Any) -> GenerationSettings:
        """A copy with some values changed. Raises SettingsError, also for a name that is no setting."""
        known = {field.name for field in fields(self)}
        for name in changes:
            if name not in known:
                raise SettingsError(f"there is no setting called '{name}'; the settings are {', '.join(sorted(known))}")
        return replace(self, **changes)

    def as_dict(self) -> dict[str, str | int | float]:
        """The settings by name, as plain values."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def beyond_defaults(self) -> dict[str, str | int | float]:
        """The same without those that have this class's default: what has to be written down.

        This class's, and not a family's: those differ from model to model, and may from version to version. This
        class's own must never change, because pictures that were written leave them out.
        """
        return {field.name: getattr(self, field.name) for field in fields(self) if self._differs(field)}

    def _differs(self, field: Field[Any]) -> bool:
        return bool(getattr(self, field.name) != field.default)  # the prompt has none, and so always differs


def unknown_names(values: Mapping[str, Any]) -> list[str]:
    """What to say of names in a picture that this version does not know; nothing where there are none."""
    if not values:
        return []
    return [f"it was written by another version, with what this one does not know: {', '.join(map(repr, values))}"]


def random_seed() -> int:
    """A seed in 0 .. 2**32 - 1, short enough for every other tool."""
    return int.from_bytes(os.urandom(4), "little")


def check_prompt(name: str, text: object) -> None:
    """Raises SettingsError where ``text`` cannot be given to the text encoder."""
    if not isinstance(text, str):
        raise SettingsError(f"{named(name)} must be a string, not {type(text).__name__}")
    if len(text) > MAX_PROMPT_CHARACTERS:
        raise SettingsError(
            f"{named(name)} is {len(text):,} characters long; text encoders read some hundred tokens, "
            f"so shorten it to some 2,000 characters (the limit is {MAX_PROMPT_CHARACTERS:,})"
        )
    if "\0" in text:
        raise SettingsError(f"{named(name)} contains a NUL character at position {text.index(chr(0))}; remove it")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise SettingsError(
            f"{named(name)} contains a lone surrogate (U+{ord(text[error.start]):04X}) at position {error.start}, "
            "which is no character; it often comes from text decoded with errors='surrogateescape'"
        ) from None


def check_edge(name: str, value: object, multiple: int) -> int:
    """``value`` as an int, where a picture may have such an edge. Raises SettingsError with the nearest valid size."""
    edge = _whole(name, value)
    nearest = nearest_edge(edge, multiple)
    if edge < MIN_EDGE or edge > MAX_EDGE:
        raise SettingsError(
            f"{named(name)} must be from {MIN_EDGE} to {MAX_EDGE} pixels, not {_shown(edge)}; the nearest is {nearest}"
        )
    if edge % multiple:
        raise SettingsError(
            f"{named(name)} must be a multiple of {multiple} pixels, not {edge}; the nearest is {nearest}"
        )
    return edge


def nearest_edge(edge: int, multiple: int) -> int:
    """The edge nearest to ``edge`` that a picture may have, in pixels."""
    return min(max(round(edge / multiple) * multiple, MIN_EDGE), MAX_EDGE) if abs(edge) < 10**9 else MAX_EDGE


def _set(settings: GenerationSettings, name: str, value: object) -> None:
    # The dataclass is frozen; numpy's numbers become Python's here, so that settings compare, print and store alike.
    object.__setattr__(settings, name, value)


def _whole(name: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise SettingsError(f"{named(name)} must be a whole number, not {value!r}")
    return int(value)


def check_whole(name: str, value: object, low: int, high: int) -> int:
    """``value`` as an int from ``low`` to ``high``. Raises SettingsError."""
    whole = _whole(name, value)
    if not low <= whole <= high:
        raise SettingsError(f"{named(name)} must be from {low} to {high}, not {_shown(whole)}")
    return whole


def _shown(number: int) -> str:
    """A number in words that fit a line; Python refuses to print numbers of thousands of digits."""
    return str(number) if abs(number) < 10**30 else f"a number of {number.bit_length()} bits"


def _finite(name: str, value: object, low: float, high: float) -> float:
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise SettingsError(f"{named(name)} must be a number, not {value!r}")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number) or not low <= number <= high:
        raise SettingsError(f"{named(name)} must be from {low:g} to {high:g}, not {number}")
    return number


def _choice(name: str, value: object, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise SettingsError(f"{named(name)} must be one of {', '.join(choices)}; not {value!r}")
