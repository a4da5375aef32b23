"""The words of the world: colours, shapes and sizes, each with its synonyms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

COLORS: Mapping[str, tuple[int, int, int]] = {
    "red": (222, 46, 46),
    "orange": (245, 140, 30),
    "yellow": (247, 213, 50),
    "green": (46, 158, 70),
    "blue": (45, 90, 220),
    "purple": (130, 55, 170),
    "pink": (244, 150, 190),
    "black": (20, 20, 20),
    "white": (248, 248, 248),
    "gray": (128, 128, 128),
}
"""Name and sRGB value of each colour."""

NEW_COLORS: Mapping[str, tuple[int, int, int]] = {"magenta": (220, 60, 200)}
"""Colours that the model does not know, for LoRAs to teach it."""

KINDS = ("circle", "square", "triangle", "diamond", "star", "cross")
NEW_KINDS = ("ring",)
"""Shapes that the model does not know, for LoRAs to teach it."""
SIZES = ("small", "medium", "large")
PLACES = (
    "center", "left", "right", "top", "bottom", "top left", "top right", "bottom left", "bottom right",
)  # fmt: skip
RELATIONS = ("left of", "right of", "above", "below")

SYNONYMS: Mapping[str, Sequence[str]] = {
    "red": ("red", "red", "crimson", "scarlet"),
    "orange": ("orange", "orange", "tangerine"),
    "yellow": ("yellow", "yellow", "golden"),
    "green": ("green", "green", "emerald"),
    "blue": ("blue", "blue", "cobalt"),
    "purple": ("purple", "purple", "violet"),
    "pink": ("pink", "pink", "rosy"),
    "black": ("black", "black", "jet black"),
    "white": ("white", "white", "snow white"),
    "gray": ("gray", "grey"),
    "circle": ("circle", "circle", "disc", "disk"),
    "square": ("square", "square", "box"),
    "triangle": ("triangle",),
    "diamond": ("diamond", "diamond", "rhombus"),
    "star": ("star", "star", "five-pointed star"),
    "cross": ("cross", "cross", "plus sign"),
    "magenta": ("magenta",),
    "ring": ("ring",),
    "small": ("small", "small", "little", "tiny"),
    "medium": ("medium", "medium-sized"),
    "large": ("large", "large", "big", "huge"),
}
"""What a caption may say for each word; a word that stands twice is said twice as often."""
