"""Refusing parts that do not belong together, each with the file to get instead."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from sdcpp_py.errors import ModelMismatchError
from sdcpp_py.models import suggestions
from sdcpp_py.models.arrangement import ReadModel
from sdcpp_py.models.detect import denoiser_tensors
from sdcpp_py.models.detect.described import Described, Kind, Part
from sdcpp_py.models.detect.headers import FileHeader
from sdcpp_py.models.families import FAMILIES, FAMILIES_BY_NAME, SD1, Z_IMAGE, Family
from sdcpp_py.models.families.traits import DenoiserTensors
from sdcpp_py.naming import named
from sdcpp_py.parts import ENCODERS

# What a family reads, by the make of its own VAE: that one, and the tiny one that stands in for it.
_READ = {"kl": ("kl", "taesd"), "wan": ("wan", "taehv"), "taesd": ("taesd",)}
# What each part is given as.
_ARGUMENTS = {
    Part.CHECKPOINT: "model",
    Part.DENOISER: "diffusion_model",
    Part.TEXT_ENCODER: "text_encoder",
    Part.VAE: "vae",
    Part.TINY_AUTOENCODER: "vae",
}


@dataclass(frozen=True)
class Given:
    """A model, the argument that it was given as, and what it is."""

    argument: str
    path: Path
    model: ReadModel
    described: Described

    @property
    def header(self) -> FileHeader:
        """As the engine is to see it."""
        return self.model.header


def check_denoiser(given: Given, encoders: Sequence[Given], vae: Given | None) -> Family:
    """The family of what was given as the denoiser or the checkpoint. Raises ModelMismatchError."""
    described = given.described
    if described.part not in (Part.DENOISER, Part.CHECKPOINT) or described.kind is None:
        raise ModelMismatchError(f"{_is_instead(given)}{_denoiser_to_get(given, encoders, vae)}")
    family = described.family or _family_in_other_names(given.path, described, described.kind)
    right = family.denoiser_file(described.hidden_size)
    if described.foreign:
        why = given.model.problem or "has names that the engine does not read"
        raise ModelMismatchError(f"{given.path} is {described.title}, and {why}; get {right}")
    _check_storage(given, right)
    if lacks_heads(family, given.header):
        raise ModelMismatchError(f"{given.path} is only a part of {described.title}; get {right}")
    if described.part is Part.DENOISER and family.whole_only:
        raise ModelMismatchError(
            f"{given.path} is {described.title} alone, and the engine opens {family.title} from whole checkpoints "
            f"only; get {right} and give it as {named('model')}"
        )
    if described.part is Part.DENOISER and given.argument == "model":
        raise ModelMismatchError(
            f"{given.path} was given as {named('model')}, but it is {described.title} alone; give it as "
            f"{named('diffusion_model')}, with {suggestions.all_of(family, described.context_width)} as "
            f"{named('text_encoder')}, and {family.vae_file} as {named('vae')}"
        )
    return family


def lacks_heads(family: Family, header: FileHeader) -> bool:
    """Whether a file is only a part of a FLUX, without the heads that the engine divides by."""
    return not family.has_heads(DenoiserTensors(denoiser_tensors(header)))


def _family_in_other_names(path: Path, described: Described, kind: Kind) -> Family:
    """The family of a denoiser in diffusers' names. Raises ModelMismatchError for a kind that is not supported here."""
    if kind.family is not None:
        return kind.family
    nearest = FAMILIES_BY_NAME[kind.nearest]
    able = "is not supported here" if kind.version else "the engine cannot run"
    raise ModelMismatchError(
        f"{path} is {described.title}, which {able}; {nearest.title} comes nearest: get {nearest.denoiser_file()}"
    )


def _is_instead(given: Given) -> str:
    message = f"{given.path} was given as {named(given.argument)}, but it is {given.described.title}"
    right = _ARGUMENTS.get(given.described.part)
    return message if right is None else f"{message}; give it as {named(right)}"


def _denoiser_to_get(given: Given, encoders: Sequence[Given], vae: Given | None) -> str:
    """Which denoiser to get in place of a file that is none, from what was given with it."""
    others = [other for other in (*encoders, vae) if other is not None]
    if any(other.described.part in (Part.DENOISER, Part.CHECKPOINT) for other in others):
        return ""  # it is there, in another one's place
    kind = given.described.kind
    family = _family_of(given, others)
    if family is None and kind is not None:
        family = kind.family
    if family is None:
        family = SD1 if given.argument == "model" else Z_IMAGE
    width = max((other.described.hidden_size for other in others if other.described.role == "llm"), default=0)
    return f"; get {family.denoiser_file(width or given.described.hidden_size)}"


