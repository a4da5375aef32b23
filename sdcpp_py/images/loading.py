"""Init images, reference images and masks that users hand in: all become uint8 arrays."""

from __future__ import annotations

import contextlib
import os
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sdcpp_py.errors import ImageError, SettingsError
from sdcpp_py.image_files import opened, reading
from sdcpp_py.images.resizing import Pixels, surrounded
from sdcpp_py.settings import check_whole
from sdcpp_py.signatures import checked_names
from sdcpp_py.system.paths import StrPath

MAX_INPUT_EDGE = 16384
# Where Pillow, too, gives up on its own.
MAX_INPUT_PIXELS = 2**30 // 6
_WANTED = "a path, a PIL image or a uint8 array of shape (height, width, 3)"


class HoldsImage(Protocol):
    """Anything with a PIL image as its ``image``, as a GeneratedImage has."""

    @property
    def image(self) -> Image.Image:
        """The picture."""


ImageInput = StrPath | Image.Image | NDArray[Any] | HoldsImage


def to_pixels(value: ImageInput, name: str = "image") -> Pixels:
    """A picture as uint8 of shape (height, width, 3), upright as its EXIF orientation says.

    Transparent pixels are laid on white. 16 bits are scaled to 8; mode I is read as 16 bits, as Pillow opens them so.
    Embedded colour profiles are not applied. Of several frames the current one is taken, of a file's the first.

    Args:
        value: a path, a PIL image of any mode but F, something with such an ``image``, or a uint8 array of shape
            (height, width, 3), (height, width, 4) with alpha last, or (height, width) for grey.
        name: what messages call it.

    Raises:
        SettingsError: it is of another type, or an array of another shape or dtype.
        ImageNotFoundError: there is no such file.
        ImageError: it cannot be read, has no pixels, or more than 16384 along an edge or 178,956,970 in all.
        OutOfMemoryError: memory ran out.
    """
    return _converted(value, name, "RGB", ground=255)


def to_mask(value: ImageInput, name: str = "mask") -> Pixels:
    """A mask as uint8 of shape (height, width): what is white (255) is generated anew, what is black (0) is kept.

    Takes and raises what ``to_pixels`` does, and arrays of bool of shape (height, width), where True is white. Colours
    count by their luminance, and transparent pixels are laid on black, so they are kept. Arrays of floats are refused,
    since 1.0 may be their white or nearly black.
    """
    if isinstance(value, np.ndarray) and value.dtype == np.bool_ and value.ndim == 2:
        value = value.astype(np.uint8) * np.uint8(255)
    return _converted(value, name, "L", ground=0)


def check_mask(mask: Pixels, name: str = "mask") -> None:
    """Raises SettingsError where ``mask`` (uint8, white is generated anew) leaves nothing to generate.

    To be called after resizing, too.

    A mask whose brightest value is 1 is refused too: it was meant to be of 0 and 1, which is bool.
    """
    brightest = int(mask.max(initial=0))
    if brightest == 0:
        raise SettingsError(f"{name} is all black: nothing would be generated; make white what is to be generated anew")
    if brightest == 1:
        raise SettingsError(f"{name} holds no value above 1, where 255 is white; give it as bool: mask.astype(bool)")
    if brightest < 128:
        raise SettingsError(f"{name} is nowhere brighter than {brightest}; what is generated anew must be 128 or more")


@checked_names
def extend(
    image: ImageInput, left: int = 0, right: int = 0, top: int = 0, bottom: int = 0
) -> tuple[Image.Image, Image.Image]:
    """A picture on a larger canvas, and the mask with which what is around it gets generated (outpainting).

    Args:
        image: whatever ``generate`` takes as an image.
        left: how many pixels to add on this side, 0 to 16384.
        right: likewise.
        top: likewise.
        bottom: likewise.

    Returns:
        the picture in mode RGB, its outermost pixels repeated over what is new, and the mask in mode L, white there
        and black where the picture is.

    Raises:
        SettingsError: a number of pixels is out of its domain, or the image is of another type.
        ImageError: the image cannot be read, or the canvas would have more than 16384 pixels along an edge or
            178,956,970 in all.
    """
    sides = {"left": left, "right": right, "top": top, "bottom": bottom}
    left, right, top, bottom = (check_whole(name, side, 0, MAX_INPUT_EDGE) for name, side in sides.items())
    pixels = to_pixels(image)
    rows, columns = pixels.shape[:2]
    _check_size((left + columns + right, top + rows + bottom), "the extended image")
    around = (left, right, top, bottom)
    mask = surrounded(np.zeros((rows, columns), np.uint8), around, 255)
    return Image.fromarray(surrounded(pixels, around, None)), Image.fromarray(mask)


