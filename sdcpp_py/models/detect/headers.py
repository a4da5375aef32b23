"""Reading what a model file holds from its header alone, in milliseconds and without its weights."""

from __future__ import annotations

import mmap
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sdcpp_py.errors import ModelError, ModelLoadError
from sdcpp_py.models.detect.gguf import Value, read_gguf
from sdcpp_py.models.detect.safetensors import is_safetensors, read_safetensors
from sdcpp_py.models.local_paths import not_found
from sdcpp_py.models.tensors import Damaged, TensorInfo, Unsupported
from sdcpp_py.system.paths import StrPath, absolute

_GGUF = b"GGUF"
_FOREIGN = (
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"\x89PNG", "a PNG picture"),
    (b"%PDF", "a PDF document"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"7z\xbc\xaf", "a 7-Zip archive"),
    (b"version https://git-lfs", "a Git LFS pointer; the file itself was not downloaded (run `git lfs pull`)"),
    (b"PK\x03\x04", "a zip archive (perhaps a PyTorch checkpoint); GGUF and safetensors are read"),
)


@dataclass(frozen=True)
class FileHeader:
    """What the header of a model file says, or those of all the files of a model.

    Attributes:
        path: the file; of a model in several, the index, the folder or the file that it was given as.
        format: "gguf" or "safetensors".
        tensors: name -> TensorInfo, in the file's order.
        metadata: the file's own scalar key-value pairs (lists are left out).
        shards: the files of a model in several, by the numbers that tensors have; () where it is one.
    """

    path: Path
    format: str
    tensors: Mapping[str, TensorInfo]
    metadata: Mapping[str, Value]
    shards: tuple[Path, ...] = ()

    @property
    def files(self) -> tuple[Path, ...]:
        """The files with its tensors."""
        return self.shards or (self.path,)

    @property
    def nbytes(self) -> int:
        """Bytes of all tensors in the file."""
        return sum(tensor.nbytes for tensor in self.tensors.values())


def read_header(file: StrPath) -> FileHeader:
    """Reads the header of a GGUF or safetensors file.

    Raises:
        ModelNotFoundError: there is no such file; the message names those beside it.
        ModelLoadError: it is a directory, unreadable, empty, truncated, damaged, or something else than a model; or it
            is whole and holds what the engine cannot read, which the message names.
    """
    path = absolute(file)
    try:
        if not path.exists():
            raise not_found(path)
        if path.is_dir():
            raise ModelLoadError(f"{path} is a directory; give the model file inside it")
        size = path.stat().st_size
        if size == 0:
            raise ModelLoadError(f"{path} is empty; download it again")
        with open(path, "rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _read(path, data, size)
    except ModelError:
        raise
    except (OSError, ValueError) as error:  # ValueError: a path that holds NUL or no text at all
        raise ModelLoadError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from error


def _read(path: Path, data: mmap.mmap, size: int) -> FileHeader:
    tensors: Mapping[str, TensorInfo]
    metadata: Mapping[str, Value]
    start = data[:64]
    format_ = "gguf" if start.startswith(_GGUF) else "safetensors"
    if format_ == "safetensors":
        _refuse_foreign(path, start)
        if size > 8 and not is_safetensors(data):
            raise ModelLoadError(f"{path} is no model: it is neither GGUF nor safetensors")
    try:
        tensors, metadata = read_gguf(data) if format_ == "gguf" else read_safetensors(data)
    except Unsupported as error:
        raise ModelLoadError(f"{path} cannot be read here: {error}") from error
    except (struct.error, Damaged) as error:
        reason = str(error) if isinstance(error, Damaged) else "its header ends early"
        raise ModelLoadError(f"{path} is damaged or truncated ({reason}); download it again") from error
    _check_ends(path, tensors, size)
    return FileHeader(path, format_, tensors, metadata)


def _refuse_foreign(path: Path, start: bytes) -> None:
    for magic, what in _FOREIGN:
        if start.startswith(magic):
            raise ModelLoadError(f"{path} is no model: it is {what}")
    if start.lstrip().lower().startswith((b"<!doctype", b"<html", b"<?xml")):
        raise ModelLoadError(f"{path} is no model: it is a web page, most likely an error page saved by a download")


def _check_ends(path: Path, tensors: Mapping[str, TensorInfo], size: int) -> None:
    for name, tensor in tensors.items():
        end = tensor.offset + tensor.nbytes
        # An empty one has no byte that could be missing, though its place may be behind the file's end.
        if end > size and tensor.nbytes > 0:
            raise ModelLoadError(
                f"{path} is truncated: it has {size:,} bytes, and tensor '{name}' ends at byte {end:,}; "
                "download it again"
            )
