"""Looking for models in folders that other programs filled: by the names of files, and by what the catalogue knows."""

from __future__ import annotations

import difflib
import logging
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path

from sdcpp_py.errors import ModelMismatchError, ModelNotFoundError, SettingsError
from sdcpp_py.models.catalogue import Catalogue
from sdcpp_py.models.catalogue.entries import CatalogueFile
from sdcpp_py.models.files import check_files
from sdcpp_py.models.folders.extra_paths import ENDINGS, extra_folders, extra_paths_in
from sdcpp_py.models.folders.fitting import fitting_parts
from sdcpp_py.models.folders.groups import ModelGroup, group_of
from sdcpp_py.models.folders.layouts import models_in
from sdcpp_py.models.folders.scan import FolderFile, first_of_copies, scan, tell
from sdcpp_py.models.folders.walking import FoundFile, walk
from sdcpp_py.models.hub.cache import flaw
from sdcpp_py.models.local_paths import MODEL_ENDINGS, is_file, is_folder, may_be_below
from sdcpp_py.naming import named
from sdcpp_py.system.paths import StrPath, absolute

VARIABLE = "SDCPP_PY_MODELS"
"""The environment variable that names folders of models, separated as paths are in ``PATH``."""
# What every repository calls its file says nothing of what is in it.
_NAMES_OF_ANYTHING = ("diffusion_pytorch_model", "model.", "pytorch_model", "checkpoint.", "unet.", "vae.")
_ABOUT = 0.05
_SHOWN = 3

_log = logging.getLogger("sdcpp_py")

OnDisk = Callable[[CatalogueFile], Path | None]


class ModelFolders:
    """Folders in which models are looked for. It is false where there are none.

    Attributes:
        folders: the folders, those to look into first.
    """

    def __init__(self, folders: Iterable[Path]) -> None:
        self.folders = tuple(folders)
        # A file of the right size and another name is read as a whole for its hash: once.
        self._of_catalogue: dict[CatalogueFile, Path | None] = {}

    def __bool__(self) -> bool:
        return bool(self.folders)

    def find(self, name: str) -> Path | None:
        """The model file of that name: its own or its path's end, with its ending or without ("mine/film.safetensors",
        "film"). Capital letters count only where they tell two files apart. None where there is none.

        Raises:
            SettingsError: several models have it.
        """
        if not may_be_below(name):
            return None
        fits = [file for file in self._files if _is_called(file, name)]
        fits = fits or [file for file in self._files if _is_called(file, name, str.lower)]
        fits = first_of_copies(fits)
        if len(fits) > 1:
            # A VAE may well have the name of the model that it belongs to.
            fits = [file for file in fits if tell(file).generates] or fits
        if len(fits) > 1:
            paths = ", ".join(str(file.path) for file in fits[:_SHOWN])
            more = f" and {len(fits) - _SHOWN} more" if len(fits) > _SHOWN else ""
            raise SettingsError(f"{name!r} may be {len(fits)} files: {paths}{more}; give more of its path")
        return fits[0].path if fits else None

    def of_catalogue(self, file: CatalogueFile) -> Path | None:
        """Where a file of the catalogue lies; None where it does not.

        Of files whose exact size the catalogue has, one of that size counts that has the name, or else the hash. Where
        the size is known roughly or not at all, the name decides.
        """
        if file not in self._of_catalogue:
            self._of_catalogue[file] = self._look_for(file)
        return self._of_catalogue[file]

    def _look_for(self, file: CatalogueFile) -> Path | None:
        name = file.file.rpartition("/")[2]
        hashes = (file.sha256,) if file.sha256 else ()
        for found in self._files:
            if file.bytes is None:
                fits = found.path.name == name and _may_be(found.size, file)
            else:
                fits = found.size == file.bytes and (
                    found.path.name == name or (bool(hashes) and not flaw(found.path, None, hashes))
                )
            if fits:
                return found.path
        return None

    def hint(self, name: object) -> str:
        """The end of a sentence that says that there is no such name: what is spelt like it."""
        if not isinstance(name, str):
            return ""
        names = {_stem(file.path.name).lower(): file.path.name for file in self._files}
        close = difflib.get_close_matches(_stem(name.rpartition("/")[2]).lower(), list(names), n=_SHOWN, cutoff=0.5)
        return f"; in the folders of models there is {' and '.join(names[one] for one in close)}" if close else ""

    def complete(self, path: Path, catalogue: Catalogue, memory: int, on_disk: OnDisk) -> ModelGroup:
        """A model's file with the text encoders and the VAE that it needs beside it, from the same folders.

        What the folders lack is taken where the catalogue has a file for it that is on disk, which ``on_disk`` tells.

        Raises:
            ModelNotFoundError, ModelLoadError: about the file.
            ModelMismatchError: it is no denoiser and no checkpoint, or something that it needs was not found.
        """
        file = tell(FoundFile.at(path))
        if not file.generates:
            check_files(diffusion_model=path)  # knows what to say of it
            raise ModelMismatchError(f"{path} {file.problem or 'is no model that can generate'}")
        beside = self._parts() if fitting_parts(file, (), memory) else []
        group = group_of(file, beside, catalogue, memory, on_disk)
        if not group.complete:
            lacking = [part for part in group.missing if not part.optional]
            what = " and ".join(part.title for part in lacking)
            pull = " and ".join(f"`{part.pull}`" for part in lacking if part.pull)
            raise ModelMismatchError(
                f"{path} needs {what}, and nothing that fits is in {self}" + (f"; {pull} fetches it" if pull else "")
            )
        return group

    def __str__(self) -> str:
        return ", ".join(map(str, self.folders))

    def _parts(self) -> list[FolderFile]:
        return [file for folder in self.folders for file in scan(folder, additions=False)[0]]

    @cached_property
    def _files(self) -> tuple[FoundFile, ...]:
        found: list[FoundFile] = []
        for folder in self.folders:
            walked = walk(folder)
            found += walked.files
            for sentence in walked.left_out:
                _log.info("%s", sentence)
        return tuple(found)


