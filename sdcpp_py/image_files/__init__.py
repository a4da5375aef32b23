"""Opening pictures: the one place where the library has Pillow open a file, with all the care that this takes."""

from __future__ import annotations

import contextlib
import os
import stat
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from PIL import Image, UnidentifiedImageError

from sdcpp_py.errors import ImageError, ImageNotFoundError, OutOfMemoryError, SdcppError
from sdcpp_py.image_files.exif import exif_texts
from sdcpp_py.image_files.png_chunks import Texts, decoded, for_pillow, is_png, texts_of
from sdcpp_py.system.forks import ProcessLock
from sdcpp_py.system.paths import StrPath, absolute


@contextlib.contextmanager
def opened(path: str, what: str) -> Iterator[Image.Image]:
    """The picture in a file, not decoded yet; ``what`` is what messages call it.

    What Pillow raises inside the block, too, comes out as an error of ours.

    Raises:
        ImageNotFoundError: there is no such file.
        ImageError: it is no plain file, or no picture of a kind that can be read.
        OutOfMemoryError: memory ran out.
    """
    path = os.fspath(absolute(path))
    check_file(path, what)
    with reading(what), open(path, "rb") as stream:
        # Of other kinds than PNG, Pillow maps some files into memory, for which it wants their names.
        source = for_pillow(stream) if is_png(stream) else path
        with Image.open(source, formats=_formats()) as image:
            yield image


def read_texts(file: StrPath | IO[bytes]) -> Texts:
    """The texts in a picture, whose pixels are not decoded. Raises as ``opened`` does."""
    if isinstance(file, (str, os.PathLike)):
        what = repr(os.fsdecode(file))
        path = os.fspath(absolute(os.fsdecode(file)))
        check_file(path, what)
        with reading(what), open(path, "rb") as stream:
            return _texts(stream)
    if not hasattr(file, "read"):
        raise ImageError(f"a picture is given as a path or an open file, not as {type(file).__name__}")
    with reading("the picture"):
        return _texts(file)


def _texts(stream: IO[bytes]) -> Texts:
    if is_png(stream):
        return texts_of(stream)
    with Image.open(stream, formats=_formats()) as image:
        texts = Texts({name: value for name, value in image.info.items() if isinstance(value, str)})
        comment, block = image.info.get("comment"), image.info.get("exif")
    if isinstance(comment, bytes):  # of a JPEG or GIF
        texts.by_name["Comment"] = decoded(comment)
    if isinstance(block, bytes):
        texts.by_name.update(exif_texts(block))
    return texts


def check_file(path: str, what: str) -> None:
    """Raises ImageError where ``path`` is no plain file; opening a pipe could wait for ever."""
    try:
        mode = Path(path).stat().st_mode
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ImageNotFoundError(f"{what} does not exist") from error
    except (OSError, ValueError) as error:  # too long a name; a name that holds NUL or lone surrogates
        raise ImageError(f"{what} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    if not stat.S_ISREG(mode):
        raise ImageError(f"{what} is {'a folder' if stat.S_ISDIR(mode) else 'no plain file'}; give a picture's file")


# Warnings are switched off for the whole process. Two threads that did so at once could leave them off for ever.
_quiet = ProcessLock()


@contextlib.contextmanager
def without_warnings() -> Iterator[None]:
    """Silences Pillow's warnings."""
    with _quiet, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextlib.contextmanager
def reading(what: str) -> Iterator[None]:
    """Turns what Pillow raises over a picture, which may be almost anything, into ImageError; silences its warnings."""
    with without_warnings():
        try:
            yield
        except SdcppError:
            raise
        except MemoryError as error:
            raise OutOfMemoryError(f"memory ran out while {what} was read; make it smaller") from error
        except UnidentifiedImageError as error:
            raise ImageError(f"{what} is no picture of a kind that can be read; convert it to PNG or JPEG") from error
        except Exception as error:
            raise ImageError(f"{what} cannot be read: {getattr(error, 'strerror', None) or error}") from error


def _formats() -> list[str]:
    """All that Pillow reads, but EPS, for which it would start Ghostscript on the file of who knows whom."""
    Image.init()
    return [name for name in Image.ID if name != "EPS"]
