"""Files of the catalogue: what to fetch for one, and where it lies on disk already."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sdcpp_py.models.catalogue.entries import CatalogueFile
from sdcpp_py.models.folders.searching import ModelFolders, open_folders
from sdcpp_py.models.hub import Wanted
from sdcpp_py.models.hub.cache import find_cached
from sdcpp_py.system.paths import StrPath


def as_wanted(file: CatalogueFile, revision: str | None = None) -> Wanted:
    """What to fetch for a file of the catalogue; its hash counts only for the revision that the catalogue means."""
    pinned = None if file.revision == "main" else file.revision
    if revision:
        return Wanted(file.repository, file.file, revision)
    return Wanted(file.repository, file.file, pinned, file.sha256, file.bytes)


@dataclass(frozen=True)
class Places:
    """Where files of models are looked for on disk.

    Attributes:
        hub_cache: where downloads are kept; None for huggingface_hub's own cache.
        folders: folders of models, those that SDCPP_PY_MODELS names among them.
    """

    hub_cache: StrPath | None = None
    folders: ModelFolders = field(default_factory=open_folders)

    @classmethod
    def of(cls, hub_cache: StrPath | None, models_dir: StrPath | Sequence[StrPath] | None) -> Places:
        """The places that the arguments of many functions name. Raises as ``open_folders`` does."""
        return cls(hub_cache, open_folders(models_dir))

    def find(self, file: CatalogueFile) -> Path | None:
        """Where a file of the catalogue lies; None where it does not."""
        return self.folders.of_catalogue(file) or downloaded(file, self.hub_cache)


def downloaded(file: CatalogueFile, cache_dir: StrPath | None = None) -> Path | None:
    """Where a file of the catalogue lies in the Hub's cache; None where it does not."""
    wanted = as_wanted(file)
    return find_cached(wanted.repository, wanted.file, wanted.revision, cache_dir)
