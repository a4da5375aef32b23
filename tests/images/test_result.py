"""What comes out: pictures keep their pixels and settings on disk, and files appear whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from sdcpp_py import GeneratedImage, GenerationSettings, OutOfMemoryError, OutputError, read_png
from sdcpp_py.images.writing import check_output

from ..settings.test_settings import SETTINGS

SHAPES = st.tuples(st.integers(1, 40), st.integers(1, 40), st.just(3))


PICTURE = GeneratedImage(Image.new("RGB", (8, 8)), GenerationSettings("cat"), {}, {}, "abc")


def picture_of(pixels: np.ndarray, settings: GenerationSettings) -> GeneratedImage:
    return GeneratedImage(Image.fromarray(pixels), settings, {"denoise": 1.5}, {"family": "z-image"}, "abc")


@given(SHAPES.flatmap(lambda shape: arrays.arrays(np.uint8, shape)), SETTINGS)
def test_a_png_keeps_every_pixel_and_setting(
    tmp_path_factory: pytest.TempPathFactory, pixels: np.ndarray, settings: GenerationSettings
) -> None:
    """Whatever the pixels and settings, a saved PNG gives both back exactly."""
    path = tmp_path_factory.getbasetemp() / "any.png"
    picture = picture_of(pixels, settings)
    assert picture.save(path) == path
    with Image.open(path) as read:
        assert np.array_equal(np.asarray(read), pixels)
    assert read_png(path) == picture.metadata
    assert np.array_equal(np.asarray(picture), pixels)
    assert picture.seed == settings.seed


def test_saving_replaces_a_file_whole(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When writing fails half-way, the older file is untouched and nothing else is left behind."""
    picture = picture_of(np.zeros((8, 8, 3), np.uint8), GenerationSettings("cat"))
    picture.save("out.png")
    before = Path("out.png").read_bytes()

    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", fail)
    with pytest.raises(OutputError, match="No space left"):
        picture.save("out.png")
    assert Path("out.png").read_bytes() == before
    assert [path.name for path in work.iterdir()] == ["out.png"]


NAMES = ["a" * 300 + ".png", "b" * 300 + "/a.png", "o\ud800.png", "a\0.png", "a.xyz", "a.blp", "a", "-", "", ".png"]


@pytest.mark.parametrize("name", NAMES)
def test_impossible_names_are_refused(work: Path, name: str) -> None:
    """A name that no file can have, or that names no format for such a picture, is refused before drawing and after."""
    for write in (PICTURE.save, lambda path: check_output(Path(path))):
        with pytest.raises(OutputError):
            write(name)
    assert list(work.iterdir()) == []


@pytest.mark.filterwarnings("ignore:.*deprecated")
def test_a_format_is_known_to_be_writable_before_anything_is_drawn(work: Path) -> None:
    """For every suffix that Pillow knows: what is let through can be saved and is a file then, what is not cannot."""
    suffixes = sorted(Image.registered_extensions())
    writable = 0
    for number, suffix in enumerate(suffixes):
        path = Path(f"{number}{suffix}")
        try:
            check_output(path)
        except OutputError:
            with pytest.raises((KeyError, OSError, ValueError)):
                PICTURE.image.save(path)
            path.unlink(missing_ok=True)
        else:
            PICTURE.save(path)
            assert path.stat().st_size > 0
            writable += 1
    assert 15 < writable < len(suffixes)
    assert len(list(work.iterdir())) == writable


def test_an_error_of_any_kind_while_saving_is_ours(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever Pillow raises over a picture becomes OutputError, a lack of memory OutOfMemoryError; no file is left."""
    for error, expected in ((SystemError("tile"), OutputError), (KeyError("x"), OutputError), (MemoryError(), None)):

        def fail(*_: object, error: Exception = error, **__: object) -> None:
            raise error

        monkeypatch.setattr(Image.Image, "save", fail)
        with pytest.raises(expected or OutOfMemoryError, match=r"out\.png"):
            PICTURE.save("out.png")
    assert list(work.iterdir()) == []


def test_the_longest_name_is_taken(work: Path) -> None:
    """A name of 255 bytes, the most that a file can have, is written."""
    PICTURE.save("a" * 251 + ".png")
    assert len(list(work.iterdir())) == 1


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is unwritable for root; the next test stands in")
def test_an_unwritable_folder_is_refused(work: Path) -> None:
    """A folder in which nothing may be written raises OutputError."""
    work.chmod(0o500)
    with pytest.raises(OutputError, match="nothing may be written"):
        picture_of(np.zeros((8, 8, 3), np.uint8), GenerationSettings("cat")).save("out.png")


def test_a_folder_that_takes_no_files_is_refused() -> None:
    """A folder whose file system takes no files raises OutputError, for root too."""
    for write in (PICTURE.save, lambda path: check_output(Path(path))):
        with pytest.raises(OutputError, match="/proc/self"):
            write("/proc/self/out.png")
