"""Files of the catalogue: what to fetch for one, and whether it is on disk already."""

from __future__ import annotations

from pathlib import Path

from sdcpp_py.models.catalogue.entries import CatalogueFile
from sdcpp_py.models.folders.searching import ModelFolders
from sdcpp_py.models.hub import Wanted
from sdcpp_py.models.hub.cache import find_cached
from sdcpp_py.system.paths import StrPath


def as_wanted(file: CatalogueFile, revision: str | None = None) -> Wanted:
    """What to fetch for a file of the catalogue; its hash counts only for the revision that the catalogue means."""
    pinned = None if file.revision == "main" else file.revision
    if revision:
        return Wanted(file.repository, file.file, revision)
    return Wanted(file.repository, file.file, pinned, file.sha256, file.bytes)


def on_disk(file: CatalogueFile, cache_dir: StrPath | None = None, folders: ModelFolders | None = None) -> Path | None:
    """Where a file of the catalogue lies, in the folders of models or the Hub's cache; None where it is in neither."""
    found = folders.of_catalogue(file) if folders else None
    if found is not None:
        return found
    wanted = as_wanted(file)
    return find_cached(wanted.repository, wanted.file, wanted.revision, cache_dir)
