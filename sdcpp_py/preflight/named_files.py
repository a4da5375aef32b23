"""Files of a model by its name, without a download: random weights in its shape, or those that are on disk."""

from __future__ import annotations

import contextlib
import re
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from sdcpp_py.errors import ModelNotFoundError, OutputError, SettingsError
from sdcpp_py.models.bundled import TINY
from sdcpp_py.models.catalogue import Catalogue, open_catalogue
from sdcpp_py.models.catalogue.entries import CatalogueModel
from sdcpp_py.models.downloads import Places
from sdcpp_py.models.files import ModelFiles
from sdcpp_py.models.pretrained import Pretrained, parse_name, resolve, wanted_quant
from sdcpp_py.models.quantization import FOUR_BITS, choose_quant, machine_memory
from sdcpp_py.pipeline.open import checked_pretrained
from sdcpp_py.settings.domains import check_one_of
from sdcpp_py.system.paths import StrPath, absolute

FilesByRole = Mapping[str, Path]
"""The files of a model by their roles (``parts.ROLES``)."""

_USUAL = "Q4_K"
LARGE_ENCODERS = ("llm", "t5xxl")
"""Roles of the text encoders that are quantized."""
_QUANT_IN_NAME = re.compile(r"(?:^|[-._])(i?q\d\w*|bf16|f16|f32)\.gguf$", re.IGNORECASE)


@dataclass(frozen=True)
class NamedFiles:
    """A model that was asked for by its name.

    Attributes:
        name: the name that it was asked for by, without the quantization.
        quant: how its large matrices are stored; "" for a file that is as it is.
        files: its files, checked, with the defaults of its entry in the catalogue.
    """

    name: str
    quant: str
    files: ModelFiles


@contextlib.contextmanager
def files_named(
    name: str,
    quant: str | None = None,
    folder: StrPath | None = None,
    *,
    hollow: bool,
    places: Places | None = None,
) -> Iterator[NamedFiles]:
    """The files of a model, for as long as the block lasts.

    Args:
        name: as ``Generator.from_pretrained`` takes it; or a shape that ``sdcpp_py.synth`` knows ("klein-4b-short"). A
            file in the folders of models is that file. A model of the catalogue is written in random weights, where its
            entry says in which shape; every other one must be on disk.
        quant: how its large matrices are stored; where neither this nor the name says it, four bits, or what its entry
            has. A model on disk, and "tiny", are as they are.
        folder: keeps the files; without it they are gone afterwards.
        hollow: whether they have true headers and sizes and no weights, which is enough for a plan.
        places: where models are looked for on disk; None for the usual places.

    Raises:
        ModelNotFoundError: there is no such model, or it is the path of a file and there is none.
        SettingsError: it is no name, or there is no such quantization.
        DownloadError: it has no known shape, and is not on disk.
        OutputError: the files cannot be written.
    """
    places = places or Places()
    shape = shape_of(name, quant, places)
    if shape is None:
        found = resolve(
            name, quant=quant, cache_dir=places.hub_cache, models_dir=places.folders, local_files_only=True,
            catalogue=open_catalogue(),
        )  # fmt: skip
        yield NamedFiles(found.name, found.quant, checked_pretrained(found))
        return
    with _written(shape, folder, hollow) as files:
        found = Pretrained(shape.name, shape.quant, shape.model, files)
        yield NamedFiles(found.name, found.quant, checked_pretrained(found))


@dataclass(frozen=True)
class NamedShape:
    """The shape of a model that was asked for by its name.

    Attributes:
        name: the name that it was asked for by, without the quantization.
        model: its entry in the catalogue; None where it is a shape alone.
        shape: one of ``synth.FAMILIES``.
        quant: how its large matrices are stored, one of ``synth.QUANTIZATIONS``.
        encoder_quant: the same of text encoders in files of their own; None for as the rest.
    """

    name: str
    model: CatalogueModel | None
    shape: str
    quant: str
    encoder_quant: str | None


def shape_of(name: str, quant: str | None = None, places: Places | None = None) -> NamedShape | None:
    """The shape of the files that a name means; None for a model that has to be on disk, or is in a folder of models.

    Arguments and errors are those of ``files_named``.
    """
    folders = (places or Places()).folders
    if folders and not quant and name.lower() != TINY and folders.find(name) is not None:
        return None
    try:
        request = parse_name(name)
        wanted = wanted_quant(request, quant)
        model, shape = (None, "") if "/" in request.name else _known(request.name, open_catalogue())
    except (ModelNotFoundError, SettingsError) as error:
        raise type(error)(f"{error}{folders.hint(name)}") from error
    if not shape:
        return None
    stored = _stored(wanted) if wanted else _usual_quant(model)
    return NamedShape(request.name, model, shape, stored, _encoder_quant(model))


