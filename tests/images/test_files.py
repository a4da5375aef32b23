"""Opening pictures, to draw from them or to read what they say: with the same care, and whatever texts they carry."""

from __future__ import annotations

import io
import os
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from sdcpp_py import (
    GenerationSettings,
    ImageError,
    ImageNotFoundError,
    MetadataError,
    MetadataNotFoundError,
    MetadataWarning,
    SdcppError,
    read_png,
)
from sdcpp_py.cli import main
from sdcpp_py.image_files import read_texts
from sdcpp_py.image_files.png_chunks import MAX_TEXT_BYTES, for_pillow
from sdcpp_py.images.loading import to_pixels
from tests.support.examples import examples

from ..support.picture_tools import colourful, png_with_chunks, read_damaged

COMMON = b"parameters\0a barn\nSteps: 5"
READERS: list[Callable[[str], object]] = [to_pixels, read_png, GenerationSettings.from_png]


def packed_text(name: bytes, size: int) -> tuple[bytes, bytes]:
    """An iTXt chunk of letters that unpacks to that many bytes."""
    return b"iTXt", name + b"\0\1\0\0\0" + zlib.compress(b"x" * size)


PROFILE = (b"iCCP", b"camera\0\0" + zlib.compress(bytes(2_000_000)))


# --- what must not be opened


