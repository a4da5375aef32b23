"""Reading pictures back: which background, which shapes, where; and whether that is what was asked for."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy import ndimage

from .palette import COLORS, KINDS, NEW_COLORS, NEW_KINDS
from .rendering import hole, outline
from .scenes import JITTERS, Placed, Scene, layout

_BORDER = 3  # pixels
_SMALLEST = 0.005  # of the picture
_NEAR = 0.12  # of a side: how far from the middle of its place a shape may lie
_CLEARLY_LARGER = 1.15


@dataclass(frozen=True)
class Found:
    """A shape in a picture: centre as fractions of width and height, radius as a fraction of the shorter side."""

    kind: str
    color: str
    x: float
    y: float
    radius: float


@dataclass(frozen=True)
class Reading:
    """What was found in a picture, the largest shape first."""

    background: str
    shapes: tuple[Found, ...]


@dataclass(frozen=True)
class Score:
    """What is right in a picture; empty where the caption does not ask.

    Attributes:
        background: the background's colour.
        count: as many shapes as were asked for.
        colors, kinds: of each shape.
        places: a single shape lies where it was asked for.
        relations: of two shapes, the one asked for lies left, right, above or below.
        sizes: of two shapes of different size, the one asked for is larger.
    """

    background: tuple[bool, ...]
    count: tuple[bool, ...]
    colors: tuple[bool, ...]
    kinds: tuple[bool, ...]
    places: tuple[bool, ...]
    relations: tuple[bool, ...]
    sizes: tuple[bool, ...]


def read_picture(picture: Image.Image | NDArray[np.uint8], new: Sequence[str] = ()) -> Reading:
    """Finds background and shapes in a picture of at least 48 x 48 pixels.

    Args:
        picture: of this world.
        new: colours and kinds that it may show besides those of the world.
    """
    colors = {**COLORS, **{name: value for name, value in NEW_COLORS.items() if name in new}}
    kinds = (*KINDS, *(kind for kind in NEW_KINDS if kind in new))
    names, values = tuple(colors), np.array(list(colors.values()), dtype=np.int64)
    pixels = np.asarray(picture.convert("RGB") if isinstance(picture, Image.Image) else picture).astype(np.int64)
    nearest = np.argmin(((pixels[:, :, None, :] - values) ** 2).sum(axis=-1), axis=-1)
    inner = np.zeros(nearest.shape, dtype=bool)
    inner[_BORDER:-_BORDER, _BORDER:-_BORDER] = True
    background = int(np.bincount(nearest[~inner], minlength=len(names)).argmax())
    found = []
    for color in set(np.unique(nearest).tolist()) - {background}:
        # Between two colours lies a rim of mixtures, a pixel or two wide, which may be nearest to a third.
        mask = ndimage.binary_opening(nearest == color, np.ones((3, 3)))
        labels, count = ndimage.label(mask)
        for label in range(1, count + 1):
            blob = labels == label
            if blob.mean() >= _SMALLEST:
                found.append((int(blob.sum()), _recognised(blob, names[color], kinds)))
    shapes = [shape for _, shape in sorted(found, key=lambda item: -item[0])]
    return Reading(names[background], tuple(shapes))


def _recognised(blob: NDArray[np.bool_], color: str, kinds: Sequence[str]) -> Found:
    """The kind whose outline, of the blob's area and centre, covers it best."""
    height, width = blob.shape
    area = float(blob.sum())
    mass_y, mass_x = ndimage.center_of_mass(blob)
    best_overlap, best = -1.0, None
    for kind in kinds:
        unit_area, unit_x, unit_y = _unit(kind)
        radius = (area / unit_area) ** 0.5
        x, y = float(mass_x - radius * unit_x), float(mass_y - radius * unit_y)
        ideal = Image.new("1", (width, height))
        for corners, fill in ((outline(kind), 1), (hole(kind), 0)):
            if corners:
                ImageDraw.Draw(ideal).polygon([(x + radius * dx, y + radius * dy) for dx, dy in corners], fill=fill)
        drawn = np.asarray(ideal)
        overlap = float((drawn & blob).sum() / (drawn | blob).sum())
        if overlap > best_overlap:
            best_overlap = overlap
            best = Found(kind, color, (x + 0.5) / width, (y + 0.5) / height, radius / min(width, height))
    assert best is not None
    return best


