"""What came out: a picture with all that led to it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import DTypeLike, NDArray
from PIL import Image

from sdcpp_py.images.showing import show
from sdcpp_py.images.writing import Writable, check_buffer, encoded, format_for, format_named, write_image, write_to
from sdcpp_py.naming import excerpt
from sdcpp_py.progress import GenerationEvent
from sdcpp_py.settings import GenerationSettings
from sdcpp_py.settings.applied_loras import AppliedLora
from sdcpp_py.settings.metadata import PictureMetadata
from sdcpp_py.signatures.foreign import answering
from sdcpp_py.system.paths import StrPath, absolute


@answering
@dataclass(frozen=True, repr=False)
class GeneratedImage:
    """A generated picture.

    Attributes:
        image: the picture, a PIL image in mode RGB.
        settings: what it was generated with; the same settings, model and LoRAs give it again.
        timings: seconds by phase ("encode", "denoise", "decode"); encode is 0 where an earlier picture of the same
            batch did it.
        model: names of the family and of the files.
        engine: commit of the engine.
        events: what happened on the way and was made up for, such as a GPU that was lost; usually nothing. Files do not
            carry it.
        loras: those that were applied; ``settings`` do not hold them.
        latent: the denoised latent, float32 of shape (channels, rows, columns) as ``Generator.generate`` says; None
            unless it was asked for.
    """

    image: Image.Image
    settings: GenerationSettings
    timings: Mapping[str, float]
    model: Mapping[str, str]
    engine: str
    events: tuple[GenerationEvent, ...] = field(default=(), compare=False)
    loras: tuple[AppliedLora, ...] = ()
    latent: NDArray[np.float32] | None = field(default=None, compare=False, repr=False)

    def __repr__(self) -> str:
        settings = self.settings
        size = f"{settings.width}x{settings.height}"
        return f"<GeneratedImage {size}, seed {settings.seed}, {excerpt(settings.prompt)}>"

    @property
    def seed(self) -> int:
        """The seed it was generated with."""
        return self.settings.seed

    @property
    def metadata(self) -> PictureMetadata:
        """What a file of it says."""
        return PictureMetadata(self.settings, self.model, engine=self.engine, timings=self.timings, loras=self.loras)

    @overload
    def save(self, file: StrPath, format: str | None = None, *, overwrite: bool = True, **options: Any) -> Path: ...

    @overload
    def save(self, file: Writable, format: str | None = None, *, overwrite: bool = True, **options: Any) -> None: ...

    def save(
        self,
        file: StrPath | Writable,
        format: str | None = None,  # noqa: A002  # as Pillow's is called
        *,
        overwrite: bool = True,
        **options: Any,
    ) -> Path | None:
        """Writes the picture to a file or into a binary buffer. PNG, JPEG, WebP and AVIF carry the settings.

        A file of its own appears whole or not at all: it is written under another name first.

        Args:
            file: a path, or what is open for writing bytes, which need not be seekable and is not closed.
            format: "PNG", "JPEG", "WEBP", "AVIF", or another that Pillow writes; None for what the suffix names, and
                PNG for a buffer without a name.
            overwrite: False keeps a file that is there, and takes a name with a number: ``cat-2.png``.
            options: for Pillow's writer of the format, such as ``quality=90``, ``lossless=True``.

        Returns:
            the path that was written, absolute; None for a buffer.

        Raises:
            OutputError: the folder does not exist, nothing can be written there, the format is none that can hold the
                picture, or the buffer is closed, takes text, or is not for writing.
            OutOfMemoryError: memory ran out.
        """
        if isinstance(file, (str, os.PathLike)):
            path = absolute(file)
            return write_image(self.image, path, self.metadata, format, overwrite=overwrite, **options)
        check_buffer(file)
        name = format_for(file) if format is None else format_named(format)
        write_to(file, encoded(self.image, name, self.metadata, **options))
        return None

    def to_bytes(self, format: str = "PNG", **options: Any) -> bytes:  # noqa: A002
        """The bytes of the picture's file, settings included, for an upload or the answer of a server.

        Args:
            format: as in ``save``.
            options: likewise.

        Raises:
            OutputError: the format is none that can hold the picture, or its writer refuses the options.
            OutOfMemoryError: memory ran out.
        """
        return encoded(self.image, format_named(format), self.metadata, **options)

    def show(self) -> None:
        """Shows the picture: in a notebook there, and elsewhere with the system's program for pictures.

        That is handed a PNG with all settings, in the folder for temporary files.

        Raises OutputError where there is no such program.
        """
        show(self, f"sdcpp_py-{self.seed}-")

    def _repr_png_(self) -> bytes:
        return self.to_bytes()

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        """The pixels, uint8 of shape (height, width, 3)."""
        if copy is False:
            raise ValueError("the pixels are copied out of the image")
        return np.array(self.image, dtype=dtype)
