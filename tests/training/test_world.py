"""The world that the tiny model draws, and the scorer that reads its pictures."""

from __future__ import annotations

import itertools
from operator import attrgetter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_model.scores import held_out_prompts, shares
from tiny_model.sizes import SIZES
from tiny_model.world.captions import random_caption
from tiny_model.world.novelties import NOVELTIES, has, random_novel_scene
from tiny_model.world.palette import COLORS, KINDS, SYNONYMS
from tiny_model.world.rendering import draw_placed, draw_scene, outline
from tiny_model.world.scenes import (
    JITTERS,
    Placed,
    Scene,
    Thing,
    is_held_out,
    layout,
    random_scene,
    random_scene_of,
)
from tiny_model.world.scoring import read_picture, score

seeds = st.integers(0, 2**32 - 1)
sizes = st.sampled_from(SIZES)


@given(seed=seeds, size=sizes)
def test_the_scorer_reads_drawn_truth_without_a_mistake(seed: int, size: tuple[int, int]) -> None:
    """Whatever scene is drawn, in any size, the scorer finds all of it right."""
    random = np.random.default_rng(seed)
    scene = random_scene(random)
    result = score(scene, draw_scene(scene, random.standard_normal(JITTERS), *size))
    assert all(all(values) for values in vars(result).values()), (scene, result)


@given(seed=seeds, size=sizes, words=st.sets(st.sampled_from(NOVELTIES), min_size=1))
def test_the_scorer_reads_what_is_new_where_it_is_told_of_it(seed: int, size: tuple[int, int], words: set[str]) -> None:
    """Scenes with new colours and kinds are read without mistakes, which a scorer of the old ones alone does not do."""
    random = np.random.default_rng(seed)
    scene = random_novel_scene(random, sorted(words), held_out=bool(random.integers(2)))
    assert sum(all(has(thing, word) for word in words) for thing in scene.things) == 1
    picture = draw_scene(scene, random.standard_normal(JITTERS), *size)
    result = score(scene, picture, NOVELTIES)
    assert all(all(values) for values in vars(result).values()), (scene, result)
    old = score(scene, picture)
    assert not all((*old.colors, *old.kinds)), (scene, old)


@given(seed=seeds)
def test_new_words_change_nothing_of_old_scenes(seed: int) -> None:
    """A scorer that is told of new colours and kinds reads them in no picture that has none.

    Where two colours meet, a pixel may look like a new one: places and sizes differ by less than a pixel.
    """
    random = np.random.default_rng(seed)
    scene = random_scene(random)
    picture = draw_scene(scene, random.standard_normal(JITTERS), 128, 128)
    told, untold = read_picture(picture, NOVELTIES), read_picture(picture)
    assert told.background == untold.background
    pairs = list(
        zip(*(sorted(read.shapes, key=attrgetter("kind", "color", "x")) for read in (told, untold)), strict=True)
    )
    assert all((one.kind, one.color) == (other.kind, other.color) for one, other in pairs)
    for one, other in pairs:
        assert (one.x, one.y, one.radius) == pytest.approx((other.x, other.y, other.radius), abs=1 / 128)


@given(seed=seeds)
def test_the_scorer_forgives_noise_and_blur_but_not_another_scene(seed: int) -> None:
    """A blurred and noisy picture scores as the clean one does, one of another scene does not get full marks."""
    random = np.random.default_rng(seed)
    scene, other = random_scene(random), random_scene(random)
    clean = draw_scene(scene, np.zeros(JITTERS), 128, 128).astype(np.float64)
    blurred = (clean + np.roll(clean, 1, axis=0) + np.roll(clean, 1, axis=1)) / 3
    noisy = np.clip(blurred + random.normal(0, 6, clean.shape), 0, 255).astype(np.uint8)
    good = score(scene, noisy)
    assert all((*good.background, *good.colors, *good.relations))
    asked = {(thing.kind, thing.color) for thing in scene.things}, scene.drawn_background
    if asked != ({(thing.kind, thing.color) for thing in other.things}, other.drawn_background):
        bad = score(other, noisy)
        assert not all((*bad.background, *bad.count, *bad.colors, *bad.kinds)), (scene, other)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("radius", [0.1, 0.2, 0.3])
def test_each_kind_is_told_from_the_others(kind: str, radius: float) -> None:
    """A shape alone is recognised by its contour, small or large, and its radius and centre are measured."""
    placed = Placed(Thing(kind, "red"), 0.45, 0.55, radius)
    (found,) = read_picture(draw_placed([placed], "white", 128, 128)).shapes
    assert found.kind == kind
    assert found.radius == pytest.approx(radius, rel=0.1)
    assert (found.x, found.y) == pytest.approx((0.45, 0.55), abs=0.03)


