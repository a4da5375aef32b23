"""Models in several files: safetensors with an index, as the Hub keeps large ones, and whole folders of diffusers.

They can be inspected. The engine opens single files only, so nothing can be generated with them.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from sdcpp_py.errors import ModelLoadError, ModelMismatchError, ModelNotFoundError
from sdcpp_py.models.detect.headers import FileHeader, read_header
from sdcpp_py.models.families import FAMILIES
from sdcpp_py.models.local_paths import is_file, is_folder, not_found
from sdcpp_py.models.tensors import TensorInfo
from sdcpp_py.system.paths import StrPath, absolute

INDEX = ".safetensors.index.json"
PIPELINE = "model_index.json"
_FAMILIES = {pipeline: family for family in FAMILIES for pipeline in family.pipelines}
SHARD = re.compile(r"-(\d{5})-of-(\d{5})\.(?:safetensors|gguf)$")


def read_model(file: StrPath) -> FileHeader:
    """Reads the header of a model file, or those of all the files that an index or a folder with one names.

    Raises:
        ModelNotFoundError: the file does not exist, or one that the index names.
        ModelLoadError: a file or the index is unreadable or damaged; or a folder has no index, or several.
    """
    path = absolute(file)
    index = _index_of(path)
    return read_header(path) if index is None else _read_index(path, index)


def refuse_shard(path: Path) -> None:
    """Raises ModelMismatchError where a path is one of several files of a model, an index or a folder of them."""
    shard = SHARD.search(path.name)
    advice = "the engine opens single files only; get the model as one file, best a GGUF"
    if shard is not None and int(shard[2]) > 1:
        raise ModelMismatchError(f"{path} is file {int(shard[1])} of {int(shard[2])} of a model; {advice}")
    if path.name.endswith(INDEX) or (is_folder(path) and list(path.glob(f"*{INDEX}"))):
        raise ModelMismatchError(f"{path} is a model in several files; {advice}")
    pipeline = _pipeline_of(path)
    if pipeline:
        family = _FAMILIES.get(pipeline)
        if family is not None:
            advice = f"the engine opens single files only; get {family.denoiser_file()}"
        raise ModelMismatchError(f"{path} is a whole {pipeline} in the diffusers format; {advice}")


def _pipeline_of(path: Path) -> str:
    """The class of the pipeline whose folder a path is; "" where it is none."""
    try:
        content = json.loads((path / PIPELINE).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return ""
    return str(content.get("_class_name") or "") if isinstance(content, dict) else ""


def _index_of(path: Path) -> Path | None:
    if path.name.endswith(INDEX):
        return path
    if not is_folder(path):
        return None
    found = sorted(path.glob(f"*{INDEX}"))
    if len(found) == 1:
        return found[0]
    if found:
        raise ModelLoadError(f"{path} has {len(found)} indices; give one of them, such as {found[0].name}")
    pipeline = _pipeline_of(path)
    if pipeline:
        raise ModelLoadError(f"{path} is a whole {pipeline} in the diffusers format; give one of the folders inside it")
    single = sorted(path.glob("*.safetensors")) + sorted(path.glob("*.gguf"))
    hint = f"; give a file inside it, such as {single[0].name}" if single else ", with no model in it"
    raise ModelLoadError(f"{path} is a directory without an index{hint}")


def _read_index(path: Path, index: Path) -> FileHeader:
    if not index.exists():
        raise not_found(index)
    try:
        content = json.loads(index.read_text(encoding="utf-8"))
        files = {str(name): str(file) for name, file in content["weight_map"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ModelLoadError(f"{index} is no index of a model: it has no weight_map; download it again") from error
    shards = sorted(set(files.values()))
    absent = [name for name in shards if Path(name).name != name or not is_file(index.parent / name)]
    if absent:
        raise ModelNotFoundError(
            f"{index} names {len(shards)} files, and {len(absent)} of them are missing, {absent[0]} first; "
            "download them into the same folder"
        )
    tensors: dict[str, TensorInfo] = {}
    metadata: dict[str, str | int | float | bool] = {}
    for shard in shards:
        header = read_header(index.parent / shard)
        tensors.update(header.tensors)
        metadata.update(header.metadata)
    lacking = next((name for name in files if name not in tensors), None)
    if lacking is not None:
        raise ModelLoadError(
            f"{index} names the tensor '{lacking}', which is in none of its files; download them again"
        )
    return FileHeader(path, "safetensors", tensors, metadata)
