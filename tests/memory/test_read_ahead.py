"""Streamed blocks that are read before they are due: the right bytes in time, within the room that there is."""

from __future__ import annotations

import os
import random
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sdcpp_py import EncodedPrompt, Generator, ModelLoadError, OutOfMemoryError, Phase, Progress
from sdcpp_py._native.engine import PartInfo
from sdcpp_py._native.library import device_usage
from sdcpp_py._native.requests import MoveRequest
from sdcpp_py.memory.plan import PartNeed, Stay
from sdcpp_py.memory.planning import make_plan
from sdcpp_py.memory.residency import Residency
from sdcpp_py.parts import PARTS
from sdcpp_py.synth import SyntheticSet, write_set
from tests.conftest import open_generator
from tests.support.patience import all_closed, threads_of_this_process, until
from tests.support.reading import lay_out, least_rooms, reading, stream_blocks

PICTURE: dict[str, Any] = {"width": 64, "height": 64, "seed": 1}
BLOCKS = st.lists(st.one_of(st.integers(1, 6), st.integers(1, 10**6)), min_size=1, max_size=12)


@given(st.integers(0, 1000), BLOCKS, st.floats(0, 1))
def test_blocks_are_laid_out_within_the_room(outside: int, blocks: list[int], share: float) -> None:
    """What stays and the places together take no more than the room, every block fits its place, and two take turns."""
    least, ahead = least_rooms(outside, blocks)
    assert outside + max(blocks) == least <= ahead <= outside + sum(sorted(blocks)[-2:])
    room = least + round(share * (outside + sum(blocks) - least))
    layout = lay_out(outside, blocks, room)
    placed = list(zip(blocks, layout.places, strict=True))
    staying = [block for block, place in placed if place is None]
    moving = [(block, place) for block, place in placed if place is not None]
    assert outside + sum(staying) + sum(layout.bytes) <= room
    assert all(block <= layout.bytes[place] for block, place in moving)
    assert min(staying, default=max(blocks)) >= max((block for block, _ in moving), default=0)
    two = room >= ahead
    assert [place for _, place in moving] == [number % 2 if two else 0 for number in range(len(moving))]


@given(st.integers(0, 1000), BLOCKS)
def test_the_least_room_is_exact(outside: int, blocks: list[int]) -> None:
    """The least room has one place and suffices; a byte less is refused."""
    least, ahead = least_rooms(outside, blocks)
    assert lay_out(outside, blocks, least).bytes[1] == 0 or ahead == least
    with pytest.raises(OutOfMemoryError, match="needed at once"):
        lay_out(outside, blocks, least - 1)


@given(st.integers(0, 1000), BLOCKS, st.floats(0, 1), st.floats(0, 1))
def test_more_room_reads_no_more(outside: int, blocks: list[int], one: float, other: float) -> None:
    """With as many places and more room, no more bytes are read in a step."""
    least, ahead = least_rooms(outside, blocks)
    whole = outside + sum(blocks)

    def moved(room: int) -> int:
        places = lay_out(outside, blocks, room).places
        return sum(block for block, place in zip(blocks, places, strict=True) if place is not None)

    for begin, end in ((least, max(least, ahead - 1)), (ahead, whole)):
        rooms = sorted(begin + round(share * (end - begin)) for share in (one, other))
        assert moved(rooms[1]) <= moved(rooms[0])
    assert moved(whole) == 0


def test_blocks_that_move_stand_apart() -> None:
    """Of equally large blocks, those that stay lie between those that move, so that there is time to read."""
    places = lay_out(0, [10] * 8, 60).places
    assert [place is None for place in places].count(True) == 4
    assert all(None in pair for pair in pairwise(places))


