"""Models in several files: safetensors with an index, as the Hub keeps large ones, GGUF files that were split, folders.

A folder of diffusers is a whole pipeline, of which ``models/diffusers_folder.py`` finds the parts; each of these is one
of the folders here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from sdcpp_py.errors import ModelLoadError, ModelNotFoundError
from sdcpp_py.models.detect.headers import FileHeader, read_header
from sdcpp_py.models.local_paths import is_file, is_folder, not_found
from sdcpp_py.models.tensors import TensorInfo
from sdcpp_py.system.paths import StrPath, absolute

INDEX = ".safetensors.index.json"
PIPELINE = "model_index.json"
SHARD = re.compile(r"-(\d{5})-of-(\d{5})\.(safetensors|gguf)$")
# What trainers call the file in the folder of a part, where there are several: whole weights before variants of them.
_NAMES_IN_FOLDERS = ("diffusion_pytorch_model", "model")
_MOST_FILES = 1000
_MOST_BYTES = 64 << 20  # of an index: the largest models' take some MB


def read_model(file: StrPath) -> FileHeader:
    """Reads the header of a model: of one file, or of all the files that it is in.

    Args:
        file: a file, one of several (``-00001-of-00003``), an index, or a folder with one of these.

    Raises:
        ModelNotFoundError: the file does not exist, or one that belongs to it.
        ModelLoadError: a file or the index is unreadable or damaged; or a folder has no model, or several.
    """
    path = absolute(file)
    inside = _model_in(path) if is_folder(path) else path
    if inside.name.endswith(INDEX):
        return _read_index(path, inside)
    shard = SHARD.search(inside.name)
    if shard is not None and int(shard[2]) > 1:
        return _read_split(path, inside, shard)
    return read_header(inside)


def pipeline_of(path: Path) -> str:
    """The class of the pipeline whose folder a path is; "" where it is none."""
    try:
        content = read_json(path / PIPELINE)
    except (OSError, ValueError, RecursionError):
        return ""
    return str(content.get("_class_name") or "") if isinstance(content, dict) else ""


def read_json(file: Path) -> Any:
    """What a file of JSON beside models holds. Raises OSError, ValueError, RecursionError."""
    if not is_file(file):  # a pipe would be waited for
        raise FileNotFoundError(f"there is no file {file}")
    with file.open(encoding="utf-8") as stream:
        text = stream.read(_MOST_BYTES + 1)
    if len(text) > _MOST_BYTES:
        raise ValueError(f"{file} is too large")
    return json.loads(text)


def _model_in(folder: Path) -> Path:
    """The index in a folder, or its only model. Raises ModelLoadError."""
    indices = sorted(folder.glob(f"*{INDEX}"))
    if len(indices) == 1:
        return indices[0]
    if indices:
        raise ModelLoadError(f"{folder} has {len(indices)} indices; give one of them, such as {indices[0].name}")
    pipeline = pipeline_of(folder)
    if pipeline:
        raise ModelLoadError(
            f"{folder} is a whole {pipeline} in the diffusers format; give one of the folders inside it"
        )
    models = sorted(folder.glob("*.safetensors")) + sorted(folder.glob("*.gguf"))
    first_of_split = [path for path in models if (shard := SHARD.search(path.name)) and int(shard[1]) == 1]
    whole = [path for path in models if not SHARD.search(path.name)]
    named = [path for name in _NAMES_IN_FOLDERS for path in whole if path.name == f"{name}.safetensors"]
    found = named[:1] or [*whole, *first_of_split]
    if len(found) == 1:
        return found[0]
    hint = f"; give a file inside it, such as {found[0].name}" if found else ", with no model in it"
    raise ModelLoadError(f"{folder} is a directory without an index and without a {PIPELINE}{hint}")


def _read_index(path: Path, index: Path) -> FileHeader:
    if not index.exists():
        raise not_found(index)
    try:
        content = read_json(index)
        files = {str(name): str(file) for name, file in content["weight_map"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ModelLoadError(f"{index} is no index of a model: it has no weight_map; download it again") from error
    if not files:
        raise ModelLoadError(f"{index} is no index of a model: it names no tensor; download it again")
    names = sorted(set(files.values()))
    absent = [name for name in names if Path(name).name != name or not is_file(index.parent / name)]
    if absent:
        raise ModelNotFoundError(
            f"{index} names {len(names)} files, and {len(absent)} of them are missing, {absent[0]} first; "
            "download them into the same folder"
        )
    header = _together(path, [index.parent / name for name in names])
    lacking = next((name for name in files if name not in header.tensors), None)
    if lacking is not None:
        raise ModelLoadError(
            f"{index} names the tensor '{lacking}', which is in none of its files; download them again"
        )
    return header


def _read_split(path: Path, shard: Path, match: re.Match[str]) -> FileHeader:
    """The header of a model of whose files one was given, and the others lie beside it."""
    count = int(match[2])
    if count > _MOST_FILES:
        raise ModelLoadError(f"{shard} is one of {count} files, and {_MOST_FILES} are the most that are read")
    begin = shard.name[: match.start()]
    files = [shard.with_name(f"{begin}-{number:05}-of-{match[2]}.{match[3]}") for number in range(1, count + 1)]
    absent = [file for file in files if not is_file(file)]
    if absent:
        raise ModelNotFoundError(
            f"{shard} is file {int(match[1])} of {count} of a model, and {len(absent)} of them are missing, "
            f"{absent[0].name} first; download them into the same folder"
        )
    return _together(path, files)


def _together(path: Path, files: Iterable[Path]) -> FileHeader:
    headers = [read_header(file) for file in files]
    tensors: dict[str, TensorInfo] = {}
    metadata: dict[str, str | int | float | bool] = {}
    for number, header in enumerate(headers):
        if header.format != headers[0].format:
            raise ModelLoadError(f"{headers[0].path} and {header.path} are of two formats, and belong to one model")
        _check_new(tensors, header)
        tensors.update({name: replace(tensor, file=number) for name, tensor in header.tensors.items()})
        metadata.update({key: value for key, value in header.metadata.items() if key not in metadata})
    return FileHeader(path, headers[0].format, tensors, metadata, tuple(header.path for header in headers))


def _check_new(tensors: Mapping[str, TensorInfo], header: FileHeader) -> None:
    twice = next((name for name in header.tensors if name in tensors), None)
    if twice is not None:
        raise ModelLoadError(
            f"{header.path} holds the tensor '{twice}', which another file of the model holds too; download them again"
        )