def _family_of(given: Given, others: Sequence[Given]) -> Family | None:
    """The family that reads these text encoders and this VAE, the one that reads just these rather than more."""
    roles = {other.described.role for other in others if other.described.part is Part.TEXT_ENCODER}
    if given.described.part is Part.TEXT_ENCODER:
        roles.add(given.described.role)
    vaes = [other for other in others if other.described.latent_channels]
    if not roles and not vaes:
        return None
    fitting = [
        family
        for family in FAMILIES
        if roles <= set(family.encoders) and all(vae_fits(family, vae.described) for vae in vaes)
    ]
    return min(fitting, key=lambda family: len(set(family.encoders) - roles), default=None)


def vae_fits(family: Family, vae: Described) -> bool:
    """Whether a VAE makes the latents that a family denoises."""
    return vae.latent_channels == family.vae_channels and _same_make(family, vae)


def _same_make(family: Family, vae: Described) -> bool:
    return vae.vae in _READ[family.vae_make]


def holds_vae(family: Family, checkpoint: Described) -> bool:
    """Whether a checkpoint holds the VAE that a family decodes with. A tiny stand-in is no such thing."""
    return any(part.vae == family.vae_make and vae_fits(family, part) and not part.foreign for part in checkpoint.inner)


def _check_storage(given: Given, right: str) -> None:
    if given.model.fault:
        raise ModelMismatchError(f"{given.path} {given.model.fault}; get {right}")


def check_encoders(family: Family, denoiser: Given, encoders: Sequence[Given]) -> dict[str, Given]:
    """The text encoders by role. Raises ModelMismatchError where one is missing, is too many or does not fit."""
    found: dict[str, Given] = {}
    held = denoiser.described.holds
    width = denoiser.described.context_width
    for given in encoders:
        role = encoder_role(family, given.described)
        if role not in family.encoders:
            raise ModelMismatchError(f"{_what(given, family)}{_instead(family, held, width, encoders)}")
        if role in found:
            raise ModelMismatchError(
                f"{found[role].path} and {given.path} are both {ENCODERS[role]} text encoders; give one of them"
            )
        check_width(family, role, given, denoiser)
        if given.described.foreign:
            raise ModelMismatchError(
                f"{given.path} is {given.described.title} in OpenCLIP's names, which the engine reads in whole "
                f"checkpoints only; get {suggestions.encoder_of(family, role, width)}"
            )
        _check_storage(given, suggestions.encoder_of(family, role, width))
        found[role] = given
    if family.whole_only and not {*family.encoders} <= {*held}:
        raise ModelMismatchError(
            f"{denoiser.path} lacks a text encoder that can be read, by which the engine tells {family.title} from its "
            "kin; get the whole checkpoint"
        )
    _check_held(family, denoiser, {*found})
    missing = [role for role in family.encoders if role not in found and role not in held]
    if set(missing) - set(family.optional_encoders):
        wanted = suggestions.listed([suggestions.encoder_of(family, role, width) for role in missing])
        noun = "a further text encoder" if len(missing) == 1 else "further text encoders"
        raise ModelMismatchError(f"{family.title} needs {noun}; get {wanted}")
    return found


def _check_held(family: Family, checkpoint: Given, replaced: set[str]) -> None:
    """Raises ModelMismatchError where a text encoder in a checkpoint does not fit it, and no file replaces it."""
    for role, part in zip(checkpoint.described.holds, checkpoint.described.inner, strict=True):
        if role not in family.encoders or role in replaced:
            continue
        try:
            check_width(family, role, replace(checkpoint, described=part), checkpoint)
        except ModelMismatchError as error:
            right = suggestions.encoder_of(family, role, checkpoint.described.context_width)
            raise ModelMismatchError(
                f"{checkpoint.path} holds {part.title}, which does not fit its denoiser; give {right} as "
                f"{named('text_encoder')}"
            ) from error


def encoder_role(family: Family, described: Described) -> str:
    """The role of a text encoder in a family; "" for a CLIP of another width than the one that it reads as CLIP-L."""
    if described.role in ("", "clip_l") and described.encoder.startswith("clip"):
        return "clip_l" if described.hidden_size == family.clip_width else ""
    return described.role


def _what(given: Given, family: Family) -> str:
    if given.described.part is Part.TEXT_ENCODER:
        return f"{given.path} is {given.described.title}, which {family.title} does not read"
    return _is_instead(given)


def _instead(family: Family, held: tuple[str, ...], width: int, encoders: Sequence[Given]) -> str:
    """What to get in place of a text encoder that does not belong to a family."""
    present = {given.described.role for given in encoders} | set(held)
    missing = [role for role in family.encoders if role not in present]
    if not missing:
        return "; leave it out"
    return f"; get {suggestions.listed([suggestions.encoder_of(family, role, width) for role in missing])}"


