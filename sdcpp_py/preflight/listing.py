"""The models that have a name, with what they take: what ``sdcpp-py models`` prints."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from sdcpp_py.errors import SdcppError
from sdcpp_py.models.bundled import TINY, bundled_files
from sdcpp_py.models.catalogue import open_catalogue
from sdcpp_py.models.catalogue.entries import CatalogueModel
from sdcpp_py.models.downloads import Places
from sdcpp_py.models.quantization import choose_quant, machine_memory
from sdcpp_py.pipeline.options import PipelineOptions
from sdcpp_py.preflight.fits import matching
from sdcpp_py.preflight.needs import KeptNeeds
from sdcpp_py.system.paths import StrPath

COMMERCIAL = ("apache-2.0", "mit", "bsd-3-clause", "creativeml-openrail-m", "openrail++")
"""Licences that let anybody use a model commercially, some of them with rules about what for."""


@dataclass(frozen=True)
class ListedModel:
    """A model that ``Generator.from_pretrained`` and every command take by its name.

    Attributes:
        name: what it is asked for by; ``aliases`` are others, and ``name:quantization`` is one of ``quantizations``.
        title: its name in sentences.
        family: the short name of its family.
        licence: the short name of its licence; ``commercial``: whether that and those of its parts are among
            ``COMMERCIAL``.
        quantizations: the weight types that it comes in; empty for the model in the package.
        quant: the one that suits this machine; "" for the model in the package.
        download: bytes of its files in that one; 0 where their size is not known.
        on_disk: whether all of them are there already.
        width, height: pixels of the picture that it generates when nothing is said.
        resident: bytes of memory that such a picture takes with all weights in memory, working buffers included; None
            where the model has to be downloaded before that can be said, or its files are broken.
        least: the lowest memory limit that it can be generated in; None likewise.
        note: what is worth knowing before it is fetched.
    """

    name: str
    aliases: tuple[str, ...]
    title: str
    family: str
    licence: str
    commercial: bool
    quantizations: tuple[str, ...]
    quant: str
    download: int
    on_disk: bool
    width: int
    height: int
    resident: int | None
    least: int | None
    note: str = ""


def list_models(
    *words: str, hub_cache: StrPath | None = None, models_dir: StrPath | Sequence[StrPath] | None = None
) -> list[ListedModel]:
    """The models of the catalogue and the one in the package.

    Args:
        words: only models that have one of these words in a name, an alias or their family ("klein"); all without.
        hub_cache: where downloads are kept; where None, huggingface_hub's own cache.
        models_dir: folders of models, in which files count as on disk too; those of SDCPP_PY_MODELS count always.

    Raises:
        ModelNotFoundError: a word is in no name.
        CatalogueError: a catalogue cannot be read.
    """
    return models_listed(words, Places.of(hub_cache, models_dir))


def models_listed(words: Sequence[str], places: Places) -> list[ListedModel]:
    """The same, with places that are open."""
    catalogue = open_catalogue()
    wanted = [word for word in words if word.lower() != TINY]
    listed = [] if words and len(wanted) == len(words) else [_tiny()]
    if words and not wanted:
        return _with_memory(listed, places)
    found = [_listed(model, places) for model in matching(wanted, catalogue)]
    return _with_memory([*listed, *found], places)


def is_commercial(model: CatalogueModel, quant: str) -> bool:
    """Whether the licences of a model and of all its parts let anybody use it commercially."""
    return all((file.licence or model.licence) in COMMERCIAL for file in model.files(quant).values())


def _listed(model: CatalogueModel, places: Places) -> ListedModel:
    quant = choose_quant(model, machine_memory())
    files = model.files(quant).values()
    return ListedModel(
        name=model.name,
        aliases=model.aliases,
        title=model.title,
        family=model.family,
        licence=model.licence,
        commercial=is_commercial(model, quant),
        quantizations=tuple(model.quantizations),
        quant=quant,
        download=sum(file.size for file in files),
        on_disk=all(places.find(file) for file in files),
        width=model.defaults.width,
        height=model.defaults.height,
        resident=None,
        least=None,
        note=model.note,
    )


def _tiny() -> ListedModel:
    files: list[Path] = list(vars(bundled_files(TINY)).values())
    return ListedModel(
        name=TINY,
        aliases=(),
        title="The model in the package",
        family="flux2-klein",
        licence="mit",
        commercial=True,
        quantizations=(),
        quant="",
        download=0,
        on_disk=all(file.is_file() for file in files),
        width=128,
        height=128,
        resident=None,
        least=None,
        note="knows simple shapes, and needs no download",
    )


def _with_memory(listed: Sequence[ListedModel], places: Places) -> list[ListedModel]:
    known = open_catalogue().models
    found = []
    with KeptNeeds(PipelineOptions.of("cpu", "all", None), places) as needs:
        for model in listed:
            if model.name == TINY or known[model.name].shape or model.on_disk:
                # One that cannot be planned (a broken file, an entry that names no shape) is listed all the same.
                with contextlib.suppress(SdcppError):
                    size = [(model.width, model.height)]
                    [plan] = needs.plans(model.name, model.quant or None, size, unlimited=True)
                    model = replace(model, resident=plan.peak("cpu"), least=plan.least("cpu"))
            found.append(model)
    return found
