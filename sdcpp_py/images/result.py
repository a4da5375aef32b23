"""What came out: a picture with all that led to it."""

from __future__ import annotations

import contextlib
import io
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import DTypeLike, NDArray
from PIL import Image

from sdcpp_py.errors import OutputError
from sdcpp_py.settings import GenerationSettings
from sdcpp_py.settings.metadata import PictureMetadata, to_png_info


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
            the path that was written.

        Raises:
            OutputError: the folder does not exist, nothing can be written there, or the suffix names no format.
        """
        path = Path(file)
        check_output(path)
        partial = path.with_name(f".{secrets.token_hex(8)}.partial")
        try:
            with open(partial, "wb") as stream:
                self._write(stream, _format_of(path))
            partial.replace(path)
        except (OSError, ValueError) as error:  # ValueError: a format that cannot hold such a picture
            raise OutputError(f"{path} cannot be written: {getattr(error, 'strerror', None) or error}") from error
        finally:
            with contextlib.suppress(OSError):
                partial.unlink(missing_ok=True)
        return path

    def _write(self, stream: IO[bytes], name: str) -> None:
        if name == "PNG":
            self.image.save(stream, "PNG", pnginfo=to_png_info(self.metadata))
        else:
            self.image.save(stream, name)

    def _repr_png_(self) -> bytes:
        stream = io.BytesIO()
        self._write(stream, "PNG")
        return stream.getvalue()

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        """The pixels, uint8 of shape (height, width, 3)."""
        if copy is False:
            raise ValueError("the pixels are copied out of the image")
        return np.array(self.image, dtype=dtype)


def check_output(path: Path) -> None:
    """Raises OutputError where a picture cannot be written to ``path``: to be called before hours of drawing."""
    _format_of(path)
    try:
        _check_place(path)
    except OutputError:
        raise
    except (OSError, ValueError) as error:  # too long a name; a name that holds NUL or lone surrogates
        raise OutputError(
            f"{str(path)!r} is no name for a file: {getattr(error, 'strerror', None) or error}"
        ) from error


def _check_place(path: Path) -> None:
    os.fsencode(path)
    if "\0" in str(path):
        raise OutputError(f"the path {str(path)!r} contains a NUL character")
    folder = path.parent
    if not folder.exists():
        raise OutputError(f"the folder {folder} does not exist; create it first")
    if not folder.is_dir():
        raise OutputError(f"{folder} is not a folder")
    if path.is_dir():
        raise OutputError(f"{path} is a folder; give a file name inside it")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(f"nothing may be written in the folder {folder}")


def _format_of(path: Path) -> str:
    name = Image.registered_extensions().get(path.suffix.lower())
    if name is None or name not in Image.SAVE:
        raise OutputError(f"'{path.suffix}' of {path.name} is no picture format that can be written; try .png")
    return name
