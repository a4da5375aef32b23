"""Going through a folder for what may be model files: by names and sizes, each file once, and never without end."""

from __future__ import annotations

import os
import stat
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from sdcpp_py.models.detect.shards import INDEX, PIPELINE
from sdcpp_py.models.folders.layouts import HUB_REPOSITORY, holds_additions
from sdcpp_py.models.local_paths import MODEL_ENDINGS

MAX_DEPTH = 8
"""How many folders deep a folder is looked into."""
MAX_ENTRIES = 50_000
"""How many names are looked at."""
MAX_FILES = 2_000
"""How many files that may be models are told."""
UNFINISHED = (".partial", ".part", ".incomplete", ".crdownload", ".download", ".aria2", ".tmp", ".opdownload")
"""Endings of downloads that are not done."""
# The bytes that the Hub's cache keeps under their hashes, and their names' places; the names themselves are elsewhere.
_CACHE_INSIDES = ("blobs", "refs", ".no_exist")

Identity = tuple[int, int]


@dataclass(frozen=True)
class FoundFile:
    """A file that may be a model.

    Attributes:
        path: where it lies.
        name: its path below the folder that was looked through, with "/" between.
        size: its bytes.
        identity: of its bytes on disk: two paths that lead to one file have the same.
    """

    path: Path
    name: str
    size: int
    identity: Identity

    @classmethod
    def at(cls, path: Path) -> FoundFile:
        """The file at a path. Raises OSError."""
        status = path.stat()
        return cls(path, path.name, status.st_size, _identity(status))


@dataclass(frozen=True)
class Walked:
    """What lies in a folder.

    Attributes:
        files: those that may be models, in the order of their names.
        unfinished: downloads that are not done.
        indices: of models in several files.
        pipelines: folders of whole models in the diffusers format.
        others: how many other files there are.
        left_out: what was not looked at, and why, in sentences.
    """

    files: tuple[FoundFile, ...]
    unfinished: tuple[FoundFile, ...]
    indices: tuple[FoundFile, ...]
    pipelines: tuple[Path, ...]
    others: int
    left_out: tuple[str, ...]


def walk(root: Path, *, additions: bool = True) -> Walked:
    """Looks through a folder.

    Symbolic links are followed; a folder that was seen is not entered again. What is no regular file (a pipe, a device)
    is not touched. Names that begin with a dot are passed over.

    Args:
        root: the folder, an absolute path.
        additions: whether folders of LoRAs, ControlNets and their like are looked into.
    """
    walker = _Walker(root, additions)
    walker.go()
    found = walker.found
    return Walked(
        files=tuple(found(MODEL_ENDINGS, INDEX)),
        unfinished=tuple(found(UNFINISHED)),
        indices=tuple(found((INDEX,))),
        pipelines=tuple(walker.pipelines),
        others=walker.others,
        left_out=tuple(walker.left_out),
    )


class _Walker:
    """One way through a folder, the nearest files first."""

    def __init__(self, root: Path, additions: bool) -> None:
        self.root = root
        self.additions = additions
        self.pipelines: list[Path] = []
        self.others = 0
        self.left_out: list[str] = []
        self._files: list[FoundFile] = []
        self._seen: set[Identity] = set()
        self._entries = 0

    def go(self) -> None:
        waiting: deque[tuple[Path, str, int]] = deque([(self.root, "", 0)])
        while waiting:
            folder, below, depth = waiting.popleft()
            for name, status in self._entries_of(folder):
                inside = f"{below}{name}"
                if stat.S_ISREG(status.st_mode):
                    self._take(folder / name, inside, status)
                elif not stat.S_ISDIR(status.st_mode) or not self._enters(folder, name):
                    continue
                elif depth + 1 > MAX_DEPTH:
                    self.left_out.append(f"{inside} was not looked into: it lies more than {MAX_DEPTH} folders deep")
                elif self._is_new(status):
                    waiting.append((folder / name, f"{inside}/", depth + 1))
            if self._entries > MAX_ENTRIES or len(self._files) > MAX_FILES:
                self._stop(len(waiting))
                return

    def found(self, endings: tuple[str, ...], but: str | None = None) -> Iterator[FoundFile]:
        """The files with one of these endings, in the order of their names."""
        for file in sorted(self._files[:MAX_FILES], key=_by_name):
            name = file.name.lower()
            if name.endswith(endings) and not (but and name.endswith(but)):
                yield file

    def _entries_of(self, folder: Path) -> Iterator[tuple[str, os.stat_result]]:
        try:
            if folder == self.root:
                self._is_new(folder.stat())
            with os.scandir(folder) as entries:
                names = sorted(entry.name for entry in islice(entries, MAX_ENTRIES + 1))
        except OSError as error:
            self.left_out.append(f"{folder} cannot be read: {error.strerror or error}")
            return
        if PIPELINE in names:
            self.pipelines.append(folder)
        for name in names:
            self._entries += 1
            if self._entries > MAX_ENTRIES:
                return
            try:
                yield name, (folder / name).stat()
            except (OSError, ValueError):  # a link that leads nowhere, or to itself
                self.others += 1

    def _enters(self, folder: Path, name: str) -> bool:
        if name.startswith(".") or (name in _CACHE_INSIDES and HUB_REPOSITORY.fullmatch(folder.name)):
            return False
        return self.additions or not holds_additions(name)

    def _take(self, path: Path, name: str, status: os.stat_result) -> None:
        lower = name.lower()
        if path.name.startswith(".") or not lower.endswith((*MODEL_ENDINGS, *UNFINISHED, INDEX)):
            self.others += 1
            return
        self._files.append(FoundFile(path, name, status.st_size, _identity(status)))

    def _is_new(self, status: os.stat_result) -> bool:
        identity = _identity(status)
        if identity in self._seen:
            return False
        self._seen.add(identity)
        return True

    def _stop(self, folders: int) -> None:
        what = f"{MAX_ENTRIES:,} names" if self._entries > MAX_ENTRIES else f"{MAX_FILES:,} model files"
        self.left_out.append(
            f"{self.root} holds more than {what}; what lies beyond them, in {folders:,} folders and more, was not "
            "looked at: give a folder inside it"
        )


def _identity(status: os.stat_result) -> Identity:
    return status.st_dev, status.st_ino


def _by_name(file: FoundFile) -> tuple[str, str]:
    return file.name.lower(), file.name
