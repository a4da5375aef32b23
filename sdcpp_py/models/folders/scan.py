"""Telling what each file of a folder is, from its header alone."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from sdcpp_py.errors import ModelError
from sdcpp_py.models.arrangement import ReadModel, read_arranged
from sdcpp_py.models.compatibility import Given
from sdcpp_py.models.detect import describe
from sdcpp_py.models.detect.described import Part
from sdcpp_py.models.detect.shards import INDEX, SHARD, pipeline_of
from sdcpp_py.models.files import check_files
from sdcpp_py.models.folders.walking import FoundFile, Walked, walk
from sdcpp_py.models.inspection import Inspection, inspection_of
from sdcpp_py.models.local_paths import PICKLES, check_path

_GENERATING = (Part.DENOISER, Part.CHECKPOINT)
_SERVING = (Part.TEXT_ENCODER, Part.VAE, Part.TINY_AUTOENCODER)
_MOST_SHARDS = 1000  # of which missing ones are looked for: a name may say 99999
_SPOTS = 32
_SPOT_BYTES = 4096


@dataclass(frozen=True)
class FolderFile:
    """A file of a folder that is a model, or looks like one.

    Attributes:
        path: where it lies; of a model in several files: its index, or the first of them.
        name: its path below the folder, with "/" between.
        size: its bytes; of several files: of all of them.
        inspection: what it is; None where it cannot be read.
        problem: why it cannot be used, to be said after its name; "" where nothing is wrong.
        copy_of: the name of a file in the folder that it is, or seems to be, a copy of; "" where there is none.
        given: what it is, for the checks of what belongs together; None where it serves nothing.
    """

    path: Path
    name: str
    size: int
    inspection: Inspection | None = None
    problem: str = ""
    copy_of: str = ""
    given: Given | None = field(default=None, repr=False, compare=False)

    @property
    def generates(self) -> bool:
        """Whether it is a denoiser or a checkpoint that can generate."""
        return self.given is not None and self.given.described.part in _GENERATING

    def as_dict(self) -> dict[str, Any]:
        """The same in plain values, as JSON has them."""
        return {
            "path": str(self.path),
            "name": self.name,
            "size": self.size,
            "inspection": None if self.inspection is None else self.inspection.as_dict(),
            "problem": self.problem,
            "copy_of": self.copy_of,
        }


def scan(root: Path, *, additions: bool = True) -> tuple[tuple[FolderFile, ...], Walked]:
    """What the files in a folder are, in the order of their names, and what else lies there.

    Each header is read once. Arguments are those of ``walk``.
    """
    walked = walk(root, additions=additions)
    sets, single = _sets(walked.files)
    copies = _copies(single)
    told: dict[str, FolderFile] = {}
    for file in single:
        original = copies.get(file.name)
        told[file.name] = tell(file) if original is None else _as_copy(file, told[original])
    for shards in sets:
        first = shards[min(shards)]
        told[first.name] = _tell_set(shards, walked.indices)
    for pipeline in walked.pipelines:
        name = "/" if pipeline == root else f"{pipeline.relative_to(root).as_posix()}/"
        told[name] = _tell_pipeline(pipeline, name)
    for file in walked.unfinished:
        told[file.name] = FolderFile(file.path, file.name, file.size, problem="is a download that is not done")
    return tuple(sorted(told.values(), key=lambda file: (file.name.lower(), file.name))), walked


def tell(file: FoundFile) -> FolderFile:
    """What a file is."""
    return _told_of(FolderFile(file.path, file.name, file.size))


def _told_of(file: FolderFile) -> FolderFile:
    """The same file or model in several, with what it is."""
    try:
        check_path(file.path)
        if not str(file.path).isprintable():
            return replace(file, problem="has a name with characters that cannot be shown; rename it")
        model = read_arranged(file.path)
        described = describe(model.header)
        inspection = inspection_of(model, described)
    except ModelError as error:
        problem = str(error).removeprefix(f"{file.path} ")
        if file.path.name.lower().endswith(PICKLES) and file.size:
            problem = (
                "seems to be a PyTorch pickle, which may run any code when it is opened, so that it was not; get the "
                "model as safetensors or GGUF"
            )
        return replace(file, problem=problem)
    serves = described.part in _SERVING and not described.foreign and not model.fault
    if not serves and not (described.part in _GENERATING and inspection.drawable):
        return replace(file, inspection=inspection)
    # Whatever asks for tensors has been answered; thousands of files of them would fill the memory.
    slim = replace(model.header, tensors=MappingProxyType({}))
    return replace(file, inspection=inspection, given=Given("", file.path, ReadModel(slim, slim), described))


def _as_copy(file: FoundFile, original: FolderFile) -> FolderFile:
    inspection = None if original.inspection is None else replace(original.inspection, path=file.path)
    return FolderFile(file.path, file.name, file.size, inspection, original.problem, copy_of=original.name)


def _sets(files: Sequence[FoundFile]) -> tuple[list[dict[int, FoundFile]], list[FoundFile]]:
    """Models in several files, as the numbers in their names tell, and the files that are one by themselves."""
    sets: dict[tuple[str, str], dict[int, FoundFile]] = {}
    single = []
    for file in files:
        shard = SHARD.search(file.name)
        if shard is None or int(shard[2]) <= 1:
            single.append(file)
        else:
            sets.setdefault((file.name[: shard.start()], shard[2]), {})[int(shard[1])] = file
    return list(sets.values()), single


def _tell_set(shards: Mapping[int, FoundFile], indices: Sequence[FoundFile]) -> FolderFile:
    first = shards[min(shards)]
    found = SHARD.search(first.name)
    assert found is not None
    size = sum(file.size for file in shards.values())
    stem, total = first.name[: found.start()], int(found[2])
    absent = [number for number in range(1, min(total, _MOST_SHARDS) + 1) if number not in shards]
    told = FolderFile(first.path, first.name, size)
    if absent:
        numbers = ", ".join(map(str, absent[:3])) + (", ..." if len(absent) > 3 else "")
        return replace(told, problem=f"is {len(shards)} of the {total} files of a model; {numbers} is missing")
    for index in indices:
        if index.name == f"{stem}{INDEX}":
            return _told_of(replace(told, path=index.path, name=index.name))
    return _told_of(told)


def _tell_pipeline(folder: Path, name: str) -> FolderFile:
    what = f"is a whole {pipeline_of(folder) or 'model'} in the diffusers format"
    try:
        check_files(folder)
    except ModelError as error:
        return FolderFile(folder, name, 0, problem=f"{what}, and cannot be opened: {error}")
    return FolderFile(folder, name, 0, problem=f"{what}; give the folder itself as the model")


def first_of_copies(files: Sequence[FoundFile]) -> list[FoundFile]:
    """The files without those that are, or seem to be, copies of an earlier one."""
    firsts: list[FoundFile] = []
    for file in files:
        if not any(_are_equal(file, first) for first in firsts):
            firsts.append(file)
    return firsts


def _are_equal(file: FoundFile, other: FoundFile) -> bool:
    return file.identity == other.identity or (file.size == other.size and _sample(file) == _sample(other))


def _copies(files: Sequence[FoundFile]) -> dict[str, str]:
    """Names of files that are copies, and the name of the first one with the same bytes."""
    by_size: dict[int, list[FoundFile]] = {}
    for file in files:
        by_size.setdefault(file.size, []).append(file)
    copies: dict[str, str] = {}
    for same in by_size.values():
        firsts: dict[object, str] = {}
        for file in same if len(same) > 1 else ():
            name = firsts.setdefault(file.identity, file.name)
            if name == file.name and file.size:
                name = firsts.setdefault(_sample(file), file.name)
            if name != file.name:
                copies[file.name] = name
    return copies


def _sample(file: FoundFile) -> object:
    """What files with the same bytes have in common, from places all over the file; none else has it, as good as."""
    digest = hashlib.sha256()
    try:
        with file.path.open("rb") as stream:
            for spot in range(_SPOTS):
                stream.seek(max(0, file.size - _SPOT_BYTES) * spot // (_SPOTS - 1))
                digest.update(stream.read(_SPOT_BYTES))
    except OSError:
        return file.name
    return digest.digest()