def composited(generated: Pixels, original: Pixels, mask: Pixels) -> Pixels:
    """What was generated where ``mask`` is white, the bytes of the original where it is black, a blend in between.

    Args:
        generated: uint8 of shape (height, width, 3).
        original: likewise.
        mask: uint8 of shape (height, width).

    Raises:
        SettingsError: they differ in size.
    """
    if not generated.shape == original.shape == (*mask.shape, 3):
        sizes = ", ".join(str(array.shape) for array in (generated, original, mask))
        raise SettingsError(f"the generated picture, the original and the mask differ in size: {sizes}")
    share = mask[:, :, None].astype(np.uint16)
    # At most 255 * 255 + 127, which 16 bits hold. 255 is odd, so that nothing lies half-way between two values.
    return ((generated * share + original * (255 - share) + 127) // 255).astype(np.uint8)


def _converted(value: ImageInput, name: str, mode: str, ground: int) -> Pixels:
    value = getattr(value, "image", value)
    if isinstance(value, np.ndarray):
        _check_array(value, name)
        picture, what = Image.fromarray(np.ascontiguousarray(value)), name
    elif isinstance(value, Image.Image):
        picture, what = value, name
    elif isinstance(value, (str, os.PathLike)):
        path = os.fsdecode(value)
        what = f"{name} {path!r}"
        with opened(path, what) as image:
            return np.asarray(_flat(_upright(image, what), what, ground).convert(mode))
    else:
        raise SettingsError(f"{name} must be {_WANTED}, not {type(value).__name__}")
    with reading(what):
        return np.asarray(_flat(_upright(picture, what), what, ground).convert(mode))


def _check_array(array: NDArray[Any], name: str) -> None:
    """Raises SettingsError where an array is no picture, with what would make it one."""
    shape = array.shape
    hint = ""
    if len(shape) == 3 and shape[2] not in (3, 4) and shape[0] in (3, 4):
        hint = "; move the colours last: array.transpose(1, 2, 0)"
    elif array.dtype.kind == "f":
        hint = '; from 0 .. 1: (array * 255).round().astype("uint8")'
    if array.dtype != np.uint8 or len(shape) not in (2, 3) or (len(shape) == 3 and shape[2] not in (3, 4)):
        raise SettingsError(f"{name} must be {_WANTED}, not {array.dtype} of shape {shape}{hint}")
    if not array.size:
        raise SettingsError(f"{name} has no pixels: its shape is {shape}")
    _check_size((shape[1], shape[0]), name)


def _check_size(size: tuple[int, int], what: str) -> None:
    width, height = size
    if not 0 < width <= MAX_INPUT_EDGE or not 0 < height <= MAX_INPUT_EDGE or width * height > MAX_INPUT_PIXELS:
        raise ImageError(
            f"{what} has {width} x {height} pixels; there must be 1 to {MAX_INPUT_EDGE} along each edge, and "
            f"{MAX_INPUT_PIXELS:,} in all at most"
        )


# Pillow's ``exif_transpose`` also writes the EXIF block anew, which fails on blocks that can be read.
_ORIENTATION = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # fmt: skip


def _upright(image: Image.Image, what: str) -> Image.Image:
    """The decoded picture, turned as its EXIF orientation says; a damaged EXIF block is as good as none."""
    _check_size(image.size, what)
    image.load()
    turn = None
    with contextlib.suppress(Exception):
        turn = _TURNS.get(image.getexif().get(_ORIENTATION, 1))
    return image if turn is None else image.transpose(turn)


def _flat(image: Image.Image, what: str, ground: int) -> Image.Image:
    """An image in mode RGB or L without transparency, on a ground of this grey."""
    if image.mode == "F":
        raise ImageError(f"{what} is in mode F, which says not what is white; scale it to 0 .. 255 and convert it to L")
    if image.mode.startswith("I"):
        deep = np.asarray(image).astype(np.int32)
        if deep.min() < 0 or deep.max() > 65535:
            raise ImageError(f"{what} holds values from {deep.min()} to {deep.max()}; they must be 0 to 65535")
        return Image.fromarray(((deep + 128) // 257).astype(np.uint8))
    if not image.has_transparency_data:
        return image.convert("RGB")
    if image.mode == "La":  # Pillow turns it into nothing else
        image = image.convert("LA")
    return Image.alpha_composite(Image.new("RGBA", image.size, (ground,) * 3), image.convert("RGBA")).convert("RGB")
