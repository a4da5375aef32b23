"""Which files make a model: naming the part that each file is, and refusing parts that do not belong together.

All of it is decided from the files' headers, in milliseconds, before any weight is read.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sdcpp_py.errors import ModelMismatchError
from sdcpp_py.models.arrangement import ReadModel, read_arranged
from sdcpp_py.models.compatibility import (
    Given,
    check_denoiser,
    check_encoders,
    check_vae,
    encoder_warnings,
    holds_vae,
    warnings_of,
)
from sdcpp_py.models.detect import describe
from sdcpp_py.models.detect.described import Described, Part
from sdcpp_py.models.diffusers_folder import is_pipeline, parts_of
from sdcpp_py.models.families import Family
from sdcpp_py.models.local_paths import check_path
from sdcpp_py.naming import named
from sdcpp_py.parts import ENCODERS
from sdcpp_py.system.paths import StrPath, absolute


@dataclass(frozen=True)
class ModelFiles:
    """The files of a model, checked to belong together.

    Attributes:
        family: what they make, with its defaults.
        sources: the files by role, one of ``parts.ROLES``: a whole checkpoint is "model", and every other role is a
            file of its own, which also takes the place of the checkpoint's part.
        context_width: of the text states that the denoiser reads.
        warnings: what works together, but was not trained so, in sentences.
        held: the roles whose weights lie in the checkpoint, whether they are used or not.
        arranged: by role, of what the native library does not read as one plain file: what it is told instead.
    """

    family: Family
    sources: Mapping[str, Path]
    context_width: int
    warnings: tuple[str, ...] = ()
    held: tuple[str, ...] = ()
    arranged: Mapping[str, ReadModel] = field(default_factory=dict, repr=False)

    @property
    def arrangements(self) -> dict[str, str]:
        """What the native library is told of models by role, where they are more than a plain file."""
        return {role: model.text for role, model in self.arranged.items()}

    @property
    def vae_is_tiny(self) -> bool:
        """Whether the VAE is one in TAESD's format."""
        return "tae" in self.sources or self.family.vae_make == "taesd"

    def of_part(self, part: str) -> tuple[Path, ...]:
        """The files that hold the weights of a part, one of ``parts.PARTS``."""
        if part == "text_encoder":
            inside = [role for role in self.family.encoders if role in self.held and role not in self.sources]
            return self._files(*(("model",) if inside else ()), *ENCODERS)
        if part == "vae":
            return self._files("vae", "tae") or self._files("model")
        return self._files("diffusion_model", "model")

    def _files(self, *roles: str) -> tuple[Path, ...]:
        found = [role for role in roles if role in self.sources]
        return tuple(file for role in found for file in self._files_of(role))

    def _files_of(self, role: str) -> tuple[Path, ...]:
        return self.arranged[role].files if role in self.arranged else (self.sources[role],)

    @property
    def names(self) -> dict[str, str]:
        """The family and the files' names, as they stand in a picture's metadata.

        A single text encoder is "text_encoder", several stand by their roles; a tiny autoencoder is "vae" too.
        """
        encoders = [role for role in self.sources if role in ENCODERS]
        keys = {"tae": "vae"}
        if len(encoders) == 1:
            keys[encoders[0]] = "text_encoder"
        names = {keys.get(role, role): _name_of(path) for role, path in self.sources.items()}
        return {"family": self.family.name, **names}


def _name_of(path: Path) -> str:
    """A file's name. The folders in a pipeline's folder are called the same in each, and so its name comes before."""
    return f"{path.parent.name}/{path.name}" if path.is_dir() else path.name


