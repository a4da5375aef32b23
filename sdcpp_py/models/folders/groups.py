"""A denoiser with what belongs to it, what it lacks, and the commands that generate with it."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from sdcpp_py.models import suggestions
from sdcpp_py.models.catalogue import Catalogue
from sdcpp_py.models.catalogue.entries import AUTOENCODERS, CatalogueDefaults, CatalogueFile, CatalogueModel
from sdcpp_py.models.compatibility import warnings_of
from sdcpp_py.models.detect.described import Part
from sdcpp_py.models.families import Family
from sdcpp_py.models.files import arguments_of
from sdcpp_py.models.folders.fitting import fitting_parts, role_of
from sdcpp_py.models.folders.scan import FolderFile, tell
from sdcpp_py.models.folders.walking import FoundFile
from sdcpp_py.parts import ENCODERS

PROMPT = "a lovely cat"


@dataclass(frozen=True)
class MissingPart:
    """A part that a denoiser needs and that was not found.

    Attributes:
        role: "vae", "llm", "t5xxl", ...
        title: what to get, in words.
        catalogue: the name of the catalogue's file that fills it; "" where there is none.
        optional: whether pictures can be generated without it, which are then worse.
    """

    role: str
    title: str
    catalogue: str = ""
    optional: bool = False

    @property
    def pull(self) -> str:
        """The command that downloads it; "" where the catalogue has no such file."""
        return f"sdcpp-py pull {self.catalogue}" if self.catalogue else ""

    def as_dict(self) -> dict[str, Any]:
        """The same in plain values, as JSON has them."""
        plain = {"role": self.role, "title": self.title, "catalogue": self.catalogue, "optional": self.optional}
        return {**plain, "pull": self.pull}


@dataclass(frozen=True)
class ModelGroup:
    """A denoiser or a checkpoint, with what belongs to it.

    Attributes:
        family: its family, with the defaults of this very file.
        catalogue: the name and quantization that the catalogue knows it by ("z-image-turbo:Q4_K"); "" where it does
            not.
        files: what generates together, by role: "model" or "diffusion_model", then text encoders, "vae" or "tae".
        others: by role, further files that would do in place of the chosen one.
        missing: what was not found.
        notes: what speaks against it, in sentences.
        defaults: of its entry in the catalogue; None where the family's count.
    """

    family: Family
    catalogue: str
    files: Mapping[str, Path]
    others: Mapping[str, tuple[Path, ...]]
    missing: tuple[MissingPart, ...] = ()
    notes: tuple[str, ...] = ()
    defaults: CatalogueDefaults | None = None

    @property
    def complete(self) -> bool:
        """Whether it can generate as it is."""
        return all(part.optional for part in self.missing)

    @property
    def denoiser(self) -> Path:
        """The file of the denoiser."""
        return next(iter(self.files.values()))

    @property
    def command(self) -> str:
        """The command line that generates with it, quoted for a POSIX shell; "" where it is not complete."""
        if not self.complete:
            return ""
        words = ["sdcpp-py", "generate", PROMPT]
        for role, path in self.files.items():
            words += [_OPTIONS.get(role, "--text-encoder"), str(path)]
        for name, value in self._unlike_the_family().items():
            words += [f"--{name.replace('_', '-')}", str(value)]
        return shlex.join(words)

    @property
    def python(self) -> str:
        """The expression that opens it in Python; "" where it is not complete."""
        if not self.complete:
            return ""
        arguments = {name: value for name, value in arguments_of(self.files).items() if value is not None}
        encoders = [str(path) for path in arguments.get("text_encoder", ())]
        shown = {name: str(value) for name, value in arguments.items()}
        plain: dict[str, object] = {**shown, **({"text_encoder": encoders} if len(encoders) > 1 else {})}
        if len(encoders) == 1:
            plain["text_encoder"] = encoders[0]
        return f"Generator({', '.join(f'{name}={value!r}' for name, value in plain.items())})"

    def as_dict(self) -> dict[str, Any]:
        """The same in plain values, as JSON has them."""
        return {
            "family": self.family.name,
            "catalogue": self.catalogue,
            "files": {role: str(path) for role, path in self.files.items()},
            "others": {role: [str(path) for path in paths] for role, paths in self.others.items()},
            "missing": [part.as_dict() for part in self.missing],
            "complete": self.complete,
            "command": self.command,
            "python": self.python,
            "notes": list(self.notes),
        }

    def _unlike_the_family(self) -> dict[str, object]:
        """The settings that its entry in the catalogue has and that cannot be told from its file."""
        if self.defaults is None:
            return {}
        return {
            name: getattr(self.defaults, name)
            for name in ("steps", "cfg_scale")
            if getattr(self.defaults, name) != getattr(self.family, name)
        }


_OPTIONS = {"model": "--model", "diffusion_model": "--diffusion-model", "vae": "--vae", "tae": "--vae"}


def group_of(
    denoiser: FolderFile,
    files: Sequence[FolderFile],
    catalogue: Catalogue,
    memory: int,
    on_disk: Callable[[CatalogueFile], Path | None],
) -> ModelGroup:
    """A denoiser with what belongs to it.

    Args:
        denoiser: one of ``files`` that generates.
        files: what there is.
        catalogue: the files that may be fetched.
        memory: bytes of memory to choose for.
        on_disk: where a file of the catalogue was downloaded to; None where it was not.
    """
    given = denoiser.given
    assert given is not None
    assert given.described.family is not None
    family = given.described.family
    found = fitting_parts(denoiser, files, memory)
    own = "model" if given.described.part is Part.CHECKPOINT else "diffusion_model"
    chosen = {role: parts[0] for role, parts in found.items() if parts}
    others = {role: tuple(file.path for file in parts[1:]) for role, parts in found.items() if len(parts) > 1}
    lacking = [role for role in found if not found[role]]
    missing: list[MissingPart] = []
    for part, file in (_missing(role, family, given.described.context_width, catalogue) for role in lacking):
        downloaded = None if file is None else on_disk(file)
        if downloaded is None:
            missing.append(part)
        else:
            chosen[part.role] = tell(FoundFile.at(downloaded))
    paths = {own: denoiser.path, **{role_of(role, file): file.path for role, file in chosen.items()}}
    encoders = [file.given for role, file in chosen.items() if role in ENCODERS and file.given is not None]
    decoder = chosen["vae"].given if "vae" in chosen else None
    known = known_model(denoiser.path.name, denoiser.size, catalogue)
    return ModelGroup(
        family,
        f"{known[0].name}:{known[1]}" if known else "",
        MappingProxyType(paths),
        others,
        tuple(missing),
        warnings_of(family, encoders, decoder, {*given.described.holds, *chosen}),
        known[0].defaults if known else None,
    )


def known_model(name: str, size: int, catalogue: Catalogue) -> tuple[CatalogueModel, str] | None:
    """The model and quantization of the catalogue whose file has that name, and that size where it is known."""
    for model in catalogue.models.values():
        for quant, file in model.quantizations.items():
            if file.file.rpartition("/")[2] == name and file.bytes in (None, size):
                return model, quant
    return None


def _missing(
    role: str, family: Family, context_width: int, catalogue: Catalogue
) -> tuple[MissingPart, CatalogueFile | None]:
    title = suggestions.encoder_of(family, role, context_width) if role in ENCODERS else family.vae_file
    file = _file_for(role, title, family, catalogue)
    return MissingPart(role, title, file.name if file else "", role in family.optional_encoders), file


def _file_for(role: str, title: str, family: Family, catalogue: Catalogue) -> CatalogueFile | None:
    """The catalogue's file for a role: that of the repository that stands in ``title``."""
    roles = AUTOENCODERS if role == "vae" else (role,)
    fits = [
        file
        for file in catalogue.files.values()
        if file.role in roles and (not file.families or family.name in file.families)
    ]
    return next((file for file in fits if f"({file.repository})" in title), None)