def _unit(kind: str) -> tuple[float, float, float]:
    """Area and centre of a shape of radius 1; a hole lies in its middle."""
    area, x, y = _area_and_center(outline(kind))
    inside = hole(kind)
    return (area - _area_and_center(inside)[0] if inside else area), x, y


def _area_and_center(corners: Sequence[tuple[float, float]]) -> tuple[float, float, float]:
    """Of a polygon, by the shoelace formula."""
    x, y = np.array(corners).T
    cross = x * np.roll(y, -1) - np.roll(x, -1) * y
    area = cross.sum() / 2
    center_x = ((x + np.roll(x, -1)) * cross).sum() / (6 * area)
    center_y = ((y + np.roll(y, -1)) * cross).sum() / (6 * area)
    return abs(float(area)), float(center_x), float(center_y)


def score(scene: Scene, picture: Image.Image | NDArray[np.uint8], new: Sequence[str] = ()) -> Score:
    """Compares a picture with the scene that was asked for, in which there may be ``new`` colours and kinds."""
    reading = read_picture(picture, new)
    width, height = picture.size if isinstance(picture, Image.Image) else picture.shape[1::-1]
    wanted = layout(scene, np.zeros(JITTERS), width, height)
    pairs = _matched(wanted, reading.shapes)
    one, two = len(wanted) == 1, len(wanted) == 2
    return Score(
        background=(reading.background == scene.drawn_background,),
        count=(len(reading.shapes) == len(wanted),),
        colors=tuple(found is not None and found.color == item.thing.color for item, found in pairs),
        kinds=tuple(found is not None and found.kind == item.thing.kind for item, found in pairs),
        places=(_near(*pairs[0]),) if one and scene.place is not None else (),
        relations=(_in_order(pairs),) if two and scene.relation is not None else (),
        sizes=_sizes(pairs) if two else (),
    )


Pairs = list[tuple[Placed, Found | None]]


def _matched(wanted: Sequence[Placed], found: Sequence[Found]) -> Pairs:
    """Each shape asked for with one found: so that most colours and kinds agree, and then the places."""
    candidates: list[Found | None] = [*found[: len(wanted)], *[None] * max(0, len(wanted) - len(found))]

    def agreement(order: Sequence[Found | None]) -> float:
        total = 0.0
        for item, shape in zip(wanted, order, strict=True):
            if shape is not None:
                same = (shape.color == item.thing.color) + (shape.kind == item.thing.kind)
                total += same - 0.1 * (abs(shape.x - item.x) + abs(shape.y - item.y))
        return total

    best = max(itertools.permutations(candidates), key=agreement)
    return list(zip(wanted, best, strict=True))


def _near(wanted: Placed, found: Found | None) -> bool:
    return found is not None and abs(found.x - wanted.x) < _NEAR and abs(found.y - wanted.y) < _NEAR


def _in_order(pairs: Pairs) -> bool:
    (_, first), (_, second) = pairs
    if first is None or second is None:
        return False
    across = abs(pairs[0][0].x - pairs[1][0].x) > abs(pairs[0][0].y - pairs[1][0].y)
    return first.x < second.x if across else first.y < second.y


def _sizes(pairs: Pairs) -> tuple[bool, ...]:
    (wanted, first), (other, second) = pairs
    if max(wanted.radius, other.radius) < _CLEARLY_LARGER * min(wanted.radius, other.radius):
        return ()
    if first is None or second is None:
        return (False,)
    return ((first.radius > second.radius) == (wanted.radius > other.radius),)
