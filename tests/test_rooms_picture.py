"""The picture in docs/architecture.md: that it shows the code as it is, and can be read."""

from __future__ import annotations

import re

from .support import rooms_picture
from .support.rooms_picture import WAY, below, floors, imports, needed, places, port, shown
from .test_architecture import PACKAGES


def test_the_picture_shows_the_rooms() -> None:
    """Its rooms are the ordered list of the packages."""
    text = rooms_picture.PICTURE.read_text(encoding="utf-8")
    assert tuple(re.findall(r'<g class="room(?: way)?" id="(\w+)">', text)) == PACKAGES


def test_the_picture_is_of_this_code() -> None:
    """The file in docs/ is what the code's imports and first sentences make now."""
    text = rooms_picture.PICTURE.read_text(encoding="utf-8")
    assert rooms_picture.picture() == text, "run `python -m tests.support.rooms_picture`"


def test_an_arrow_that_is_left_out_follows_from_others() -> None:
    """From the arrows that are left, the same rooms are reached as from all imports, and none could be spared."""
    arrows = imports()
    kept = needed(arrows)
    for room in PACKAGES:
        assert below(room, kept) == below(room, arrows)
        for other in kept[room]:
            assert other not in set().union(*(below(between, kept) for between in kept[room]))


def test_nothing_lies_upon_a_room() -> None:
    """No two rooms overlap, every arrow points down, and none runs through a room."""
    storeys = floors(imports())
    boxes = places(storeys)
    placed = list(boxes.items())
    for index, (_, one) in enumerate(placed):
        for _, other in placed[index + 1 :]:
            apart = one.x + one.width <= other.x or other.x + other.width <= one.x
            assert apart or one.foot <= other.y or other.foot <= one.y
    for upper, lower in shown(imports(), storeys):
        assert boxes[upper].foot < boxes[lower].y
        x = port(boxes[lower], boxes[upper])
        for room, box in placed:
            if boxes[upper].foot < box.y < boxes[lower].y:
                assert not box.x <= x <= box.x + box.width, f"the arrow from {upper} to {lower} runs through {room}"


def test_the_way_of_a_prompt_goes_through_rooms() -> None:
    """Each step happens in a room that exists."""
    assert {room for room, *_ in WAY} <= set(PACKAGES)
