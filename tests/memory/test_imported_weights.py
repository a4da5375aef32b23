"""Weights in memory of the process that a GPU imports: the same picture, the same bytes, and no GPU needs to take them.

The GPU is one by name, whose work the CPU does: it imports what it is given, as ggml's CPU module does.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sdcpp_py import Generator
from sdcpp_py._native.library import device_usage, lib
from sdcpp_py.memory.plan import Stay
from sdcpp_py.synth import SyntheticSet
from tests.conftest import copied, open_generator
from tests.support.laptops import LAPTOPS, pretended
from tests.support.patience import all_closed
from tests.support.reading import reading

BOTH = ("cpu", "vulkan0")
PICTURE: dict[str, Any] = {"width": 64, "height": 64, "steps": 2, "seed": 5}
PROMPT = "a cat in memory that is imported"


@pytest.fixture
def model(model: SyntheticSet, tmp_path: Path) -> SyntheticSet:
    """The same files in a folder of their own: weights that another test's generator holds would be shared."""
    return copied(model, tmp_path / "model")


@pytest.fixture(autouse=True)
def imports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine with an integrated GPU, for which weights are to be imported, that takes them."""
    pretended(monkeypatch, tmp_path, LAPTOPS["16 GB, 13 free, heaps of 7.92"])
    monkeypatch.setenv("SDCPP_PY_WEIGHTS", "imported")
    lib.sdpy_refuse_imports(False)
    yield
    lib.sdpy_refuse_imports(False)


def opened(files: SyntheticSet, **arguments: Any) -> Generator:
    parts = files.diffusion_model, files.text_encoder, files.vae
    return Generator(*parts, device="vulkan0", cache_prompts=False, isolation="thread", **arguments)


def imported_bytes() -> int:
    """Of this process: no other memory of it is left out of a fork."""
    total = size = 0
    for line in Path("/proc/self/smaps").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == "Size":
            size = int(value.split()[0]) << 10
        elif name == "VmFlags" and "dc" in value.split():
            total += size
    return total


def expected(files: SyntheticSet) -> np.ndarray[Any, Any]:
    with open_generator(files, cache_prompts=False, memory="all") as generator:
        return np.asarray(generator.generate(PROMPT, **PICTURE))


def test_all_weights_lie_where_the_device_imports_them(model: SyntheticSet) -> None:
    """They are counted once, to the byte as they were planned, and are gone with their generator."""
    right = expected(model)
    all_closed()
    others, before = device_usage("cpu").bytes, imported_bytes()
    with opened(model, memory="all") as generator:
        plan = generator.plan(width=64, height=64)
        assert np.array_equal(np.asarray(generator.generate(PROMPT, **PICTURE)), right)
        held = sum(generator.weight_bytes.values())
        assert imported_bytes() - before == held == device_usage("cpu").bytes - others > 1 << 20
        assert held == sum(part.need.weights for part in plan.parts)
    assert (imported_bytes(), device_usage("cpu").bytes) == (before, others)


@pytest.mark.parametrize("ahead", [True, False])
def test_imported_weights_are_evicted_and_streamed_as_others(model: SyntheticSet, ahead: bool) -> None:
    """In the least memory blocks are read into imported places: no more bytes than the limit, and the same picture."""
    right = expected(model)
    with opened(model, memory="all") as generator:
        limit = generator.plan(width=64, height=64).least(BOTH) + (1 << 16)
    all_closed()
    others, before = device_usage("cpu", reset=True).bytes, imported_bytes()
    with reading(ahead=ahead), opened(model, memory=limit) as generator:
        plan = generator.plan(width=64, height=64)
        assert Stay.STREAMED in {part.stay for part in plan.parts}
        assert np.array_equal(np.asarray(generator.generate(PROMPT, **PICTURE)), right)
        assert imported_bytes() - before == sum(generator.weight_bytes.values()) > 0
    assert device_usage("cpu").most_bytes - others <= limit
    assert imported_bytes() == before


def test_engines_share_what_one_of_them_imported(model: SyntheticSet) -> None:
    """A second generator, also one that imports nothing itself, has the same bytes; the last one frees them."""
    right, before = expected(model), imported_bytes()
    with opened(model, memory="all") as first:
        first.generate(PROMPT, **PICTURE)
        there = imported_bytes()
        with open_generator(model, cache_prompts=False, memory="all") as second:
            assert np.array_equal(np.asarray(second.generate(PROMPT, **PICTURE)), right)
            assert imported_bytes() == there > before
            first.close()
            assert np.array_equal(np.asarray(second.generate(PROMPT, **PICTURE)), right)
    assert imported_bytes() == before


def test_a_driver_that_imports_nothing_is_no_error(model: SyntheticSet, caplog: pytest.LogCaptureFixture) -> None:
    """Weights are uploaded where imports are refused: the same picture, and one line in the log for the device."""
    right, before = expected(model), imported_bytes()
    lib.sdpy_refuse_imports(True)
    with caplog.at_level(logging.WARNING), opened(model, memory="all") as generator:
        assert np.array_equal(np.asarray(generator.generate(PROMPT, **PICTURE)), right)
        assert imported_bytes() == before
        held = sum(generator.weight_bytes.values())
        assert held <= sum(part.need.weights for part in generator.plan(width=64, height=64).parts)
    assert ["such weights are uploaded" in line for line in caplog.messages].count(True) == 1
