"""The store that all engines of the process take their weights from."""

from __future__ import annotations

from pathlib import Path

from sdcpp_py import Generator
from sdcpp_py._native.library import lib
from sdcpp_py.synth import write_set

from ..conftest import open_generator
from ..support.patience import all_closed


def test_a_file_is_forgotten_with_its_last_weights(tmp_path: Path) -> None:
    """Files that no generator has in memory any more leave nothing behind; until then they are shared."""
    all_closed()  # what other tests only let go of too
    before = lib.sdpy_shelf_count()
    for seed in range(3):
        files = write_set("tiny-z-image", tmp_path / str(seed), quant="Q8_0", seed=seed)
        first, second = open_generator(files), open_generator(files)
        assert lib.sdpy_shelf_count() == before + 3
        first.close()
        assert lib.sdpy_shelf_count() == before + 3
        second.generate("a cat", width=64, height=64, steps=1)
        second.close()
        assert lib.sdpy_shelf_count() == before


def test_planning_leaves_no_trace(tmp_path: Path) -> None:
    """Asking what would have to be read knows of files only while it asks."""
    files = write_set("tiny-z-image", tmp_path, quant="Q8_0", seed=9)
    all_closed()
    before = lib.sdpy_shelf_count()
    arguments = (files.diffusion_model, files.text_encoder, files.vae)
    with Generator(*arguments, device="cpu", memory="64MiB") as generator:
        generator.plan(width=64, height=64)
    assert lib.sdpy_shelf_count() == before
