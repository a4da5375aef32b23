"""Writing pictures: in which formats, with what they say of themselves, to which files and buffers."""

from __future__ import annotations

import contextlib
import functools
import io
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

from PIL import Image

from sdcpp_py.errors import OutOfMemoryError, OutputError
from sdcpp_py.image_files import without_warnings
from sdcpp_py.images.filenames import numbered
from sdcpp_py.settings import MIN_EDGE
from sdcpp_py.settings.metadata import PictureMetadata, to_exif, to_png_info
from sdcpp_py.system.atomic_write import partial_name, whole_or_absent
from sdcpp_py.system.paths import absolute

WITH_METADATA = ("PNG", "JPEG", "WEBP", "AVIF")
"""The formats in which a picture carries what it was generated with."""
_EXIF_FORMATS = WITH_METADATA[1:]


class Writable(Protocol):
    """What takes bytes: a file open for writing, ``io.BytesIO``, a socket's file, a member of an archive."""

    def write(self, data: bytes, /) -> Any:
        """Takes the bytes; may return how many."""


def encoded(image: Image.Image, name: str, metadata: PictureMetadata | None = None, **options: Any) -> bytes:
    """A picture's bytes in the format of that name (``format_named``).

    Args:
        image: in mode RGB.
        name: of the format.
        metadata: what a PNG, JPEG, WebP or AVIF says of itself.
        options: for Pillow's writer of the format ("quality", "lossless", ...); ``exif`` and ``pnginfo`` replace what
            the picture would say of itself.

    Raises OutputError, OutOfMemoryError.
    """
    stream = io.BytesIO()
    with _writing(f"the picture as {name}"):
        _encode(image, stream, name, metadata, options)
    return stream.getvalue()


def write_image(
    image: Image.Image,
    path: Path,
    metadata: PictureMetadata | None = None,
    kind: str | None = None,
    *,
    overwrite: bool = True,
    **options: Any,
) -> Path:
    """Writes an image in mode RGB, whole or not at all; ``kind``, or else the suffix, decides the format.

    Not ``overwrite``: a file that is there stays, and the picture becomes ``name-2.png``, or what is free.

    Returns the path that was written. Raises OutputError, OutOfMemoryError.
    """
    check_name(path, kind)
    name = format_of(path) if kind is None else format_named(kind)
    number, file = 1, path
    while True:
        while not overwrite and os.path.lexists(file):
            number += 1
            file = numbered(path, f"-{number}")
        try:
            with (
                _writing(str(file), new=not overwrite),
                whole_or_absent(file, overwrite=overwrite) as partial,
                partial.open("wb") as stream,
            ):
                _encode(image, stream, name, metadata, options)
            return file
        except _FileIsThere:  # since it was looked for: another process took the name
            continue


def write_to(buffer: Writable, data: bytes) -> None:
    """Writes all bytes to a buffer that ``check_buffer`` has passed. Raises OutputError."""
    what = _shown(buffer)
    left = memoryview(data)
    while left:
        with _writing(what):
            count = buffer.write(bytes(left))
        # Raw files take what they can at once; others say nothing, or write all.
        if count is not None and (not isinstance(count, int) or not 0 < count <= len(left)):
            raise OutputError(f"{what} cannot be written: it took {count!r} of {len(left):,} bytes")
        if count is None and isinstance(buffer, io.RawIOBase):
            raise OutputError(f"{what} cannot be written: it takes no bytes now; make it blocking")
        left = left[len(left) if count is None else count :]


def check_buffer(buffer: object) -> None:
    """Raises OutputError where a thing is no buffer that bytes can be written to."""
    what = _shown(buffer)
    if not callable(getattr(buffer, "write", None)):
        raise OutputError(f"a picture is written to a path or a binary file, not to {what}")
    if getattr(buffer, "closed", False) is True:
        raise OutputError(f"{what} is closed")
    if isinstance(buffer, io.TextIOBase):
        raise OutputError(f"{what} takes text, and pictures are bytes; open it with mode 'wb', or give its .buffer")
    writable = getattr(buffer, "writable", None)
    if callable(writable) and not writable():
        raise OutputError(f"{what} was not opened for writing")


def format_for(buffer: object) -> str:
    """The format that an open file's name asks for; PNG where it has none. Raises OutputError as ``format_of`` does."""
    name = getattr(buffer, "name", None)
    path = Path(name) if isinstance(name, str) else Path()
    return format_of(path) if path.suffix else "PNG"