@pytest.mark.parametrize("reader", READERS)
def test_every_reader_opens_only_files_of_pictures(
    work: Path, reader: Callable[[str], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pipe is not waited for, Ghostscript is not started, and all else that is no picture is an error of ours."""
    os.mkfifo("pipe.png")
    Path("folder.png").mkdir()
    Path("text.png").write_text("hello")
    Path("empty.png").touch()
    Path("drawing.png").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n%%EOF\n")
    Path("bare.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    monkeypatch.setattr("PIL.EpsImagePlugin.Ghostscript", lambda *_, **__: pytest.fail("Ghostscript was started"))
    kinds = (ImageError, MetadataError)
    for name in ("pipe", "folder", "text", "empty", "drawing", "bare"):
        with pytest.raises(kinds, match=rf"{name}\.png"):
            reader(f"{name}.png")
    for name in ("a\0.png", "\ud800.png", "a" * 300, ""):
        with pytest.raises(kinds):
            reader(name)
    for name in ("missing.png", "text.png/a.png"):
        with pytest.raises((ImageNotFoundError, MetadataNotFoundError), match=name):
            reader(name)


@pytest.mark.parametrize("name", ["pipe.png", "drawing.png"])
def test_info_opens_only_files_of_pictures(work: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """``info`` ends with 1 and one line over a pipe and an EPS, whatever they are called."""
    os.mkfifo("pipe.png")
    Path("drawing.png").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n%%EOF\n")
    assert main(["info", name]) == 1
    error = capsys.readouterr().err
    assert name in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("reader", [read_png, GenerationSettings.from_png])
def test_what_is_no_path_is_an_error_of_ours(reader: Callable[[object], object]) -> None:
    """Numbers and None, which are neither path nor open file, raise MetadataError."""
    for value in (3, None, ["a.png"]):
        with pytest.raises(MetadataError, match=type(value).__name__):
            reader(value)


# --- texts and profiles that are large


@pytest.mark.parametrize("after", [False, True])
def test_a_picture_is_drawn_from_whatever_its_texts_weigh(work: Path, after: bool) -> None:
    """Texts and a profile that unpack to more than Pillow allows, before the pixels or after, change no pixel."""
    chunks = [packed_text(b"workflow", 2_000_000), (b"tEXt", COMMON), (b"zTXt", b"broken\0\0not zlib")]
    chunks += [(b"tEXt", b"plain\0" + b"y" * 3_000_000)] + ([] if after else [PROFILE])
    Path("heavy.png").write_bytes(png_with_chunks(*chunks, after=after))
    assert np.array_equal(to_pixels("heavy.png"), colourful(16, 8))
    assert np.array_equal(to_pixels(Path("heavy.png")), colourful(16, 8))


@pytest.mark.parametrize("after", [False, True])
def test_settings_are_read_beside_large_texts(work: Path, after: bool) -> None:
    """A workflow of 2 MB hides no settings, and is read; a text that unpacks to gigabytes is named and left."""
    bomb = (b"zTXt", b"bomb\0\0" + zlib.compress(bytes(MAX_TEXT_BYTES + 1), 9))
    chunks = (PROFILE, packed_text(b"workflow", 2_000_000), bomb, (b"tEXt", COMMON))
    Path("heavy.png").write_bytes(png_with_chunks(*chunks, after=after))
    texts = read_texts("heavy.png")
    assert texts.by_name == {"workflow": "x" * 2_000_000, "parameters": "a barn\nSteps: 5"}
    assert texts.unread == {"bomb": "it is too large"}
    with pytest.warns(MetadataWarning, match="'bomb' cannot be read: it is too large"):
        assert GenerationSettings.from_png("heavy.png") == GenerationSettings("a barn", steps=5)


def test_texts_may_be_damaged(work: Path) -> None:
    """A text with a wrong checksum, one that does not unpack and one cut short are named, and the others are read."""
    data = png_with_chunks((b"tEXt", b"wrong\0sum"), (b"zTXt", b"broken\0\0not zlib"), (b"tEXt", COMMON))
    data = data.replace(b"wrong\0sum", b"wrong\0gum")
    Path("damaged.png").write_bytes(data)
    texts = read_texts("damaged.png")
    assert texts.by_name == {"parameters": "a barn\nSteps: 5"}
    assert texts.unread == {"wrong": "its checksum is wrong", "broken": "it is damaged"}
    Path("cut.png").write_bytes(png_with_chunks((b"tEXt", COMMON), (b"tEXt", b"end\0of it"), after=True)[:-20])
    assert read_texts("cut.png").by_name == {"parameters": "a barn\nSteps: 5"}
    assert read_texts("cut.png").unread == {"end": "the file ends within it"}


def test_settings_are_read_without_decoding_the_picture(work: Path) -> None:
    """A picture whose pixels are not all there, or that has more than can be read, still says what it says."""
    data = png_with_chunks((b"tEXt", COMMON))
    Path("cut.png").write_bytes(data[: data.index(b"IDAT") + 20])
    assert read_png("cut.png").settings.steps == 5
    assert data[16:24] == b"\0\0\0\x10\0\0\0\x08"
    Path("giant.png").write_bytes(data[:16] + b"\0\1\0\0" * 2 + data[24:])
    assert read_png("giant.png").settings.steps == 5


def test_chunks_without_end_are_refused(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of empty chunks is given up on, by every reader."""
    monkeypatch.setattr("sdcpp_py.image_files.png_chunks._MAX_CHUNKS", 50)
    Path("endless.png").write_bytes(png_with_chunks(*[(b"teSt", b"")] * 60))
    for reader in READERS:
        with pytest.raises(SdcppError, match="more than 50 chunks"):
            reader("endless.png")


@pytest.mark.parametrize(
    "chunk",
    [
        (b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(b"\nexif\n  32\n" + (
            b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0").hex().encode())),
        (b"iTXt", b'XML:com.adobe.xmp\0\0\0\0\0<x:xmpmeta><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'),
    ],
    ids=["exif", "xmp"],
)  # fmt: skip
def test_texts_that_say_which_way_is_up_are_kept(work: Path, chunk: tuple[bytes, bytes]) -> None:
    """The orientation that older programs write as a text turns the picture, as Pillow turns it."""
    Path("turned.png").write_bytes(png_with_chunks(chunk))
    assert to_pixels("turned.png").shape == (16, 8, 3)


CHUNKS = st.tuples(
    st.sampled_from([b"tEXt", b"zTXt", b"iTXt", b"iCCP", b"teSt", b"gAMA", b"eXIf"]), st.binary(max_size=40)
)


@given(st.lists(CHUNKS, max_size=5), st.booleans(), st.data())
@settings(max_examples=examples(60))
def test_any_chunks_are_read_or_refused(chunks: list[tuple[bytes, bytes]], after: bool, data: st.DataObject) -> None:
    """Whatever chunks a file has, and wherever it is cut or changed, readers raise only errors of ours."""
    content = png_with_chunks(*chunks, after=after)
    texts = read_texts(io.BytesIO(content))
    count = sum(kind in (b"tEXt", b"zTXt", b"iTXt") for kind, _ in chunks)
    assert len(texts.by_name) + len(texts.unread) <= count
    assert bool(texts.by_name or texts.unread) == bool(count)
    read_damaged(content, data, whole=8)


@given(st.lists(CHUNKS, max_size=5), st.lists(st.tuples(st.integers(0, 500), st.integers(0, 300)), max_size=6))
@settings(max_examples=examples(60))
def test_a_file_without_its_texts_reads_like_one(
    chunks: list[tuple[bytes, bytes]], reads: list[tuple[int, int]]
) -> None:
    """At every place, what is read is what a file has that never had texts or a profile."""
    whole = png_with_chunks(*[chunk for chunk in chunks if chunk[0] not in (b"tEXt", b"zTXt", b"iTXt", b"iCCP")])
    stream = for_pillow(io.BytesIO(png_with_chunks(*chunks)))
    for place, count in reads:
        stream.seek(place)
        assert stream.read(count) == whole[place : place + count]
    assert stream.seek(0, io.SEEK_END) == len(whole)
    stream.seek(0)
    assert stream.read() == whole


def test_other_kinds_carry_no_settings_and_are_opened(work: Path) -> None:
    """A JPEG, GIF, TIFF or WebP is a picture without settings, not something that cannot be read."""
    for suffix in ("jpg", "gif", "tiff", "webp"):
        Image.new("RGB", (8, 8)).save(f"a.{suffix}")
        with pytest.raises(MetadataError, match="carries no generation settings"):
            read_png(f"a.{suffix}")
