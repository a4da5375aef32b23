"""Weights of engines in processes of their own: of equal files in memory once, for as long as one of them has them."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sdcpp_py import EngineCrashedError, Generator, Phase, Progress
from sdcpp_py.pipeline.isolation import common_memory, process
from sdcpp_py.pipeline.isolation.remote_engine import RemoteEngine
from sdcpp_py.synth import SyntheticSet

from ..conftest import copied

SMALL: dict[str, Any] = {"width": 64, "height": 64, "steps": 2, "seed": 1}
# Beside weights: the table of what is where, and names of weights.
TABLE = 1 << 20

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="engines have processes of their own on Linux alone")


@pytest.fixture
def files(model: SyntheticSet, tmp_path: Path) -> SyntheticSet:
    """Files that no generator of another test has."""
    return copied(model, tmp_path / "model")


@pytest.fixture(autouse=True)
def own_memory(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Memory in common that the processes of other tests do not have."""
    monkeypatch.setattr(common_memory, "_file", None)
    yield
    process.reap(10)
    if common_memory._file is not None:
        os.close(common_memory._file)


def opened(files: SyntheticSet, **arguments: Any) -> Generator:
    parts = files.diffusion_model, files.text_encoder, files.vae
    return Generator(*parts, device="cpu", isolation="process", threads=1, **arguments)


def bytes_in_common() -> int:
    """Bytes of memory that the file takes, whoever has them."""
    file = common_memory.common_file()
    assert file is not None
    return os.fstat(file).st_blocks * 512


def pid_of(generator: Generator) -> int:
    engine = generator._pipeline.engine
    assert isinstance(engine, RemoteEngine)
    return engine.pid


def kill(generator: Generator) -> None:
    """Ends the engine's process, and waits until that is known."""
    engine = generator._pipeline.engine
    os.kill(pid_of(generator), signal.SIGKILL)
    while not engine.broken:
        time.sleep(0.01)
    process.reap(10)


def maps_of(generator: Generator) -> list[list[str]]:
    """What of the memory in common the engine's process has: a range, its rights and so on."""
    lines = Path(f"/proc/{pid_of(generator)}/maps").read_text(encoding="utf-8").splitlines()
    return [line.split() for line in lines if "memfd:sdcpp_py" in line]


def pixels(generator: Generator, **arguments: Any) -> np.ndarray:
    return np.asarray(generator.generate("cat", **{**SMALL, **arguments}))


@pytest.fixture
def expected(generator: Generator) -> np.ndarray:
    """The picture of an engine in a thread."""
    return pixels(generator)


def test_weights_of_equal_files_are_in_memory_once(files: SyntheticSet, expected: np.ndarray) -> None:
    """A second generator takes no more memory for them, reads nothing, and draws the same picture."""
    with opened(files) as one:
        assert np.array_equal(pixels(one), expected)
        held = sum(one.weight_bytes.values())
        alone = bytes_in_common()
        assert held <= alone <= held + TABLE
        heard: list[Progress] = []
        with opened(files, on_progress=heard.append) as other:
            assert np.array_equal(pixels(other), expected)
            assert other.weight_bytes == one.weight_bytes
            assert bytes_in_common() == alone
            assert {progress.bytes_total for progress in heard if progress.phase is Phase.LOAD} <= {0}


def test_what_nobody_has_is_free(files: SyntheticSet) -> None:
    """Weights stay for those who have them when another is closed, and go with the last."""
    with opened(files) as other:
        with opened(files) as one:
            pixels(one)
            first = pixels(other)
            alone = bytes_in_common()
        assert bytes_in_common() == alone
        assert np.array_equal(pixels(other), first)
    assert bytes_in_common() <= TABLE


def test_processes_that_are_killed_leave_nothing(files: SyntheticSet, expected: np.ndarray) -> None:
    """One is killed: the other goes on with its weights. Both are: their memory is free, and is had anew."""
    with opened(files) as one, opened(files) as other:
        assert np.array_equal(pixels(one), pixels(other))
        alone = bytes_in_common()
        kill(one)
        assert np.array_equal(pixels(other), expected)
        assert bytes_in_common() == alone
        kill(other)
        assert bytes_in_common() <= TABLE
        assert np.array_equal(pixels(one), expected)
        assert np.array_equal(pixels(other), expected)
        assert TABLE < bytes_in_common() < alone  # the prompt's states were kept, and need no weights


def test_nobody_can_write_to_them(files: SyntheticSet) -> None:
    """What another process reads is read-only, in the process that has read it from the file too."""
    with opened(files) as one, opened(files) as other:
        pixels(one)
        pixels(other)
        for generator in (one, other):
            weights = [rights for _, rights, offset, *_ in maps_of(generator) if int(offset, 16) >= TABLE]
            assert weights
            assert set(weights) == {"r--s"}


def test_a_process_that_ends_while_it_reads(files: SyntheticSet, expected: np.ndarray) -> None:
    """Weights that were not read to their end are nobody's: the next process reads them."""
    before = list(process._running)

    def kill_who_reads(progress: Progress) -> None:
        if progress.phase is Phase.LOAD and progress.fraction < 1:
            for one in process._running:
                if one not in before:
                    one.kill()

    with pytest.raises(EngineCrashedError):
        opened(files, on_progress=kill_who_reads)
    with opened(files) as other:
        assert np.array_equal(pixels(other), expected)


def test_processes_that_begin_at_once_read_once(files: SyntheticSet, expected: np.ndarray) -> None:
    """Each waits for what another is just reading."""
    with opened(files) as one:
        pixels(one)
        alone = bytes_in_common()
    generators = [opened(files) for _ in range(3)]
    try:
        found: list[np.ndarray] = []
        threads = [threading.Thread(target=lambda own=own: found.append(pixels(own))) for own in generators]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(found) == 3
        assert all(np.array_equal(picture, expected) for picture in found)
        assert bytes_in_common() == alone
    finally:
        for own in generators:
            own.close()


def test_other_files_have_memory_of_their_own(files: SyntheticSet, expected: np.ndarray) -> None:
    """A file that was written anew is another: nobody gets the old bytes."""
    with opened(files) as one:
        pixels(one)
        alone = bytes_in_common()
        held = one.weight_bytes
        time.sleep(0.01)  # a file's time may be that of the kernel's last tick
        copy = Path(shutil.copy(files.diffusion_model, files.diffusion_model.with_suffix(".copy")))
        copy.replace(files.diffusion_model)
        with opened(files) as other:
            assert np.array_equal(pixels(other), expected)
            more = bytes_in_common() - alone
            assert held["diffusion_model"] <= more <= held["diffusion_model"] + TABLE


def test_without_such_memory_each_has_its_own(
    files: SyntheticSet, expected: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the system gives no file in memory, pictures are the same."""
    monkeypatch.setattr(common_memory, "open_in_memory", lambda: None)
    with opened(files) as one, opened(files) as other:
        assert np.array_equal(pixels(one), expected)
        assert np.array_equal(pixels(other), expected)
        assert maps_of(one) == []
        assert one.weight_bytes == other.weight_bytes