def open_folders(
    given: StrPath | Sequence[StrPath] | ModelFolders | None = None, environment: Mapping[str, str] = os.environ
) -> ModelFolders:
    """The folders in which models are looked for: those that are given, then those that SDCPP_PY_MODELS names.

    ComfyUI's ``extra_model_paths.yaml``, given itself or lying in a given folder, adds the folders that it names.
    Folders that are open already come back as they are.

    Raises ModelNotFoundError where one of them is not there, ModelLoadError where that file cannot be read.
    """
    if isinstance(given, ModelFolders):
        return given
    several = [given] if isinstance(given, (str, os.PathLike)) else list(given or ())
    folders: list[Path] = []
    for source, paths in ((named("models_dir"), several), (VARIABLE, environment.get(VARIABLE, "").split(os.pathsep))):
        for path in paths:
            if not str(path):
                continue
            place = absolute(path)
            if is_folder(place):
                folders.append(models_in(place))
                extra = extra_paths_in(place)
            elif place.name.lower().endswith(ENDINGS) and is_file(place):
                extra = place
            else:
                raise ModelNotFoundError(f"{source} names {path}, and there is no such folder")
            folders += extra_folders(extra) if extra else []
    return ModelFolders(dict.fromkeys(folders))


def _is_called(file: FoundFile, name: str, spelt: Callable[[str], str] = str) -> bool:
    wanted, path = spelt(name), spelt(file.name)
    return any(f"/{one}".endswith(f"/{wanted}") for one in (path, _stem(path)))


def _may_be(size: int, file: CatalogueFile) -> bool:
    """Whether a file of that size and the right name is one whose exact size is not known."""
    if file.file.rpartition("/")[2].startswith(_NAMES_OF_ANYTHING):
        return False
    return not file.about or abs(size - file.about) <= _ABOUT * file.about


def _stem(name: str) -> str:
    """A name without the ending of a model file: "flux.1-dev" has none."""
    ending = next((ending for ending in MODEL_ENDINGS if name.lower().endswith(ending)), "")
    return name[: len(name) - len(ending)]
