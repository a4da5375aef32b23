"""Scenes: what a caption says, and where its shapes lie in the picture."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .palette import COLORS, KINDS, PLACES, RELATIONS, SIZES

JITTERS = 6
"""Numbers that say where in its place each shape lies and how large it is: x, y, size of the first and the second."""

_RADII = {1: {"small": 0.12, "medium": 0.20, "large": 0.30}, 2: {"small": 0.10, "medium": 0.14, "large": 0.175}}
_OFF_CENTER = {1: 0.24, 2: 0.25}  # of shapes, by how many there are
LARGEST_JITTER = 1.5
"""Standard deviations; what is jittered more goes no farther."""


@dataclass(frozen=True)
class Thing:
    """A shape as a caption names it; ``size`` is None where the caption is silent, and then medium."""

    kind: str
    color: str
    size: str | None = None

    @property
    def drawn_size(self) -> str:
        """The size, said or not."""
        return self.size or "medium"


@dataclass(frozen=True)
class Scene:
    """What a caption says.

    Attributes:
        things: one or two shapes.
        background: colour of the background; None where the caption is silent: then white, or gray behind white.
        place: of a single shape; None: the middle.
        relation: of the first of two shapes to the second; None: left of it.
    """

    things: tuple[Thing, ...]
    background: str | None = None
    place: str | None = None
    relation: str | None = None

    @property
    def drawn_background(self) -> str:
        """The background's colour, said or not."""
        if self.background is not None:
            return self.background
        return "gray" if any(thing.color == "white" for thing in self.things) else "white"


@dataclass(frozen=True)
class Placed:
    """A shape in a picture: centre as fractions of width and height, radius as a fraction of the shorter side."""

    thing: Thing
    x: float
    y: float
    radius: float


def layout(scene: Scene, jitter: Sequence[float] | NDArray[np.float64], width: int, height: int) -> tuple[Placed, ...]:
    """Where the shapes lie, from left to right or from top to bottom, none of them beyond the picture's edge.

    Args:
        scene: what is drawn.
        jitter: ``JITTERS`` numbers, thought of as standard normal; 0 is the middle of every place.
        width, height: of the picture, in pixels.
    """
    shorter = min(width, height)
    bounded = np.clip(np.asarray(jitter, dtype=np.float64), -LARGEST_JITTER, LARGEST_JITTER)
    radii = _RADII[len(scene.things)]
    placed = []
    for index, (thing, x, y, spread_x, spread_y) in enumerate(_spots(scene)):
        dx, dy, grow = bounded[3 * index : 3 * index + 3]
        radius = radii[thing.drawn_size] * (1 + 0.04 * grow)
        margin = 1.3 * radius * shorter
        x = _inside(x + spread_x * dx, margin / width)
        y = _inside(y + spread_y * dy, margin / height)
        placed.append(Placed(thing, x, y, radius))
    return tuple(placed)


def _inside(middle: float, margin: float) -> float:
    return min(max(middle, margin), 1 - margin)


def _spots(scene: Scene) -> list[tuple[Thing, float, float, float, float]]:
    """Each shape with the middle of its place and how far it may stray from there."""
    if len(scene.things) == 1:
        words = (scene.place or "center").split()
        x = 0.5 + _OFF_CENTER[1] * (("right" in words) - ("left" in words))
        y = 0.5 + _OFF_CENTER[1] * (("bottom" in words) - ("top" in words))
        stray = 0.03 if scene.place is None else 0.02
        return [(scene.things[0], x, y, stray, stray)]
    first, second = scene.things
    if scene.relation in ("right of", "below"):
        first, second = second, first
    near, far = 0.5 - _OFF_CENTER[2], 0.5 + _OFF_CENTER[2]
    along, across = 0.006, 0.03  # the line between them: along it they must not stray into each other
    if scene.relation in ("above", "below"):
        return [(first, 0.5, near, across, along), (second, 0.5, far, across, along)]
    return [(first, near, 0.5, along, across), (second, far, 0.5, along, across)]


def is_held_out(scene: Scene) -> bool:
    """Whether the scene is kept for testing: one in ten combinations of shape, colour and background is."""
    return any(_is_held_out(thing, scene.drawn_background) for thing in scene.things)


def _is_held_out(thing: Thing, background: str) -> bool:
    return zlib.crc32(f"{thing.kind}/{thing.color}/{background}".encode()) % 10 == 0


def random_scene(random: np.random.Generator) -> Scene:
    """Any scene of the world."""
    colors = list(COLORS)
    background = None if random.random() < 0.08 else str(random.choice(colors))
    count = 1 if random.random() < 0.4 else 2
    # Two shapes of one colour are as good a scene as any other, but two colours ask more of the model.
    free = [color for color in colors if color != background]
    chosen = [str(color) for color in random.choice(free, size=count, replace=random.random() < 0.1)]
    things = tuple(Thing(str(random.choice(KINDS)), color, _random_size(random)) for color in chosen)
    if count == 1:
        place = None if random.random() < 0.4 else str(random.choice(PLACES))
        scene = Scene(things, background, place=place)
    else:
        relation = None if random.random() < 0.1 else str(random.choice(RELATIONS))
        scene = Scene(things, background, relation=relation)
    # Unsaid backgrounds may turn out to be a shape's own colour.
    return scene if all(thing.color != scene.drawn_background for thing in things) else random_scene(random)


def _random_size(random: np.random.Generator) -> str | None:
    return None if random.random() < 0.4 else str(random.choice(SIZES))


def random_scene_of(random: np.random.Generator, *, held_out: bool) -> Scene:
    """A scene that is held out of training, or one that is not."""
    while True:
        scene = random_scene(random)
        if is_held_out(scene) == held_out:
            return scene