def format_named(name: object) -> str:
    """Pillow's name of a format by that or another usual one ("jpg"), in any case.

    Raises OutputError where there is no such one, or it cannot hold a generated picture.
    """
    if not isinstance(name, str):
        raise OutputError(f"format must be a name such as 'PNG' or 'JPEG', not {type(name).__name__}")
    Image.init()
    known = Image.registered_extensions().get(f".{name.lower().removeprefix('.')}", name.upper())
    problem = _problem_of(known)
    if problem is not None:
        reason = f" ({problem})" if problem else ""
        raise OutputError(
            f"{name!r} is no picture format that can be written{reason}; try one of {', '.join(WITH_METADATA)}"
        )
    return known


def format_of(path: Path) -> str:
    """The format that a path's suffix names. Raises OutputError where it cannot hold a generated picture."""
    if not path.suffix:
        raise OutputError(f"{path} has no suffix, which decides the format of the picture; try {path}.png")
    name = Image.registered_extensions().get(path.suffix.lower(), path.suffix[1:].upper())
    problem = _problem_of(name)
    if problem is not None:
        reason = f" ({problem})" if problem else ""
        raise OutputError(f"'{path.suffix}' of {path.name} is no picture format that can be written{reason}; try .png")
    return name


def check_output(path: Path, kind: str | None = None) -> None:
    """Raises OutputError where a picture cannot be written to ``path``: to be called before hours of generating."""
    path = absolute(path)
    check_name(path, kind)
    # Only writing shows whether one may: root may everywhere but where the file system takes no files.
    trial = partial_name(path)
    try:
        trial.touch(exist_ok=False)
        trial.unlink()
    except OSError as error:
        raise OutputError(f"nothing can be written in the folder {path.parent}: {_reason(error)}") from error


def check_name(path: Path, kind: str | None = None) -> None:
    """Raises OutputError where there is no format for such a picture, or nothing may be written there.

    ``kind``: the format's name; where it is given, the suffix plays no part.
    """
    path = absolute(path)
    if kind is None:
        format_of(path)
    else:
        format_named(kind)
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


class _FileIsThere(Exception):
    """A file that must not be replaced has a picture's name."""


@contextlib.contextmanager
def _writing(what: str, *, new: bool = False) -> Iterator[None]:
    """Turns what Pillow and files raise, which may be almost anything, into our errors. ``new``: of a new file."""
    try:
        yield
    except OutputError:
        raise
    except MemoryError as error:
        raise OutOfMemoryError(f"memory ran out while {what} was written") from error
    except Exception as error:
        if new and isinstance(error, FileExistsError):
            raise _FileIsThere from error
        raise OutputError(f"{what} cannot be written: {_reason(error)}") from error


def _problem_of(name: str) -> str | None:
    """Why a format cannot be written; "" where it is not known, None where it can be."""
    Image.init()
    if name not in Image.SAVE:
        known = {*Image.OPEN, *Image.registered_extensions().values()}
        if name == "AVIF":
            return "this Pillow was built without AVIF, which those from 11.3 on have"
        return "it can be read at most" if name in known else ""
    return _flaw_of_format(name) or None


@functools.cache
def _flaw_of_format(name: str) -> str:
    """Why a format cannot hold a generated picture, or ""; some hold none in RGB, some want other libraries."""
    try:
        with without_warnings():  # which are due when a picture is written so
            _encode(Image.new("RGB", (MIN_EDGE, MIN_EDGE)), io.BytesIO(), name, None, {})
    except Exception as error:
        return _reason(error)
    return ""


def _encode(
    image: Image.Image, stream: Any, name: str, metadata: PictureMetadata | None, options: Mapping[str, Any]
) -> None:
    own: dict[str, Any] = {}
    if metadata is not None and name == "PNG" and "pnginfo" not in options:
        own["pnginfo"] = to_png_info(metadata)
    elif metadata is not None and name in _EXIF_FORMATS and "exif" not in options:
        own["exif"] = to_exif(metadata, jpeg=name == "JPEG")
    image.save(stream, name, **own, **options)


def _shown(buffer: object) -> str:
    name = getattr(buffer, "name", None)
    return repr(name) if isinstance(name, str) else type(buffer).__name__


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error or type(error).__name__)
