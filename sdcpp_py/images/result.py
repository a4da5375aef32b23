"""What came out: a picture with all that led to it."""

from __future__ import annotations

import contextlib
import functools
import io
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import DTypeLike, NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from sdcpp_py.errors import OutOfMemoryError, OutputError
from sdcpp_py.image_files import without_warnings
from sdcpp_py.settings import MIN_EDGE, GenerationSettings
from sdcpp_py.settings.metadata import PictureMetadata, to_png_info
from sdcpp_py.system.atomic_write import partial_name, whole_or_absent
from sdcpp_py.system.paths import absolute


@dataclass(frozen=True)
class GeneratedImage:
    """A drawn picture.

    Attributes:
        image: the picture, a PIL image in mode RGB.
        settings: what it was drawn with; the same settings and model give it again.
        timings: seconds by phase ("encode", "denoise", "decode"); encode is 0 where an earlier picture of the same
            batch did it.
        model: names of the family and of the files.
        engine: commit of the engine.
        latent: the denoised latent, float32 of shape (channels, rows, columns) as ``Generator.generate`` says; None
            unless it was asked for.
    """

    image: Image.Image
    settings: GenerationSettings
    timings: Mapping[str, float]
    model: Mapping[str, str]
    engine: str
    latent: NDArray[np.float32] | None = field(default=None, compare=False, repr=False)

    @property
    def seed(self) -> int:
        """The seed it was drawn with."""
        return self.settings.seed

    @property
    def metadata(self) -> PictureMetadata:
        """What a PNG of it says."""
        return PictureMetadata(self.settings, self.model, engine=self.engine, timings=self.timings)

    def save(self, file: str | os.PathLike[str]) -> Path:
        """Writes the picture; the suffix decides the format. Only PNG carries the settings (``from_png``).

        The file appears whole or not at all: it is written under another name first.

        Returns:
            the path that was written, absolute.

        Raises:
            OutputError: the folder does not exist, nothing can be written there, or the suffix names no format that
                can hold the picture.
        """
        return write_image(self.image, absolute(file), to_png_info(self.metadata))

    def _repr_png_(self) -> bytes:
        stream = io.BytesIO()
        self.image.save(stream, "PNG", pnginfo=to_png_info(self.metadata))
        return stream.getvalue()

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        """The pixels, uint8 of shape (height, width, 3)."""
        if copy is False:
            raise ValueError("the pixels are copied out of the image")
        return np.array(self.image, dtype=dtype)


def write_image(image: Image.Image, path: Path, texts: PngInfo | None = None) -> Path:
    """Writes an image in mode RGB, whole or not at all; the suffix decides the format, and PNG alone carries the texts.

    Returns the path. Raises OutputError, OutOfMemoryError.
    """
    check_name(path)
    try:
        with whole_or_absent(path) as partial, partial.open("wb") as stream:
            _encode(image, stream, _format_of(path), texts)
    except MemoryError as error:
        raise OutOfMemoryError(f"memory ran out while {path} was written") from error
    except Exception as error:  # Pillow raises almost anything over a picture that a format cannot hold
        raise OutputError(f"{path} cannot be written: {_reason(error)}") from error
    return path


def check_output(path: Path) -> None:
    """Raises OutputError where a picture cannot be written to ``path``: to be called before hours of drawing."""
    path = absolute(path)
    check_name(path)
    # Only writing shows whether one may: root may everywhere but where the file system takes no files.
    trial = partial_name(path)
    try:
        trial.touch(exist_ok=False)
        trial.unlink()
    except OSError as error:
        raise OutputError(f"nothing can be written in the folder {path.parent}: {_reason(error)}") from error


def check_name(path: Path) -> None:
    """Raises OutputError where the suffix names no format for such a picture, or nothing may be written there."""
    path = absolute(path)
    _format_of(path)
    try:
        _check_place(path)
    except OutputError:
        raise
    except (OSError, ValueError) as error:  # too long a name; a name that holds NUL or lone surrogates
        raise OutputError(f"{str(path)!r} is no name for a file: {_reason(error)}") from error


def _check_place(path: Path) -> None:
    os.fsencode(path)
    if "\0" in str(path):
        raise OutputError(f"the path {str(path)!r} contains a NUL character")
    folder = path.parent
    if not folder.exists():
        raise OutputError(f"the folder {folder} does not exist; create it first")
    if not folder.is_dir():
        raise OutputError(f"{folder} is not a folder")
    with contextlib.suppress(FileNotFoundError):
        path.lstat()  # raises where the name is too long, which is_dir() of newer Pythons does not
    if path.is_dir():
        raise OutputError(f"{path} is a folder; give a file name inside it")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(f"nothing may be written in the folder {folder}")


def _format_of(path: Path) -> str:
    """The format that a path's suffix names. Raises OutputError where it cannot hold a picture as they are drawn."""
    if not path.suffix:
        raise OutputError(f"{path} has no suffix, which decides the format of the picture; try {path}.png")
    name = Image.registered_extensions().get(path.suffix.lower())
    problem = "it can be read at most" if name is None or name not in Image.SAVE else _flaw_of_format(name)
    if name is None or problem:
        reason = f" ({problem})" if name else ""
        raise OutputError(f"'{path.suffix}' of {path.name} is no picture format that can be written{reason}; try .png")
    return name


@functools.cache
def _flaw_of_format(name: str) -> str:
    """Why a format cannot hold a picture as they are drawn, or ""; some hold none in RGB, some want other libraries."""
    try:
        with without_warnings():  # which are due when a picture is written so
            _encode(Image.new("RGB", (MIN_EDGE, MIN_EDGE)), io.BytesIO(), name)
    except Exception as error:
        return _reason(error)
    return ""


def _encode(image: Image.Image, stream: IO[bytes], name: str, texts: PngInfo | None = None) -> None:
    image.save(stream, name, **({"pnginfo": texts} if name == "PNG" and texts else {}))


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error or type(error).__name__)