@pytest.fixture(scope="module")
def numbers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of random bytes."""
    path = tmp_path_factory.mktemp("numbers") / "bytes"
    path.write_bytes(random.Random(0).randbytes(40_000))
    return path


@st.composite
def streams(draw: st.DrawFn) -> tuple[list[int], list[int], list[list[int]]]:
    """Sizes of blocks, their places, and graphs that read them in any order; often in the same again and again."""
    blocks = draw(st.lists(st.integers(1, 5000), min_size=1, max_size=8))
    places = draw(st.lists(st.integers(0, 1), min_size=len(blocks), max_size=len(blocks)))
    orders = st.lists(st.integers(0, len(blocks) - 1), min_size=1, max_size=10)
    graph = draw(orders)
    return blocks, places, [graph, *draw(st.lists(st.one_of(st.just(graph), orders, st.just([])), max_size=4))]


def expected_bytes(path: Path, blocks: list[int], graphs: list[list[int]]) -> bytes:
    data = path.read_bytes()
    begins = [sum(blocks[:number]) for number in range(len(blocks))]
    return b"".join(data[begins[block] : begins[block] + blocks[block]] for graph in graphs for block in graph)


@given(streams(), st.integers(1, 3), st.booleans(), st.booleans())
def test_every_turn_finds_its_own_bytes(
    numbers: Path, stream: tuple[list[int], list[int], list[list[int]]], threads: int, patient: bool, ahead: bool
) -> None:
    """Whatever blocks, places and orders, foretold or not: what lies in a place is the block whose turn it is."""
    blocks, places, graphs = stream
    with reading(ahead=ahead):
        found, _ = stream_blocks(numbers, blocks, places, graphs, threads=threads, patient=patient)
    assert found == expected_bytes(numbers, blocks, graphs)


@given(st.integers(4, 8), st.integers(1, 4))
def test_only_the_first_block_is_waited_for_with_two_places(numbers: Path, count: int, passes: int) -> None:
    """Each next block is there before its turn comes, from one step to the next too, wherever its place is free.

    Where nothing is read ahead, every block is waited for.
    """
    places = [number % 2 for number in range(count)]
    graphs = [list(range(count))] * passes
    _, came = stream_blocks(numbers, [1000] * count, places, graphs, patient=True)
    # Of an odd number, the last block and the first have one place, which is free only after the last. They may come in
    # time or not, as the first of all may.
    open_to_chance = 1 + (passes - 1 if count % 2 == 1 else 0)
    assert count * passes - open_to_chance <= came <= count * passes
    with reading(ahead=False):
        _, came = stream_blocks(numbers, [1000] * count, places, graphs, patient=True)
    assert came == 0


@given(streams(), st.sampled_from(["short", "ends", "fails"]), st.integers(0, 60))
def test_what_goes_wrong_while_reading_is_an_error_or_nothing(
    numbers: Path, stream: tuple[list[int], list[int], list[list[int]]], fault: str, at: int
) -> None:
    """A short read is gone on with; a file that ends or fails is the error of a load, or was not needed at all."""
    blocks, places, graphs = stream
    with reading(fault=fault, at=at):
        try:
            found, _ = stream_blocks(numbers, blocks, places, graphs, threads=2)
        except ModelLoadError as error:
            said = str(error)
        else:
            said = ""
            assert found == expected_bytes(numbers, blocks, graphs)
    allowed = {"short": "", "ends": "ended early", "fails": os.strerror(5)}
    assert not said or allowed[fault]
    assert allowed[fault] in said or not said


@pytest.mark.parametrize("fault", ["ends", "fails"])
def test_a_read_that_fails_ahead_of_its_turn_fails_in_its_turn(numbers: Path, fault: str) -> None:
    """The thread's own error comes out where the block is needed, and what lies before it is computed."""
    for turn in range(4):
        with reading(fault=fault, at=turn), pytest.raises(ModelLoadError, match=r"reading .* failed"):
            stream_blocks(numbers, [500] * 4, [0, 1, 0, 1], [[0, 1, 2, 3]], patient=True)
    with reading(fault=fault, at=4):  # what would be the next step's
        stream_blocks(numbers, [500] * 4, [0, 1, 0, 1], [[0, 1, 2, 3]], patient=True)


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> SyntheticSet:
    """A Klein whose denoiser is larger than its working buffers."""
    return write_set("tiny-klein", tmp_path_factory.mktemp("large"), quant="F32")


@pytest.fixture(scope="module")
def encoded(large: SyntheticSet) -> EncodedPrompt:
    with open_generator(large) as generator:
        return generator.encode("a cat in places")


@pytest.fixture(scope="module")
def guided(encoded: EncodedPrompt) -> dict[str, Any]:
    """Of a picture with two passes in a step."""
    return {**PICTURE, "steps": 3, "cfg_scale": 2.0, "negative_prompt": encoded}


@pytest.fixture(scope="module")
def expected(large: SyntheticSet, encoded: EncodedPrompt, guided: dict[str, Any]) -> np.ndarray:
    with open_generator(large, memory="all") as generator:
        return np.asarray(generator.generate(encoded, **guided))


def rooms_of(generator: Generator) -> tuple[int, int]:
    """The limits from which the denoiser is streamed in one place, and in two."""
    need = generator.plan(width=64, height=64, prompt="a cat").part("diffusion_model").need
    return need.least_room + need.working, need.ahead_room + need.working


def tight(files: SyntheticSet) -> tuple[int, int]:
    with open_generator(files, memory="all") as generator:
        return rooms_of(generator)


