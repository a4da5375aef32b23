"""A denoiser's attention, a few heads at a time."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from sdcpp_py import Generator
from sdcpp_py._native.library import lib
from sdcpp_py.preflight.named_files import files_named
from sdcpp_py.preflight.plan_files import plan_files
from sdcpp_py.synth import SyntheticSet
from tests.conftest import open_generator

USUAL_ROOM = 64 << 20


@pytest.fixture(autouse=True)
def usual_room() -> Iterator[None]:
    """What one test sets is not found by the next."""
    yield
    lib.sdpy_set_attention_room(USUAL_ROOM)


def drawn(generator: Generator, room: int) -> np.ndarray:
    lib.sdpy_set_attention_room(room)
    return np.asarray(generator.generate("a cat", width=128, height=64, steps=2, cfg_scale=2.0, seed=1))


@pytest.mark.sample(1)
@pytest.mark.parametrize("files", ["klein", "z_image"])
def test_heads_apart_change_no_bit(files: str, request: pytest.FixtureRequest) -> None:
    """One head after the other, in both kinds of blocks, gives the picture of all heads at once."""
    model: SyntheticSet = request.getfixturevalue(files)
    with open_generator(model) as generator:
        assert np.array_equal(drawn(generator, 1), drawn(generator, 1 << 40))


@pytest.mark.slow
def test_the_tiny_model_draws_the_same() -> None:
    """The trained model too, to the last bit."""
    with Generator.from_pretrained("tiny", device="cpu") as generator:
        assert np.array_equal(drawn(generator, 1), drawn(generator, 1 << 40))


@pytest.mark.parametrize("name", ["klein-4b", "z-image-turbo"])
def test_large_pictures_need_less(name: str) -> None:
    """At 1024x1024 the working buffer is less than half of what all heads at once take, and the graph has room."""
    working = []
    with files_named(name, "Q4_K", hollow=True) as found:
        for room in (1 << 40, USUAL_ROOM):
            lib.sdpy_set_attention_room(room)
            plan = plan_files(found.files, width=1024, height=1024, memory="all", device="cpu")
            working.append(plan.part("diffusion_model").need.working)
    assert working[1] < working[0] / 2


def test_the_largest_picture_can_be_planned() -> None:
    """At 4096x4096, where every head takes 17 GiB, the parts are still few enough for the engine's graphs."""
    with files_named("klein-4b", "Q4_K", hollow=True) as found:
        plan = plan_files(found.files, width=4096, height=4096, memory="all", device="cpu")
    assert plan.part("diffusion_model").need.working > 16 << 30
