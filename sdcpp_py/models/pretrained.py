"""Models by name: which files one is made of, and fetching them."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

from sdcpp_py.errors import DownloadError, GatedModelError, ModelMismatchError, ModelNotFoundError, SettingsError
from sdcpp_py.models.bundled import TINY, TRAINED_ON, bundled_files
from sdcpp_py.models.catalogue import Catalogue, open_catalogue
from sdcpp_py.models.catalogue.entries import AUTOENCODERS, DENOISER, CatalogueFile, CatalogueModel
from sdcpp_py.models.catalogue.schema import is_file_path, is_repository
from sdcpp_py.models.downloads import as_wanted, downloaded
from sdcpp_py.models.families import TrainedOn
from sdcpp_py.models.folders.groups import known_model
from sdcpp_py.models.folders.searching import ModelFolders, open_folders
from sdcpp_py.models.hub import Access, fetch_all
from sdcpp_py.models.local_paths import refuse_path
from sdcpp_py.models.quantization import choose_quant, find_quant, machine_memory
from sdcpp_py.naming import named
from sdcpp_py.progress import ProgressCallback
from sdcpp_py.system.paths import StrPath

_log = logging.getLogger("sdcpp_py")


@dataclass(frozen=True)
class Pretrained:
    """A model whose files are on disk.

    Attributes:
        name: what it was asked for by, without the weight type.
        quant: the weight type of its denoiser ("Q4_K"); "" for a file that no catalogue knows.
        model: its entry, with its defaults; None for a file of a repository that no catalogue knows. Then
            ``files`` has the denoiser alone, and what it is stands in the file itself.
        trained_on: the bounds of its training, where they are narrow.
        files: its files by role ("diffusion_model", "llm", "vae", ...; "model" for a whole checkpoint).
    """

    name: str
    quant: str
    model: CatalogueModel | None
    files: Mapping[str, Path]
    trained_on: TrainedOn | None = None


@dataclass(frozen=True)
class Request:
    """What a name asks for: an entry of the catalogue, or a file on the Hub.

    Attributes:
        name: the entry's name, or the repository's.
        quant: the weight type after the colon; "" where none was named.
        file: the file in the repository; "" for an entry, or for a repository without a file.
    """

    name: str
    quant: str = ""
    file: str = ""


@dataclass(frozen=True)
class Choice:
    """The files to fetch for a request: those of ``model``, where a catalogue has one, with a denoiser chosen."""

    name: str
    quant: str
    model: CatalogueModel | None
    files: Mapping[str, CatalogueFile]


def parse_name(name: str | tuple[str, str]) -> Request:
    """What a name asks for: "NAME", "NAME:QUANT", "owner/repository[:QUANT]", "owner/repository/file.gguf", or a pair
    of repository and file.

    Raises:
        SettingsError: it is none of these.
        ModelNotFoundError: it is the path of a file, and there is none.
    """
    if isinstance(name, tuple):
        if len(name) != 2 or not all(isinstance(part, str) for part in name):
            raise SettingsError(f"a Hub file is named by repository and file, not by {name!r}")
        repository, file = name
        if not is_repository(repository) or not is_file_path(file):
            raise SettingsError(f"{repository!r} and {file!r} are no Hub repository ('owner/name') and file in it")
        return Request(repository, file=file)
    if not isinstance(name, str):
        raise SettingsError(f"a model is named by a text such as 'z-image-turbo:Q4_K', not by {name!r}")
    refuse_path(name)
    parts = name.split("/", 2)
    if len(parts) == 3:
        return parse_name((f"{parts[0]}/{parts[1]}", parts[2]))
    stem, colon, quant = name.partition(":")
    named = re.fullmatch(r"[\w.-]+", stem, re.ASCII) if len(parts) == 1 else is_repository(stem)
    if not named or (colon and not re.fullmatch(r"\w+", quant, re.ASCII)):
        raise SettingsError(
            f"{name!r} is no name of a model; give one such as 'z-image-turbo', 'z-image-turbo:Q4_K' or "
            "'owner/repository/file.gguf'"
        )
    return Request(stem, quant.upper())


def wanted_quant(request: Request, quant: str | None) -> str:
    """The weight type that the name says, or the argument; "" where neither does. Raises SettingsError."""
    if quant and request.quant and quant.upper() != request.quant:
        raise SettingsError(f"the name says {request.quant} and {named('quant')} says {quant}; leave one of them out")
    return request.quant or (quant or "").upper()


def choose(
    name: str | tuple[str, str],
    *,
    quant: str | None = None,
    parts: Mapping[str, str] | None = None,
    catalogue: Catalogue | None = None,
    memory_bytes: int | None = None,
    limit: int | None = None,
    access: Access | None = None,
    folders: ModelFolders | None = None,
) -> Choice:
    """The files that a name stands for, without fetching any; arguments and errors are those of ``resolve``."""
    request = parse_name(name)
    wanted = wanted_quant(request, quant)
    known = catalogue or open_catalogue()
    if request.file:
        if wanted:
            raise SettingsError(f"{request.file} is one file already; leave out the weight type {wanted}")
        return _choose_file(request, parts or {}, known)
    model = _model_named(request.name, known) if "/" not in request.name else _model_in(request.name, known)
    found = (
        find_quant(model, wanted) if wanted else _default_quant(model, memory_bytes, limit, access or Access(), folders)
    )
    return Choice(request.name, found, model, _with_parts(model, found, parts or {}, known))


def resolve(
    name: str | tuple[str, str],
    *,
    quant: str | None = None,
    parts: Mapping[str, str] | None = None,
    revision: str | None = None,
    token: str | bool | None = None,
    cache_dir: StrPath | None = None,
    local_files_only: bool = False,
    on_progress: ProgressCallback | None = None,
    memory_bytes: int | None = None,
    limit: int | None = None,
    catalogue: Catalogue | None = None,
    models_dir: StrPath | Sequence[StrPath] | ModelFolders | None = None,
) -> Pretrained:
    """A model by its name, with all of its files on disk.

    Files are looked for in the folders of models first, then in the catalogue and on the Hub.

    Args:
        name: "z-image-turbo", "z-image-turbo:Q4_K"; or a Hub file, "owner/repository/file.gguf" or
            ("owner/repository", "file.gguf"), that is taken for the denoiser. Where the catalogue has a model with
            files of that repository, its other parts and defaults are taken too.
        quant: the weight type of the denoiser; where none is named, the one that suits the memory (``choose_quant``),
            or without downloads one that is on disk.
        parts: files of the catalogue to take in place of the model's own, by role:
            ``{"vae": "flux2-small-decoder", "llm": "qwen3-4b-q8_0"}``. A tiny autoencoder may be a "vae".
        revision: branch, tag or commit of the denoiser's repository.
        token, cache_dir, local_files_only, on_progress: as ``hub.Access`` has them.
        memory_bytes: the memory to choose for; None for this machine's, or this container's.
        limit: of that, the bytes that the model may take; None where that is left open.
        catalogue: what names mean; None for the package's own and the user's.
        models_dir: folders of models, before those that ``SDCPP_PY_MODELS`` names. A file in one of them is named as
            ``ModelFolders.find`` has it, and what it needs beside it is found there. A file of the catalogue that lies
            there is taken from there.

    Raises:
        ModelNotFoundError: no model has this name.
        SettingsError: it is no name, or there is no such weight type.
        ModelMismatchError: a part is not for this model.
        GatedModelError, DownloadError: a file cannot be fetched.
        CatalogueError: a catalogue is wrong.
    """
    access = Access(token, cache_dir, local_files_only, on_progress)
    if isinstance(name, str) and name.lower().partition(":")[0] == TINY:
        request = parse_name(name)
        return _bundled(request, {"quant": request.quant or quant, "revision": revision, "parts": parts})
    known, folders = catalogue or open_catalogue(), open_folders(models_dir)
    if isinstance(name, str) and folders and not (quant or revision or parts):
        path = folders.find(name)
        if path is not None:
            return _from_folder(name, path, folders, known, memory_bytes or machine_memory(), access)
    try:
        chosen = choose(
            name, quant=quant, parts=parts, catalogue=known, memory_bytes=memory_bytes, limit=limit, access=access,
            folders=folders,
        )  # fmt: skip
    except (ModelNotFoundError, SettingsError) as error:
        raise type(error)(f"{error}{folders.hint(name)}") from error
    main = next(iter(chosen.files))
    there = {role: folders.of_catalogue(file) for role, file in chosen.files.items() if not revision or role != main}
    files = {role: path for role, path in there.items() if path is not None}
    for role, path in files.items():
        _log.info("%s of %s is taken from %s", role, chosen.name, path)
    wanted = {
        role: as_wanted(file, revision if role == main else None)
        for role, file in chosen.files.items()
        if role not in files
    }
    try:
        files |= zip(wanted, fetch_all(wanted.values(), access), strict=True)
    except DownloadError as error:
        raise _or_here(error, name) from error
    return Pretrained(
        chosen.name, chosen.quant, chosen.model, MappingProxyType({role: files[role] for role in chosen.files})
    )


def _from_folder(
    name: str, path: Path, folders: ModelFolders, catalogue: Catalogue, memory_bytes: int, access: Access
) -> Pretrained:
    """A model whose file was found in a folder, with what belongs to it."""
    group = folders.complete(path, catalogue, memory_bytes, lambda file: downloaded(file, access.cache_dir))
    for role, file in group.files.items():
        _log.info("%s of %s is taken from %s", role, name, file)
    model = known_model(path.name, path.stat().st_size, catalogue)
    return Pretrained(name, "", None if model is None else model[0], group.files)


def _bundled(request: Request, given: Mapping[str, object]) -> Pretrained:
    """The model inside the package. Raises SettingsError where an argument was given that is for downloads."""
    for argument, value in given.items():
        if value:
            raise SettingsError(
                f"{TINY} is the model inside the package, as it is: leave out {named(argument)} ({value}), which means "
                "nothing there"
            )
    files = bundled_files(TINY)
    by_role = {"diffusion_model": files.diffusion_model, "llm": files.text_encoder, "tae": files.vae}
    return Pretrained(TINY, "", None, MappingProxyType(by_role), TRAINED_ON)


def _or_here(error: DownloadError, name: str | tuple[str, str]) -> DownloadError:
    """The same error; of a name that may be meant as a path, it says that no file is here either."""
    if isinstance(name, tuple) or name.count("/") < 2 or isinstance(error, GatedModelError):
        return error
    return type(error)(f"{error}; and there is no file {name} here", detail=error.detail)


def _default_quant(
    model: CatalogueModel, memory_bytes: int | None, limit: int | None, access: Access, folders: ModelFolders | None
) -> str:
    if memory_bytes is None:
        memory_bytes = machine_memory()
    there = {quant: file for quant, file in model.quantizations.items() if folders and folders.of_catalogue(file)}
    if not there and access.offline:
        there = {quant: file for quant, file in model.quantizations.items() if downloaded(file, access.cache_dir)}
    if there:
        model = replace(model, quantizations=MappingProxyType(there))
    return choose_quant(model, memory_bytes, limit)


def _model_named(name: str, catalogue: Catalogue) -> CatalogueModel:
    try:
        return catalogue.model(name)
    except ModelNotFoundError as error:
        from sdcpp_py.synth import FAMILIES as SHAPES

        if name.lower() not in SHAPES:
            raise
        raise ModelNotFoundError(
            f"{name} is no model but a shape of random weights, which `sdcpp-py plan`, `bench` and `synth` know; "
            "`sdcpp-py models` lists what can generate"
        ) from error


def _model_in(repository: str, catalogue: Catalogue) -> CatalogueModel:
    """The model with files of a repository, and with those alone."""
    for model in catalogue.models.values():
        there = {quant: file for quant, file in model.quantizations.items() if file.repository == repository}
        if there:
            return replace(model, quantizations=MappingProxyType(there))
    raise ModelNotFoundError(
        f"no model of the catalogue has files of {repository}; name the file too: {repository}/file.gguf"
    )


def _choose_file(request: Request, parts: Mapping[str, str], catalogue: Catalogue) -> Choice:
    """A Hub file that is named itself, with the parts of the entry that it belongs to, where there is one."""
    related = []
    for model in catalogue.models.values():
        for quant, file in model.quantizations.items():
            if (file.repository, file.file) == (request.name, request.file):
                return Choice(request.name, quant, model, _with_parts(model, quant, parts, catalogue))
            if file.repository == request.name and model not in related:
                related.append(model)
    # Two models in one repository: which of them the file is cannot be told from its name.
    model_of = related[0] if len(related) == 1 else None
    role = model_of.main_role if model_of else DENOISER
    file = CatalogueFile(f"{request.name}/{request.file}", role, request.name, request.file)
    if model_of is None:
        return Choice(request.name, "", None, {role: file, **_named_parts(parts, catalogue)})
    quantized = replace(model_of, quantizations=MappingProxyType({**model_of.quantizations, "": file}))
    return Choice(request.name, "", model_of, _with_parts(quantized, "", parts, catalogue))


def _named_parts(parts: Mapping[str, str], catalogue: Catalogue) -> dict[str, CatalogueFile]:
    return {role: catalogue.file(name) for role, name in parts.items()}


def _with_parts(
    model: CatalogueModel, quant: str, parts: Mapping[str, str], catalogue: Catalogue
) -> dict[str, CatalogueFile]:
    """The files of a model, some of them replaced. Raises ModelMismatchError."""
    files = model.files(quant)
    for role, file in _named_parts(parts, catalogue).items():
        fits_role = file.role == role or {file.role, role} <= set(AUTOENCODERS)
        if not fits_role or role == model.main_role or (file.families and model.family not in file.families):
            raise ModelMismatchError(
                f"{file.name} cannot be the {role} of {model.name}: it is a {file.role}"
                + (f" for {', '.join(file.families)}" if file.families else "")
            )
        files[role] = file
    return files