@settings(max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(share=st.floats(0, 1))
def test_a_picture_is_the_same_in_any_room(
    large: SyntheticSet, encoded: EncodedPrompt, guided: dict[str, Any], expected: np.ndarray, share: float
) -> None:
    """From one place to the whole: the same bytes, no more memory than the limit, and as many places as planned."""
    least, ahead = tight(large)
    assert least < ahead
    limit = least + round(share * 2 * (ahead - least))
    before = device_usage("cpu", reset=True).bytes
    with open_generator(large, memory=limit) as generator:
        assert np.array_equal(np.asarray(generator.generate(encoded, **guided)), expected)
        part = generator.plan(width=64, height=64, prompt=encoded).part("diffusion_model")
    assert device_usage("cpu").most_bytes - before <= limit
    assert part.stay is Stay.STREAMED
    assert part.reads_ahead == (limit >= ahead)


@pytest.mark.parametrize("place", [0, 1])
def test_what_the_plan_says_is_allocated(large: SyntheticSet, encoded: EncodedPrompt, place: int) -> None:
    """In the least room for one place, and in the least for two, exactly as much is held as was planned."""
    limit = tight(large)[place]
    all_closed()
    before = device_usage("cpu", reset=True).bytes
    with open_generator(large, memory=limit) as generator:
        generator.generate(encoded, steps=1, **PICTURE)
        plan = generator.plan(width=64, height=64, prompt=encoded)
    assert plan.part("diffusion_model").reads_ahead == (", read ahead" in str(plan)) == bool(place)
    assert device_usage("cpu").most_bytes - before == plan.peak("cpu") == limit


def test_no_thread_stays(large: SyntheticSet, encoded: EncodedPrompt) -> None:
    """The reading thread is there while steps are taken, and gone afterwards: at the end, cancelled, and closed."""
    room = tight(large)[1]
    before = threads_of_this_process()

    def stop(progress: Progress) -> None:
        if progress.phase is Phase.DENOISE and threads_of_this_process() - idle:
            raise ZeroDivisionError

    with open_generator(large, memory=room) as generator:
        idle = threads_of_this_process()
        generator.generate(encoded, steps=2, **PICTURE)
        assert until(lambda: threads_of_this_process() <= idle)
        # Many steps on a slow disk, so that there is time to look.
        with reading(bytes_per_second=20 << 20), pytest.raises(ZeroDivisionError):
            generator.generate(encoded, steps=1000, on_progress=stop, **PICTURE)
        generator._pipeline.engine.settle()
        assert until(lambda: threads_of_this_process() <= idle)
    assert until(lambda: threads_of_this_process() <= before)


@pytest.mark.parametrize(("fault", "said"), [("ends", "ended early"), ("fails", os.strerror(5))])
@pytest.mark.parametrize("at", [0, 3, 9])
def test_a_fault_of_the_disk_ends_the_picture_alone(
    large: SyntheticSet,
    encoded: EncodedPrompt,
    guided: dict[str, Any],
    expected: np.ndarray,
    fault: str,
    said: str,
    at: int,
) -> None:
    """An error of the reading thread is the picture's, in the words of any load, and the next picture is right."""
    with open_generator(large, memory=tight(large)[1]) as generator:
        generator.generate(encoded, steps=1, **PICTURE)
        with reading(fault=fault, at=at), pytest.raises(ModelLoadError, match=said):
            generator.generate(encoded, **guided)
        with reading(fault="short", at=at):
            assert np.array_equal(np.asarray(generator.generate(encoded, **guided)), expected)


class Moving:
    """An engine that notes how its parts are moved."""

    idle = True

    def __init__(self) -> None:
        self.moved: list[MoveRequest] = []

    def settle(self) -> None:
        """Nothing is ever stopped."""

    def part(self, name: str) -> PartInfo:
        """Nothing is in memory."""
        return PartInfo(0, 0, 0, 0, 0.0)

    def run(self, request: MoveRequest, listen: object) -> None:
        """Notes it."""
        self.moved.append(request)


def test_a_stream_gets_its_second_place_when_there_is_room() -> None:
    """It goes on in less room than there is, unless that is enough for two places and it has one."""
    engine: Any = Moving()
    residency = Residency(engine, None)
    needs = [PartNeed(name, "cpu", 1000, 200, 0, ahead_room=300) for name in PARTS]
    again = {250: True, 280: False, 310: True, 400: False, 305: True, 299: True}
    for room, moves in again.items():
        engine.moved.clear()
        plan = make_plan(needs, {"cpu": room}, width=64, height=64)
        residency.prepare(plan, "vae", lambda _: None)
        assert [request.rooms for request in engine.moved] == ([{"vae": room}] if moves else [])


def test_waiting_for_blocks_is_counted(large: SyntheticSet, encoded: EncodedPrompt) -> None:
    """Where nothing is read ahead, computing waits for every block; a part that is whole is never waited for."""
    with open_generator(large, memory=tight(large)[0]) as generator, reading(ahead=False):
        generator.generate(encoded, steps=1, **PICTURE)
        assert generator._pipeline.engine.part("diffusion_model").waited > 0
    with open_generator(large, memory="all") as generator:
        generator.generate(encoded, steps=1, **PICTURE)
        assert generator._pipeline.engine.part("diffusion_model").waited == 0