def test_swapped_shapes_are_a_wrong_relation() -> None:
    """The right shapes on the wrong sides get their colours and kinds right and the relation wrong."""
    things = (Thing("circle", "red"), Thing("square", "blue"))
    picture = draw_scene(Scene(things, "white", relation="right of"), np.zeros(JITTERS), 128, 128)
    result = score(Scene(things, "white", relation="left of"), picture)
    assert result.colors == result.kinds == (True, True)
    assert result.relations == (False,)


def test_a_blank_picture_has_only_its_background_right() -> None:
    """Where nothing was drawn, nothing but the background is right."""
    scene = Scene((Thing("circle", "red"), Thing("square", "blue", "large")), "white", relation="left of")
    result = score(scene, np.full((128, 128, 3), 250, np.uint8))
    assert result.background == (True,)
    assert not any((*result.count, *result.colors, *result.kinds, *result.relations, *result.sizes))


def test_shares_count_only_what_was_asked() -> None:
    """A share is over the captions that ask for the thing."""
    one = Scene((Thing("circle", "red"),), "white", place="left")
    results = shares([score(one, draw_scene(one, np.zeros(JITTERS), 128, 128))] * 3)
    assert results["places"] == (1.0, 3)
    assert "relations" not in results


@given(seed=seeds)
def test_a_caption_says_all_of_its_scene(seed: int) -> None:
    """A caption holds a word for every colour, kind and size of its scene."""
    random = np.random.default_rng(seed)
    scene = random_scene(random)
    text = random_caption(scene, random).lower()
    said = [scene.background] if scene.background else []
    for thing in scene.things:
        said += [thing.kind, thing.color] + ([thing.size] if thing.size else [])
    for word in said:
        assert any(synonym in text for synonym in SYNONYMS[word]), (word, text)


def assert_inside_and_apart(scene: Scene, jitter: list[float], size: tuple[int, int]) -> None:
    boxes = []
    for item in layout(scene, jitter, *size):
        corners = np.array(outline(item.thing.kind)) * item.radius * min(size) + (item.x * size[0], item.y * size[1])
        low, high = corners.min(axis=0), corners.max(axis=0)
        assert (low > -0.5).all()
        assert (high < np.array(size) + 0.5).all()
        boxes.append((low, high))
    if len(boxes) == 2:
        (_, first), (second, _) = boxes
        assert (first < second).any(), (scene, boxes)


@given(seed=seeds, size=sizes)
def test_shapes_stay_inside_the_picture_and_apart(seed: int, size: tuple[int, int]) -> None:
    """No shape reaches over the edge, and two shapes never touch, however the jitter falls."""
    random = np.random.default_rng(seed)
    assert_inside_and_apart(random_scene(random), list(4 * random.standard_normal(JITTERS)), size)


@pytest.mark.parametrize("relation", ["left of", "above"])
@pytest.mark.parametrize("size", SIZES)
def test_the_largest_shapes_have_room_beside_each_other(size: tuple[int, int], relation: str) -> None:
    """Two large shapes of any kinds, grown as far as they grow and moved towards each other, do not touch."""
    for first, second in itertools.product(KINDS, KINDS):
        scene = Scene((Thing(first, "red", "large"), Thing(second, "blue", "large")), "white", relation=relation)
        assert_inside_and_apart(scene, [9.0, 9.0, 9.0, -9.0, -9.0, 9.0], size)


@given(seed=seeds)
def test_held_out_scenes_are_never_trained_on(seed: int) -> None:
    """Training draws from one half of the world and testing from the other."""
    random = np.random.default_rng(seed)
    assert not is_held_out(random_scene_of(random, held_out=False))
    assert is_held_out(random_scene_of(random, held_out=True))


def test_what_is_held_out_is_a_real_part_of_the_world() -> None:
    """One scene in ten at least is held out, and among them are all kinds and colours."""
    random = np.random.default_rng(0)
    scenes = [random_scene(random) for _ in range(1000)]
    assert 100 < sum(map(is_held_out, scenes)) < 300
    things = [thing for prompt in held_out_prompts(300) for thing in prompt.scene.things]
    assert {thing.kind for thing in things} == set(KINDS)
    assert {thing.color for thing in things} == set(COLORS)


def test_shapes_never_have_the_background_s_colour() -> None:
    """Every shape can be seen."""
    random = np.random.default_rng(1)
    for _ in range(500):
        scene = random_scene(random)
        assert scene.drawn_background in COLORS
        assert all(thing.color != scene.drawn_background for thing in scene.things)
