"""Pictures of scenes: what the model learns from, and what its pictures are compared with."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from .palette import COLORS, NEW_COLORS
from .scenes import Placed, Scene, layout

_SUPERSAMPLING = 4
_VALUES = {**COLORS, **NEW_COLORS}


def outline(kind: str) -> list[tuple[float, float]]:
    """The corners of a shape of radius 1 around (0, 0), y pointing down; shapes of one radius look equally large."""
    if kind in ("circle", "ring"):
        return _regular(64, 1.0, 0.0)
    if kind == "square":
        return [(-0.89, -0.89), (0.89, -0.89), (0.89, 0.89), (-0.89, 0.89)]
    if kind == "triangle":
        return [(x, y + 0.15) for x, y in _regular(3, 1.25, -math.pi / 2)]
    if kind == "diamond":
        return [(0.0, -1.25), (1.0, 0.0), (0.0, 1.25), (-1.0, 0.0)]
    if kind == "star":
        outer, inner = _regular(5, 1.3, -math.pi / 2), _regular(5, 0.58, -math.pi / 2 + math.pi / 5)
        return [corner for pair in zip(outer, inner, strict=True) for corner in pair]
    if kind == "cross":
        arm, half = 1.1, 0.36
        return [
            (-half, -arm), (half, -arm), (half, -half), (arm, -half), (arm, half), (half, half),
            (half, arm), (-half, arm), (-half, half), (-arm, half), (-arm, -half), (-half, -half),
        ]  # fmt: skip
    raise ValueError(f"no shape is called {kind!r}")


def hole(kind: str) -> list[tuple[float, float]]:
    """The corners of what is cut out of a shape of radius 1; none where it is whole."""
    return _regular(64, 0.55, 0.0) if kind == "ring" else []


def _regular(corners: int, radius: float, start: float) -> list[tuple[float, float]]:
    angles = (start + 2 * math.pi * corner / corners for corner in range(corners))
    return [(radius * math.cos(angle), radius * math.sin(angle)) for angle in angles]


def coverage(item: Placed, width: int, height: int, cell: int) -> NDArray[np.uint8]:
    """How much of each cell of ``cell`` pixels the shape covers, of 255: shape (height / cell, width / cell)."""
    image = Image.new("L", (width, height))
    _fill(ImageDraw.Draw(image), item, (width, height), 1, (255, 0))
    return np.asarray(image.reduce(cell))


Fill = TypeVar("Fill", int, tuple[int, int, int])


def _fill(draw: ImageDraw.ImageDraw, item: Placed, size: tuple[int, int], scale: int, fills: tuple[Fill, Fill]) -> None:
    """Draws a shape in the first of the fills, and its hole in the second."""
    width, height = size
    radius = item.radius * min(width, height)
    for corners, fill in zip((outline(item.thing.kind), hole(item.thing.kind)), fills, strict=True):
        if corners:
            draw.polygon(
                [(scale * (item.x * width + radius * x), scale * (item.y * height + radius * y)) for x, y in corners],
                fill=fill,
            )


def draw_placed(placed: Sequence[Placed], background: str, width: int, height: int) -> NDArray[np.uint8]:
    """The picture of placed shapes, of shape (height, width, 3)."""
    scale = _SUPERSAMPLING
    large = Image.new("RGB", (width * scale, height * scale), _VALUES[background])
    draw = ImageDraw.Draw(large)
    for item in placed:
        _fill(draw, item, (width, height), scale, (_VALUES[item.thing.color], _VALUES[background]))
    return np.asarray(large.reduce(scale))


def draw_scene(
    scene: Scene, jitter: Sequence[float] | NDArray[np.float64], width: int, height: int
) -> NDArray[np.uint8]:
    """The picture of a scene, of shape (height, width, 3)."""
    return draw_placed(layout(scene, jitter, width, height), scene.drawn_background, width, height)
