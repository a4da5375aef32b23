"""Captions: a grammar that says a scene in many ways."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .palette import SYNONYMS
from .scenes import Scene, Thing

_OPENINGS = ("", "", "", "", "a picture of ", "an image of ", "a drawing of ", "draw ", "please draw ", "show me ")
_NOUN_PHRASES = (
    "{size} {color} {kind}", "{size} {color} {kind}", "{size} {color} {kind}", "{color} {size} {kind}",
    "{size} {kind} in {color}", "{size} {kind} colored {color}",
)  # fmt: skip
_BACKGROUNDS = ("a {} background", "a {} background", "a {} background", "{} background", "a plain {} background", "{}")
_PLACES = {
    "center": ("in the center", "in the middle", "at the center"),
    "left": ("on the left", "on the left side", "at the left"),
    "right": ("on the right", "on the right side", "at the right"),
    "top": ("at the top", "near the top"),
    "bottom": ("at the bottom", "near the bottom"),
    "top left": ("in the top left corner", "in the upper left", "at the top left"),
    "top right": ("in the top right corner", "in the upper right", "at the top right"),
    "bottom left": ("in the bottom left corner", "in the lower left", "at the bottom left"),
    "bottom right": ("in the bottom right corner", "in the lower right", "at the bottom right"),
}
_RELATIONS = {
    "left of": ("left of", "left of", "to the left of", "on the left of"),
    "right of": ("right of", "right of", "to the right of", "on the right of"),
    "above": ("above", "above", "over", "on top of"),
    "below": ("below", "below", "under", "beneath"),
}
_ITS_SIDE = {
    "left of": ("to its left", "on its left"),
    "right of": ("to its right", "on its right"),
    "above": ("above it", "over it"),
    "below": ("below it", "under it"),
}
_ONE_SHAPE = ("{thing} {place} on {ground}", "{thing} on {ground} {place}", "on {ground}, {thing} {place}",
              "{ground} with {thing} {place}", "{thing} {place}, {ground}")  # fmt: skip
_TWO_SHAPES = ("{pair} on {ground}", "{pair} on {ground}", "on {ground}, {pair}", "{ground} with {pair}",
               "{pair}, {ground}")  # fmt: skip


def random_caption(scene: Scene, random: np.random.Generator) -> str:
    """One of the many ways to say the scene."""

    def pick(choices: Sequence[str]) -> str:
        return choices[int(random.integers(len(choices)))]

    def noun(thing: Thing) -> str:
        phrase = pick(_NOUN_PHRASES).format(
            size=pick(SYNONYMS[thing.size]) if thing.size else "",
            color=pick(SYNONYMS[thing.color]),
            kind=pick(SYNONYMS[thing.kind]),
        )
        return " ".join((pick(("a", "a", "a", "one", "")), phrase))

    ground = ""
    if scene.background is not None:
        ground = pick(_BACKGROUNDS).format(pick(SYNONYMS[scene.background]))
    if len(scene.things) == 1:
        place = pick(_PLACES[scene.place]) if scene.place else ""
        text = _with_ground(pick(_ONE_SHAPE), ground, thing=noun(scene.things[0]), place=place)
    else:
        first, second = (noun(thing) for thing in scene.things)
        if scene.relation is None:
            pair = f"{first} and {second}"
        elif random.random() < 0.25:
            pair = f"{second} with {first} {pick(_ITS_SIDE[scene.relation])}"
        else:
            pair = f"{first} {pick(('', '', '', 'is '))}{pick(_RELATIONS[scene.relation])} {second}"
        text = _with_ground(pick(_TWO_SHAPES), ground, pair=pair)
    opening = "" if text.startswith("on ") else pick(_OPENINGS)
    return _finish(opening + text, random)


def _with_ground(template: str, ground: str, **parts: str) -> str:
    if not ground:
        template = "{pair}" if "pair" in parts else "{thing} {place}"
    return template.format(ground=ground, **parts)


def _finish(text: str, random: np.random.Generator) -> str:
    words = text.split()
    for index, word in enumerate(words[:-1]):
        if word == "a" and words[index + 1][0] in "aeiou":
            words[index] = "an"
    text = " ".join(words).replace(" ,", ",")
    style = random.random()
    if style < 0.15:
        text = text[0].upper() + text[1:]
    elif style < 0.18:
        text = text.upper()
    return text + "." if random.random() < 0.15 else text
