"""What the model does not know: scenes with a new colour or kind, for LoRAs to learn from and to be scored by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from .palette import NEW_COLORS, NEW_KINDS
from .scenes import Scene, Thing, is_held_out, random_scene

NOVELTIES = (*NEW_COLORS, *NEW_KINDS)
"""Every word that the model does not know, and that there is a picture of."""


def renewed(thing: Thing, words: Sequence[str]) -> Thing:
    """The shape with new words in the place of its own colour, kind, or both."""
    for word in words:
        thing = replace(thing, color=word) if word in NEW_COLORS else replace(thing, kind=word)
    return thing


def has(thing: Thing, word: str) -> bool:
    """Whether a shape is of the new colour or kind."""
    return word in (thing.color, thing.kind)


def random_novel_scene(random: np.random.Generator, words: Sequence[str], *, held_out: bool) -> Scene:
    """A scene in which one shape, any, is what all the words say; one in ten combinations is held out of training."""
    while True:
        scene = random_scene(random)
        index = int(random.integers(len(scene.things)))
        things = list(scene.things)
        things[index] = renewed(things[index], words)
        scene = replace(scene, things=tuple(things))
        if is_held_out(scene) == held_out:
            return scene
