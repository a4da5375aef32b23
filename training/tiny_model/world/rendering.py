"""Pictures of scenes: what the model learns from, and what its pictures are compared with."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from .palette import COLORS
from .scenes import Placed, Scene, layout

_SUPERSAMPLING = 4


def outline(kind: str) -> list[tuple[float, float]]:
    """The corners of a shape of radius 1 around (0, 0), y pointing down; shapes of one radius look equally large."""
    if kind == "circle":
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


def _regular(corners: int, radius: float, start: float) -> list[tuple[float, float]]:
    angles = (start + 2 * math.pi * corner / corners for corner in range(corners))
    return [(radius * math.cos(angle), radius * math.sin(angle)) for angle in angles]


def coverage(item: Placed, width: int, height: int, cell: int) -> NDArray[np.uint8]:
    """How much of each cell of ``cell`` pixels the shape covers, of 255: shape (height / cell, width / cell)."""
    image = Image.new("L", (width, height))
    ImageDraw.Draw(image).polygon(_corners(item, width, height, 1), fill=255)
    return np.asarray(image.reduce(cell))


def _corners(item: Placed, width: int, height: int, scale: int) -> list[tuple[float, float]]:
    radius = item.radius * min(width, height)
    return [
        (scale * (item.x * width + radius * x), scale * (item.y * height + radius * y))
        for x, y in outline(item.thing.kind)
    ]


def draw_placed(placed: Sequence[Placed], background: str, width: int, height: int) -> NDArray[np.uint8]:
    """The picture of placed shapes, of shape (height, width, 3)."""
    scale = _SUPERSAMPLING
    large = Image.new("RGB", (width * scale, height * scale), COLORS[background])
    draw = ImageDraw.Draw(large)
    for item in placed:
        draw.polygon(_corners(item, width, height, scale), fill=COLORS[item.thing.color])
    return np.asarray(large.reduce(scale))


def draw_scene(
    scene: Scene, jitter: Sequence[float] | NDArray[np.float64], width: int, height: int
) -> NDArray[np.uint8]:
    """The picture of a scene, of shape (height, width, 3)."""
    return draw_placed(layout(scene, jitter, width, height), scene.drawn_background, width, height)