def _encoder_quant(model: CatalogueModel | None) -> str | None:
    """How the text encoder of an entry is stored, by its file's name."""
    for role, file in model.parts.items() if model is not None else ():
        said = _QUANT_IN_NAME.search(file.file.rpartition("/")[2])
        if role in LARGE_ENCODERS and said:
            return _stored(said[1].upper())
    return None


def written_file(name: str, quant: str | None = None) -> tuple[str, str]:
    """The file of random weights that a name means, one of ``synth.MODELS``, and how its large matrices are stored.

    Of a model that is the denoiser, or the whole checkpoint. Arguments and errors are those of ``files_named``; a model
    whose shape is not known is a SettingsError.
    """
    from sdcpp_py import synth

    request = parse_name(name)
    wanted = wanted_quant(request, quant)
    file, model = request.name.lower(), None
    if file not in synth.MODELS:
        model, shape = _known(request.name, open_catalogue())
        if not shape:
            raise SettingsError(f"the shape of {request.name} is not known here; `sdcpp-py synth list` lists what is")
        file = next(iter(synth.FAMILIES[shape].values()))
    return file, _stored(wanted) if wanted else _usual_quant(model)


def _known(name: str, catalogue: Catalogue) -> tuple[CatalogueModel | None, str]:
    """The model of the catalogue and the shape that a name means; None and "" where there is none.

    Raises ModelNotFoundError where there is neither.
    """
    from sdcpp_py import synth

    lower = name.lower()
    if lower == TINY:
        return None, ""
    model = catalogue.models.get(catalogue.aliases.get(lower, lower))
    if model is not None:
        return model, model.shape
    if lower in synth.FAMILIES:
        return None, lower
    known = [*catalogue.models, *catalogue.aliases, *synth.FAMILIES, TINY]
    raise ModelNotFoundError(
        f"no model is called {name!r}{catalogue.hint(name, known)}; random weights have the shapes {_shapes()}"
    )


def _shapes() -> str:
    from sdcpp_py import synth

    return ", ".join(synth.FAMILIES)


def _usual_quant(model: CatalogueModel | None) -> str:
    """Four bits, unless the model's entry has none."""
    if model is None:
        return _USUAL
    four = [quant for quant in FOUR_BITS if quant in model.quantizations]
    return _stored(four[0] if four else choose_quant(model, machine_memory()))


def _stored(quant: str) -> str:
    """The type of the large matrices in a file of that quantization: "Q4_K" of "Q4_K_M". Raises SettingsError."""
    from sdcpp_py import synth

    for name in (quant, quant.rpartition("_")[0]):
        if name in synth.QUANTIZATIONS:
            return name
    return check_one_of("quant", quant, list(synth.QUANTIZATIONS))


@contextlib.contextmanager
def _written(shape: NamedShape, folder: StrPath | None, hollow: bool) -> Iterator[FilesByRole]:
    """Files of random weights. Raises OutputError."""
    from sdcpp_py import synth

    with contextlib.ExitStack() as stack:
        if folder is None:
            folder = stack.enter_context(_temporary_folder())
        place: Path = absolute(folder)
        try:
            write = synth.write_hollow_set if hollow else synth.write_set
            files = write(shape.shape, place, quant=shape.quant, encoder_quant=shape.encoder_quant)
        except ValueError as error:
            raise SettingsError(str(error)) from error
        except OSError as error:
            raise OutputError(f"{place}: {error.strerror or error}") from error
        yield files.files


@contextlib.contextmanager
def _temporary_folder() -> Iterator[Path]:
    """A folder that is gone afterwards. Raises OutputError where the system has no place for one."""
    try:
        made = tempfile.TemporaryDirectory(prefix="sdcpp_py-", ignore_cleanup_errors=True)
    except OSError as error:
        raise OutputError(
            f"files that are needed for a while cannot be written: {error.strerror or error}; set TMPDIR (on Windows "
            "TEMP) to a folder that can"
        ) from error
    with made as folder:
        yield Path(folder)
