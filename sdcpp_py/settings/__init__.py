"""What is generated: the settings of one picture, checked before anything starts."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import Field, dataclass, fields, replace
from types import MappingProxyType
from typing import IO, Any, TypedDict

from sdcpp_py.errors import MetadataError, SettingsError
from sdcpp_py.naming import named, naming
from sdcpp_py.progress import Phase
from sdcpp_py.settings.applied_loras import untaken
from sdcpp_py.settings.domains import (
    MAX_EDGE,
    MIN_EDGE,
    RANDOM_SEED,
    Choice,
    Edge,
    Number,
    Seed,
    Text,
    Whole,
    check_edge,
    check_whole,
    nearest_edge,
    random_seed,
)
from sdcpp_py.settings.options import ModelDefaults, Option, option
from sdcpp_py.settings.sampler_names import explained, in_our_names
from sdcpp_py.settings.samplers import REFERENCE_SCHEDULER, SAMPLERS, SAMPLERS_WITH_NOISE, SCHEDULERS
from sdcpp_py.signatures import checked_names, hint_for
from sdcpp_py.system.paths import StrPath

__all__ = ["FAMILY_DEFAULTS", "MAX_EDGE", "MAX_SEED", "MIN_EDGE", "OPTIONS", "GenerationSettings", "SettingsArguments"]
__all__ += ["check_edge", "check_whole", "random_seed", "unknown_names"]

MAX_STEPS = 1000
MAX_SEED = 2**63 - 1


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
        seed: of the noise, 0 to 2**63 - 1; -1 draws one at random, which these settings then hold.
        sampler: one of ``sdcpp_py.SAMPLERS``. The names of A1111, ComfyUI and diffusers are understood whatever their
            case, with the schedule in one text too ("DPM++ 2M Karras"); the settings hold ours.
        scheduler: "reference" for the sigma schedule of the model's reference pipeline, or one of the engine's own
            (``sdcpp_py.SCHEDULERS``); others' names are understood likewise.
        vae_tile_size: edge in pixels (64 to 2048) of the tiles in which the VAE decodes, to need less memory; 0 decodes
            the picture in one piece.
        guidance: the distilled guidance of FLUX.1 dev, Fill and Kontext, 0 to 100; other models do not read it.
        strength: denoising strength, 0 < s <= 1; 1 ignores the init image. With the reference schedule it is the sigma
            to begin at, with the engine's schedules the part of the steps that are run.
        eta: share of fresh noise in each step, 0 to 1, for the samplers that can add any (euler_a, dpm++2s_a,
            ddim_trailing, tcd, er_sde, res_2s, res_multistep); None for the sampler's own.
        clip_skip: the layer of CLIP whose states are read, counted from its end, 1 to 12; 0 for the model's own (the
            last of Stable Diffusion 1, the second last of 2 and XL). Other families do not read it.

    Raises:
        SettingsError: a value is of another type or out of its domain.
    """

    prompt: str = option(dataclasses.MISSING, Text(), native=False)
    negative_prompt: str = option(
        "", Text(), "-n", "--negative-prompt", group="picture", metavar="TEXT", native=False,
        help="what to keep away from, where --cfg-scale is not 1",
    )  # fmt: skip
    width: int = option(
        512, Edge(), "-W", "--width", group="picture", metavar="PIXELS", phase=Phase.ENCODE, family_default=True
    )
    height: int = option(
        512, Edge(), "-H", "--height", group="picture", metavar="PIXELS", phase=Phase.ENCODE, family_default=True
    )
    steps: int = option(
        4, Whole(1, MAX_STEPS), "--steps", common="Steps", family_default=True, help=f"sampling steps, 1 to {MAX_STEPS}"
    )
    cfg_scale: float = option(
        1.0, Number(0.0, 100.0), "--cfg-scale", common="CFG scale", family_default=True,
        help="scale of the classifier-free guidance, 0 to 100; 1 turns it off",
    )  # fmt: skip
    seed: int = option(
        0, Seed(0, MAX_SEED), "-s", "--seed", group="picture", common="Seed",
        help="the same seed gives the same picture; -1, the default: a random one",
    )  # fmt: skip
    sampler: str = option(
        "euler", Choice(SAMPLERS, explained), "--sampler", "--sampling-method", metavar="NAME", family_default=True,
        help=", ".join(SAMPLERS),
    )  # fmt: skip
    scheduler: str = option(
        REFERENCE_SCHEDULER, Choice(SCHEDULERS, explained), "--scheduler", metavar="NAME", family_default=True,
        help=", ".join(SCHEDULERS),
    )  # fmt: skip
    vae_tile_size: int = option(
        0, Whole(64, 2048, off=0), "--vae-tile-size", metavar="PIXELS", phase=Phase.DECODE, native=False,
        help="decode in tiles of this edge, for less memory",
    )  # fmt: skip
    guidance: float = option(
        0.0, Number(0.0, 100.0), "--guidance", common="Distilled CFG Scale",
        read_as=("distilled cfg scale", "guidance"), family_default=True,
        help="distilled guidance of FLUX.1 dev, Fill and Kontext, 0 to 100",
    )  # fmt: skip
    # Not read from "Denoising strength": other tools write that for pictures without an init image, too.
    strength: float = option(
        1.0, Number(0.0, 1.0, above=True), "--strength", group="images", metavar="0..1", common="Denoising strength",
        read_as=(), help="denoising strength, 0 < s <= 1; 1 ignores the init image (default: 0.75, and 1 with a mask)",
    )  # fmt: skip
    eta: float | None = option(
        None, Number(0.0, 1.0, optional=True), "--eta", common="Eta", unset=math.inf,
        help=f"fresh noise in each step, 0 to 1, of {', '.join(SAMPLERS_WITH_NOISE)} (default: the sampler's own)",
    )  # fmt: skip
    clip_skip: int = option(
        0, Whole(1, 12, off=0), "--clip-skip", phase=Phase.ENCODE, common="Clip skip",
        only_for=lambda family: all(role.startswith("clip_") for role in family.encoders),
        help="read CLIP this many layers before its end, for Stable Diffusion 1, 2 and XL; 1 is its last layer",
    )  # fmt: skip

    def __post_init__(self) -> None:
        # A text that names both leaves the scheduler to its default, which counts as not given.
        scheduler = None if self.scheduler == REFERENCE_SCHEDULER else self.scheduler
        ours = in_our_names({"sampler": self.sampler, "scheduler": scheduler})
        object.__setattr__(self, "sampler", ours["sampler"])
        if isinstance(self.scheduler, str):
            found = REFERENCE_SCHEDULER if ours["scheduler"] is None else ours["scheduler"]
            object.__setattr__(self, "scheduler", found)
        for name, one in OPTIONS.items():
            # The dataclass is frozen; numpy's numbers become Python's here, so that settings compare, print and store
            # alike.
            object.__setattr__(self, name, one.domain.check(name, getattr(self, name)))

    @classmethod
    def for_family(cls, family: ModelDefaults, prompt: str, **given: Any) -> GenerationSettings:
        """Settings with the family's defaults for all that is not given (None counts as not given).

        A seed that is not given is random. Raises SettingsError.
        """
        defaults: dict[str, Any] = {name: getattr(family, name) for name in FAMILY_DEFAULTS}
        defaults.update({name: value for name, value in in_our_names(given).items() if value is not None})
        if "seed" not in defaults:
            defaults["seed"] = random_seed()
        for name in ("width", "height"):
            check_edge(name, defaults[name], family.size_multiple)
        settings = cls(prompt=prompt, **defaults)
        settings.check_for(family)
        return settings

    def check_for(self, family: ModelDefaults) -> None:
        """Raises SettingsError where a family's pictures cannot have this size, or it does not read what was set."""
        for name in ("width", "height"):
            check_edge(name, getattr(self, name), family.size_multiple)
        for field in fields(self):
            only_for = OPTIONS[field.name].only_for
            if only_for is not None and not only_for(family) and self._differs(field):
                value = getattr(self, field.name)
                raise SettingsError(
                    f"{named(field.name)} is {value!r}, and {family.title} does not read it; leave it out"
                )

    def of_phase(self, phase: Phase) -> dict[str, Any]:
        """The options that a phase is the first to read, by name, and of which value they are; without the texts."""
        return {
            name: getattr(self, name)
            for name, option in OPTIONS.items()
            if option.phase is phase and not isinstance(option.domain, Text)
        }

    def native(self) -> dict[str, Any]:
        """What the engine is handed, by the names in ``sdpy_settings``."""
        values = {name: (getattr(self, name), option) for name, option in OPTIONS.items() if option.native}
        return {name: option.unset if value is None else value for name, (value, option) in values.items()}

    @classmethod
    def from_image(cls, file: StrPath | IO[bytes]) -> GenerationSettings:
        """The settings that a PNG, JPEG, WebP or AVIF of this library carries; of others', what they say of theirs.

        Read are the ``parameters`` text of AUTOMATIC1111's web UI, Forge and sd-cli, ComfyUI's graphs, and the records
        of InvokeAI, NovelAI and Fooocus. ``file`` is a path, or a binary file that can be sought in.

        What the picture does not say, or says in a way that cannot be used here, is left to the defaults. Where a
        sampler, a LoRA, an option of a later version or anything else that was wanted is not taken, a
        ``MetadataWarning`` says so.

        Raises:
            MetadataError: it is no picture, or carries no settings that can be read.
            MetadataNotFoundError: there is no such file.
        """
        # Pillow takes longer to import than the rest of this module.
        from sdcpp_py.settings.png_text import read_record, shown_name, warn_of

        record = read_record(file)
        settings, unknown, problems = cls.taken_from(record.settings)
        loras = untaken(map(str, record.loras))
        problems = [*record.problems, *loras, *problems, *unknown_names({**record.extra, **unknown})]
        warn_of(problems, shown_name(file), stacklevel=2)
        return settings

    # What it was called when PNG alone carried any.
    from_png = from_image

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
            if name == "seed" and value == RANDOM_SEED:  # of which every reading would make another
                problems.append(f"seed is {value}, which names none, so that {settings.seed} is taken")
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
                hint = hint_for(name, sorted(known))
                raise SettingsError(f"there is no setting called '{name}'{hint}")
        ours = in_our_names({"sampler": self.sampler, **changes})  # which decides what an automatic schedule is
        if isinstance(changes.get("scheduler"), str) and ours["scheduler"] is None:  # automatic: this class's own
            ours["scheduler"] = REFERENCE_SCHEDULER
        return replace(self, **ours)

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


# The dataclass makes the function, so that it can be wrapped only now.
GenerationSettings.__init__ = checked_names(GenerationSettings.__init__)  # type: ignore[method-assign]


def unknown_names(values: Mapping[str, Any]) -> list[str]:
    """What to say of names in a picture that this version does not know; nothing where there are none."""
    if not values:
        return []
    return [f"it was written by another version, with what this one does not know: {', '.join(map(repr, values))}"]


OPTIONS: Mapping[str, Option] = MappingProxyType(
    {field.name: field.metadata["option"] for field in fields(GenerationSettings)}
)
"""All options by name. Validation, command line, PNG texts, catalogues and the prompt cache's key follow from them."""
FAMILY_DEFAULTS = tuple(name for name, option in OPTIONS.items() if option.family_default)
"""The options that a family has a default for, and one model may have another."""


class SettingsArguments(TypedDict, total=False):
    """The options as keyword arguments, where None leaves them to their defaults (a test holds them to ``OPTIONS``)."""

    width: int | None
    height: int | None
    steps: int | None
    cfg_scale: float | None
    guidance: float | None
    seed: int | None
    sampler: str | None
    scheduler: str | None
    vae_tile_size: int | None
    strength: float | None
    eta: float | None
    clip_skip: int | None
