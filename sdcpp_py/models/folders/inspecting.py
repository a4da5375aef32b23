"""What lies in a folder of models: its files, what belongs together, and the commands that generate with it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from sdcpp_py.errors import ModelLoadError
from sdcpp_py.models.catalogue import open_catalogue
from sdcpp_py.models.detect.shards import INDEX, SHARD
from sdcpp_py.models.downloads import downloaded
from sdcpp_py.models.folders.groups import ModelGroup, group_of
from sdcpp_py.models.folders.layouts import Layout, layout_of, models_in
from sdcpp_py.models.folders.scan import FolderFile, scan
from sdcpp_py.models.local_paths import MODEL_ENDINGS, is_folder, not_found
from sdcpp_py.models.quantization import machine_memory
from sdcpp_py.system.paths import StrPath, absolute


@dataclass(frozen=True)
class FolderInspection:
    """What lies in a folder.

    Attributes:
        path: the folder that was looked through: the one that was given, or ``models`` inside of it.
        layout: whose layout it has.
        files: the files that are models or look like it, in the order of their names.
        groups: the denoisers and checkpoints that can generate, each with what belongs to it; those that lack
            nothing first.
        others: how many other files there are.
        notes: what was not looked at, and why, in sentences.
    """

    path: Path
    layout: Layout
    files: tuple[FolderFile, ...]
    groups: tuple[ModelGroup, ...]
    others: int
    notes: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """The same in plain values, as JSON has them."""
        return {
            "path": str(self.path),
            "layout": self.layout.name.lower(),
            "files": [file.as_dict() for file in self.files],
            "groups": [group.as_dict() for group in self.groups],
            "others": self.others,
            "notes": list(self.notes),
        }


def inspect_folder(
    path: StrPath, *, memory_bytes: int | None = None, hub_cache: StrPath | None = None
) -> FolderInspection:
    """Says what lies in a folder of models, from the files' headers, and what of it generates together.

    Of a folder of ComfyUI or A1111 itself, its ``models`` are looked through. Where several text encoders or VAEs fit a
    denoiser, one is chosen for the memory, and the others are named; where none does, what was downloaded of the
    catalogue is taken. At most 2,000 model files among 50,000 names are looked at, 8 folders deep; ``notes`` tells
    where that was not all.

    Args:
        path: the folder.
        memory_bytes: the memory to choose for; None for this machine's, or this container's.
        hub_cache: where downloads are kept; where None, huggingface_hub's own cache.

    Raises:
        ModelNotFoundError: there is no such folder.
        ModelLoadError: it is a file. A file in it that cannot be read is no error: it is told of.
        CatalogueError: a catalogue of the user's own is wrong.
    """
    given = absolute(path)
    if not is_folder(given):
        if given.exists():
            raise ModelLoadError(f"{given} is a file and no folder; `sdcpp_py.inspect` says what it is")
        raise not_found(given)
    root = models_in(given)
    files, walked = scan(root)
    catalogue, memory = open_catalogue(), memory_bytes or machine_memory()
    in_cache = partial(downloaded, cache_dir=hub_cache)
    groups = [
        group_of(file, files, catalogue, memory, in_cache) for file in files if file.generates and not file.copy_of
    ]
    return FolderInspection(
        root,
        layout_of(root),
        files,
        tuple(sorted(groups, key=lambda group: not group.complete)),
        walked.others,
        walked.left_out,
    )


def is_one_model(path: Path) -> bool:
    """Whether a folder is a model in several files and nothing else: ``inspect`` tells of it as of one file."""
    if not is_folder(path):
        return False
    try:
        names = [entry.name for entry in path.iterdir()]
    except OSError:
        return False
    models = [name for name in names if name.lower().endswith(MODEL_ENDINGS)]
    indices = [name for name in names if name.endswith(INDEX)]
    return len(indices) == 1 and all(SHARD.search(name) for name in models)