def check_width(family: Family, role: str, given: Given, denoiser: Given) -> None:
    """Raises ModelMismatchError where the states of an encoder are not those that the denoiser was trained with."""
    described, context = given.described, denoiser.described.context_width
    if role == "llm":
        _check_language_model(family, given, denoiser)
    elif role == "t5xxl" and described.hidden_size != context:
        raise ModelMismatchError(
            f"{given.path} is {described.title}, and {denoiser.path} reads states of width {context}; "
            f"get {suggestions.T5XXL}"
        )


def _check_language_model(family: Family, given: Given, denoiser: Given) -> None:
    described, reads = given.described, family.language_model
    assert reads is not None
    needed = denoiser.described.context_width // family.context_layers
    right = suggestions.encoder_of(family, "llm", denoiser.described.context_width)
    if described.encoder != reads.make:
        raise ModelMismatchError(f"{given.path} is {described.title}, which {family.title} does not read; get {right}")
    if described.hidden_size * family.context_layers != denoiser.described.context_width:
        raise ModelMismatchError(
            f"{given.path} has hidden size {described.hidden_size}, and {denoiser.path} was trained with an encoder of "
            f"hidden size {needed}; get {right}"
        )
    if not reads.all_layers and described.layers < reads.layers:
        raise ModelMismatchError(
            f"{given.path} has {described.layers} layers, and {family.title} reads the state after layer "
            f"{reads.layers}; get the full {right}"
        )


def check_vae(family: Family, denoiser: Given, vae: Given | None) -> str:
    """The role of the VAE: "vae", "tae", or "" where it lies in the checkpoint. Raises ModelMismatchError."""
    right = family.vae_file
    if vae is None:
        if not holds_vae(family, denoiser.described):
            held = [part.title for part in denoiser.described.inner if part.part in (Part.VAE, Part.TINY_AUTOENCODER)]
            if held:
                raise ModelMismatchError(
                    f"{denoiser.path} holds {held[0]}, which does not fit; give {right} as {named('vae')}"
                )
            raise ModelMismatchError(f"{family.title} needs a VAE; get {right}")
        return ""
    described = vae.described
    if described.part not in (Part.VAE, Part.TINY_AUTOENCODER):
        raise ModelMismatchError(f"{_is_instead(vae)}; {family.title} needs {right} as {named('vae')}")
    if described.foreign or not _same_make(family, described):
        raise ModelMismatchError(f"{vae.path} is {described.title}, which {family.title} does not read; get {right}")
    if described.latent_channels != family.vae_channels:
        raise ModelMismatchError(
            f"{vae.path} is {described.title}, and {family.title} needs the one with {family.vae_channels}; get {right}"
        )
    _check_storage(vae, right)
    return "tae" if described.part is Part.TINY_AUTOENCODER else "vae"


def warnings_of(family: Family, encoders: Sequence[Given], vae: Given | None, roles: set[str]) -> tuple[str, ...]:
    """What works together, but was not trained so."""
    found = [warning for given in encoders for warning in encoder_warnings(given.path, given.header, given.described)]
    for role, worse in family.optional_encoders.items():
        if role not in roles:
            right = suggestions.encoder_of(family, role, 0)
            found.append(f"generating without {ENCODERS[role]}: {family.title} {worse}; get {right}")
    if vae is not None:
        name = vae.path.name.lower()
        if any(word in name for word in family.vae_of_others):
            found.append(
                f"{vae.path.name} seems to be the VAE of another model; {family.title} was trained with "
                f"{family.vae_file}"
            )
    return tuple(found)


def encoder_warnings(path: Path, header: FileHeader, described: Described) -> tuple[str, ...]:
    """What speaks against a text encoder that fits by its shapes."""
    if described.encoder != "qwen3":
        return ()
    right = suggestions.language_model("qwen3", described.hidden_size)
    names = f"{header.metadata.get('general.name', '')} {path.name}".lower()
    # A float in the file.
    base = header.metadata.get("qwen3.rope.freq_base", 0)
    if "2507" in names or (isinstance(base, (int, float)) and abs(base - 5e6) < 1):
        return (
            f"{path.name} is the Instruct-2507 edition, trained with another RoPE base than the one that the engine "
            f"computes with; pictures come out, but the denoisers were trained with {right}",
        )
    if "vl" in names.replace("-", " ").replace("_", " ").split() or header.metadata.get("general.architecture") in (
        "qwen3vl",
        "qwen3vlmoe",
    ):
        return (f"{path.name} is a Qwen3-VL, and the denoisers were trained with {right}",)
    return ()