def check_files(
    diffusion_model: StrPath | None = None,
    text_encoder: StrPath | Sequence[StrPath] | None = None,
    vae: StrPath | None = None,
    *,
    model: StrPath | None = None,
) -> ModelFiles:
    """Reads the headers of a model's files and refuses what cannot work, before any weight is read.

    Each is a file, or one of the files, the index or the folder of a model in several (``read_arranged``).

    Args:
        diffusion_model: the denoiser. A whole checkpoint that has everything is taken as ``model``.
        text_encoder: one text encoder or several, in any order.
        vae: the autoencoder, full or tiny.
        model: a whole checkpoint in place of the denoiser, or the folder of a pipeline of diffusers, which may also be
            given as ``diffusion_model``; the others take the places of its parts.

    Raises:
        ModelNotFoundError: a file does not exist.
        ModelLoadError: a file is empty, truncated, damaged or no model.
        ModelMismatchError: a file is another part than it was given as, or the parts do not belong together; the
            message says which file to get instead.
    """
    if (diffusion_model is None) == (model is None):
        denoiser_as, whole_as = named("diffusion_model"), named("model")
        problem = "no denoiser was given" if model is None else f"both {denoiser_as} and {whole_as} were given"
        raise ModelMismatchError(f"{problem}; give a denoiser as {denoiser_as}, or a whole checkpoint as {whole_as}")
    argument, first = ("model", model) if diffusion_model is None else ("diffusion_model", diffusion_model)
    assert first is not None
    given_encoders = _sequence(text_encoder)
    if is_pipeline(first):
        parts = parts_of(first)
        assert parts.denoiser is not None
        argument, first = "diffusion_model", parts.denoiser
        given_encoders = given_encoders or parts.encoders
        vae = parts.vae if vae is None else vae
    for path in (first, *given_encoders, *(() if vae is None else (vae,))):
        check_path(absolute(path))
    denoiser, *encoders = _given(argument, first), *(_given("text_encoder", path) for path in given_encoders)
    decoder = None if vae is None else _given("vae", vae)
    family = check_denoiser(denoiser, encoders, decoder)
    held = denoiser.described.holds
    whole = denoiser.described.part is Part.CHECKPOINT
    if whole and argument == "diffusion_model" and not _has_everything(family, denoiser.described):
        raise ModelMismatchError(
            f"{denoiser.path} is {denoiser.described.title}, but not all of its parts are in it; give it as "
            f"{named('model')}, and the parts that it lacks beside it"
        )
    by_role = check_encoders(family, denoiser, encoders)
    vae_role = check_vae(family, denoiser, decoder)
    given = {"model" if whole else "diffusion_model": denoiser}
    given |= {role: by_role[role] for role in family.encoders if role in by_role}
    if decoder is not None:
        given[vae_role] = decoder
    sources = {role: one.path for role, one in given.items()}
    arranged = {role: one.model for role, one in given.items() if one.model.text}
    warnings = warnings_of(family, encoders, decoder, {*held, *by_role})
    return ModelFiles(family, sources, denoiser.described.context_width, warnings, held, arranged)


def arguments_of(files: Mapping[str, StrPath]) -> dict[str, Any]:
    """Files by role as the arguments of ``check_files`` and ``Generator``."""
    return {
        "diffusion_model": files.get("diffusion_model"),
        "text_encoder": [files[role] for role in ENCODERS if role in files] or None,
        "vae": files.get("vae", files.get("tae")),
        "model": files.get("model"),
    }


def check_text_encoder(path: StrPath) -> tuple[str, ...]:
    """Reads the header of a text encoder and refuses what is none. Returns warnings, in sentences.

    Raises:
        ModelNotFoundError, ModelLoadError: about the file.
        ModelMismatchError: it is another part, or the engine cannot read its weights.
    """
    check_path(absolute(path))
    given = _given("text_encoder", path)
    if given.described.part is not Part.TEXT_ENCODER:
        raise ModelMismatchError(f"{given.path} was given as a text encoder, but it is {given.described.title}")
    # The CLIP of Stable Diffusion 2 is none of the roles, and is read in the place of one.
    if given.described.foreign or (not given.described.role and given.described.encoder != "clip"):
        raise ModelMismatchError(f"{given.path} is {given.described.title}, which no family reads in this form")
    if given.model.fault:
        raise ModelMismatchError(f"{given.path} {given.model.fault}; get a GGUF of it")
    return encoder_warnings(given.path, given.header, given.described)


def _sequence(paths: StrPath | Sequence[StrPath] | None) -> tuple[StrPath, ...]:
    if paths is None:
        return ()
    if isinstance(paths, (str, os.PathLike)):
        return (paths,)
    return tuple(paths)


def _has_everything(family: Family, checkpoint: Described) -> bool:
    return set(family.needed_encoders) <= set(checkpoint.holds) and holds_vae(family, checkpoint)


def _given(argument: str, path: StrPath) -> Given:
    model = read_arranged(path)
    return Given(argument, model.header.path, model, describe(model.header))
