"""Bringing models of any form into the one that the engine reads: its names, its shapes, each tensor with its scales.

No file is changed and none is written: the native library is told which tensor lies where, in which files, and puts the
pieces together while it reads (native/weights/arranged_files.h).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from sdcpp_py.models.arrangement.pieces import Arranged, plain, written
from sdcpp_py.models.arrangement.renaming import renamed
from sdcpp_py.models.arrangement.scales import without_scales
from sdcpp_py.models.detect.adapters import as_adapter
from sdcpp_py.models.detect.headers import FileHeader
from sdcpp_py.models.detect.shards import read_model
from sdcpp_py.models.detect.storage import fault_of
from sdcpp_py.system.paths import StrPath


@dataclass(frozen=True)
class ReadModel:
    """A model's header as the engine is to see it.

    Attributes:
        header: with the names and shapes that the engine reads.
        stored: the header as it stands in the file or the files.
        text: what the native library is told of it; "" where it reads the file as it is.
        problem: why it could not be brought into the engine's form, to be said after its name; "" where it could.
    """

    header: FileHeader
    stored: FileHeader
    text: str = field(default="", repr=False)
    problem: str = ""

    @property
    def files(self) -> tuple[Path, ...]:
        """The files with its weights."""
        return self.stored.files

    @property
    def fault(self) -> str:
        """What is wrong with how its weights are stored, to be said after its name; "" where nothing is."""
        return self.problem or fault_of(self.header)


def read_arranged(file: StrPath) -> ReadModel:
    """Reads the header of a model of any form.

    Args:
        file: as ``read_model`` takes it.

    Raises as ``read_model`` does.
    """
    return arranged(read_model(file))


def arranged(header: FileHeader) -> ReadModel:
    """A header that was read, as the engine is to see it."""
    if as_adapter(header.tensors) is not None:
        return ReadModel(header, header)
    try:
        tensors, changed = _arranged(header)
        text = written(header.files, tensors, header.format) if changed or header.shards else ""
    except ValueError as error:
        return ReadModel(header, header, problem=str(error))
    if not changed:
        return ReadModel(header, header, text)
    return ReadModel(replace(header, tensors={name: one.seen() for name, one in tensors.items()}), header, text)


def _arranged(header: FileHeader) -> tuple[Mapping[str, Arranged], bool]:
    """The tensors by the engine's names, and whether any is not what is stored. Raises ValueError."""
    unscaled, scaled = without_scales(plain(header))
    tensors, other_names = renamed(unscaled)
    return tensors, scaled or other_names
