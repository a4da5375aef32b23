"""Pictures, masks and reference images, as uint8 arrays, at the sizes that are generated."""

from __future__ import annotations

import math
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sdcpp_py.errors import SettingsError
from sdcpp_py.naming import named

Pixels = NDArray[np.uint8]
"""A picture, of shape (height, width, 3), or a mask, of shape (height, width)."""

Resize = Literal["fit", "cover", "pad"]
RESIZES: tuple[Resize, ...] = get_args(Resize)

# The engine makes no reference image larger than this, and no latent of longer edges.
MAX_REFERENCE_PIXELS = 1024 * 1024
MAX_REFERENCE_EDGE = 4096


def resized(
    pixels: Pixels, width: int, height: int, how: Resize | None, *, fill: int | None = None, name: str = "image"
) -> Pixels:
    """A picture (height, width, 3) at the size ``width`` x ``height``; Lanczos where it must be scaled.

    Args:
        pixels: comes back itself where it has that size.
        width: in pixels.
        height: likewise.
        how: "cover" scales it until it covers the size and keeps the middle; "pad" scales it until it is wholly
            inside, in the middle; "fit" stretches it to the size, which changes its proportions.
        fill: the grey that "pad" puts around it, 0 to 255; None repeats its outermost pixels.
        name: what messages call it.

    Raises:
        SettingsError: it has another size and ``how`` is None, or ``how`` is none of these.
    """
    return _resized(pixels, (width, height), how, Image.Resampling.LANCZOS, fill, name)


def resized_with_mask(
    pixels: Pixels, mask: Pixels | None, width: int, height: int, how: Resize | None
) -> tuple[Pixels, Pixels | None]:
    """A picture and its mask (height, width) at the size ``width`` x ``height``, still lying on each other.

    What "pad" puts around the picture is white in the mask, so that it is generated. Without a mask none comes out.

    Raises:
        SettingsError: as ``resized`` says; or the mask has another size than the picture.
    """
    if mask is not None and mask.shape != pixels.shape[:2]:
        raise SettingsError(
            f"mask has {shown(mask)} pixels, but its image has {shown(pixels)}; give both in the same size"
        )
    picture = resized(pixels, width, height, how)
    if mask is None:
        return picture, None
    # Lanczos overshoots: beside an edge in a mask it would generate a little of what is kept.
    return picture, _resized(mask, (width, height), how, Image.Resampling.BILINEAR, 255, "mask")


def fit_reference(pixels: Pixels, area: int, multiple: int) -> Pixels:
    """A reference image (height, width, 3) at the size that the engine would give it, scaled as a whole.

    It gets ``area`` pixels, 1024 x 1024 at most, be it smaller or larger before, and keeps its proportions, both up to
    the rounding of its edges to ``multiple``. Its edges are ``4 * multiple`` to 4096 pixels: a very long picture gets
    fewer pixels, or less long than its proportions would have it. It comes back itself where it has that size already.

    Args:
        pixels: the reference image.
        area: pixels of the picture to generate, at least ``(4 * multiple) ** 2``.
        multiple: what the edges must be multiples of, a divisor of 4096.
    """
    rows, columns = pixels.shape[:2]
    return _scaled(pixels, _reference_size(columns, rows, area, multiple), Image.Resampling.LANCZOS)


def surrounded(pixels: Pixels, sides: tuple[int, int, int, int], fill: int | None) -> Pixels:
    """A picture or mask with pixels added on the left, right, top and bottom: a grey, or None for the outermost."""
    left, right, top, bottom = sides
    widths = [(top, bottom), (left, right), (0, 0)][: pixels.ndim]
    if fill is None:
        return np.pad(pixels, widths, mode="edge")
    return np.pad(pixels, widths, mode="constant", constant_values=fill)


def _resized(
    pixels: Pixels, size: tuple[int, int], how: Resize | None, filter_: Image.Resampling, fill: int | None, name: str
) -> Pixels:
    if how is not None and how not in RESIZES:
        raise SettingsError(f"{named('resize')} must be one of {', '.join(RESIZES)}; not {how!r}")
    rows, columns = pixels.shape[:2]
    width, height = size
    if (columns, rows) == size or how == "fit":
        return _scaled(pixels, size, filter_)
    if how is None:
        raise SettingsError(
            f"{name} has {shown(pixels)} pixels, but {width}x{height} are to be generated; give one of that size, or "
            f'{named("resize", "cover")} (scaled until it covers the size, the middle is kept), "pad" (scaled until it '
            'is wholly inside, the rest is filled) or "fit" (stretched to the size, which changes its proportions)'
        )
    if how == "cover":
        scale = max(width / columns, height / rows)
        # Never less than a pixel, which would be smaller than Pillow's own arithmetic can tell.
        across, down = max(1.0, min(columns, width / scale)), max(1.0, min(rows, height / scale))
        left, top = (columns - across) / 2, (rows - down) / 2
        return _scaled(pixels, size, filter_, (left, top, left + across, top + down))
    scale = min(width / columns, height / rows)
    across, down = max(1, round(columns * scale)), max(1, round(rows * scale))
    before, above = (width - across) // 2, (height - down) // 2
    sides = (before, width - across - before, above, height - down - above)
    return surrounded(_scaled(pixels, (across, down), filter_), sides, fill)


def _scaled(
    pixels: Pixels,
    size: tuple[int, int],
    filter_: Image.Resampling,
    box: tuple[float, float, float, float] | None = None,
) -> Pixels:
    """What is in ``box`` (left, top, right, bottom; None for all) at another size; the array itself at its own size."""
    rows, columns = pixels.shape[:2]
    if size == (columns, rows):
        return pixels
    left, top, right, bottom = box or (0, 0, columns, rows)
    image = Image.fromarray(np.ascontiguousarray(pixels))
    if size[1] < bottom - top and size[0] > right - left:
        # Pillow scales the rows first; a narrow and high picture would get wide before it gets less high.
        image = image.resize((columns, size[1]), filter_, box=(0, top, columns, bottom))
        top, bottom = 0, size[1]
    return np.asarray(image.resize(size, filter_, box=(left, top, right, bottom)))


def _reference_size(columns: int, rows: int, area: int, multiple: int) -> tuple[int, int]:
    """Width and height that ``fit_reference`` gives."""
    area, least = min(area, MAX_REFERENCE_PIXELS), 4 * multiple
    # The engine, too, divides whole numbers here. It knows no longest edge.
    ideal = min(math.sqrt(max(1, area * columns // rows)), MAX_REFERENCE_EDGE, MAX_REFERENCE_EDGE * columns / rows)
    width, height = (math.floor(edge / multiple + 0.5) * multiple for edge in (ideal, ideal * rows / columns))
    # The long edge of a picture that would have been too narrow, for the area to stay.
    most = MAX_REFERENCE_EDGE if min(width, height) >= least else min(MAX_REFERENCE_EDGE, area // least)
    most = max(least, most // multiple * multiple)
    return min(max(width, least), most), min(max(height, least), most)


def shown(pixels: Pixels) -> str:
    """Width and height in a sentence: "64x48"."""
    return f"{pixels.shape[1]}x{pixels.shape[0]}"
