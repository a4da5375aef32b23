"""Pictures written in every way: to paths, buffers and bytes, in every format, with what they say of themselves."""

from __future__ import annotations

import contextlib
import io
import os
import socket
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageShow

from sdcpp_py import (
    GeneratedImage,
    GenerationSettings,
    MetadataError,
    MetadataWarning,
    OutputError,
    read_metadata,
)
from sdcpp_py.cli import main

from ..settings.test_settings import SETTINGS
from ..support.picture_tools import WITH_METADATA, colourful


def picture_of(settings: GenerationSettings | None = None) -> GeneratedImage:
    image = Image.fromarray(colourful(16, 8))
    model = {"family": "z-image", "diffusion_model": "z.gguf"}
    return GeneratedImage(image, settings or GenerationSettings("a cat", seed=7), {"denoise": 1.5}, model, "abc")


PICTURE = picture_of()


@pytest.mark.parametrize("kind", WITH_METADATA)
@given(settings=SETTINGS)
def test_every_format_gives_its_settings_back(kind: str, settings: GenerationSettings) -> None:
    """Whatever the settings, what a PNG, JPEG, WebP or AVIF says of itself is exactly what went in."""
    picture = picture_of(settings)
    data = picture.to_bytes(kind.lower())
    with Image.open(io.BytesIO(data)) as image:
        assert (image.format, image.size) == (kind, (16, 8))
    assert read_metadata(io.BytesIO(data)) == picture.metadata
    assert GenerationSettings.from_image(io.BytesIO(data)) == settings


@pytest.mark.parametrize("suffix", ["jpg", *map(str.lower, WITH_METADATA)])
def test_files_of_every_suffix_give_their_settings_back(
    work: Path, suffix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A saved file is read back by Python and by ``info``."""
    path = PICTURE.save(f"cat.{suffix}")
    assert path == work / f"cat.{suffix}"
    assert GenerationSettings.from_png(path) == PICTURE.settings
    assert main(["info", str(path)]) == 0
    shown = capsys.readouterr().out
    assert "prompt           a cat" in shown
    assert "Steps:" not in shown


def test_options_go_to_pillow() -> None:
    """Quality makes a file larger, lossless keeps every pixel, and an ``exif`` of one's own replaces ours."""
    assert len(PICTURE.to_bytes("JPEG", quality=100)) > len(PICTURE.to_bytes("JPEG", quality=10))
    with Image.open(io.BytesIO(PICTURE.to_bytes("WEBP", lossless=True))) as image:
        assert np.array_equal(np.asarray(image.convert("RGB")), np.asarray(PICTURE))
    with pytest.raises(MetadataError, match="carries no generation settings"):
        read_metadata(io.BytesIO(PICTURE.to_bytes("JPEG", exif=b"")))
    with pytest.raises(OutputError, match="the picture as JPEG cannot be written"):
        PICTURE.to_bytes("JPEG", quality="very high")


@pytest.mark.parametrize("name", ["XYZ", "", ".", "png ", "PALM", "BLP", "\0", 3, None, b"PNG"])
def test_formats_that_are_none_are_refused(work: Path, name: Any) -> None:
    """A format that does not exist, or holds no such picture, is refused by name, and nothing is written."""
    writes: list[Any] = [lambda: PICTURE.to_bytes(name)]
    if name is not None:
        writes += [lambda: PICTURE.save("a.png", name), lambda: PICTURE.save(io.BytesIO(), format=name)]
    for write in writes:
        with pytest.raises(OutputError, match="format"):
            write()
    assert list(work.iterdir()) == []


def test_a_pillow_without_avif_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where Pillow was built without AVIF, the error names what is wanted."""
    monkeypatch.delitem(Image.SAVE, "AVIF", raising=False)
    for write in (lambda: PICTURE.to_bytes("avif"), lambda: PICTURE.save("a.avif")):
        with pytest.raises(OutputError, match=r"this Pillow was built without AVIF, which those from 11\.3 on have"):
            write()


def test_the_format_that_is_given_counts_more_than_the_suffix(work: Path) -> None:
    """A name without suffix is no obstacle where the format is given, and another suffix is left as it is."""
    for name in ("cat", "cat.png"):
        with Image.open(PICTURE.save(name, "webp")) as image:
            assert image.format == "WEBP"


def test_buffers_of_every_kind_take_a_picture(work: Path) -> None:
    """Memory, files raw and buffered, members of archives and sockets, seekable or not, get the whole picture."""
    memory = io.BytesIO(b"before")
    memory.seek(0, io.SEEK_END)
    PICTURE.save(memory)
    assert memory.getvalue() == b"before" + PICTURE.to_bytes()
    for name, kind in (("a.png", "PNG"), ("b.jpg", "JPEG"), ("c", "PNG")):
        for buffering in (0, -1):
            with open(name, "wb", buffering) as file:
                PICTURE.save(file)
                assert not file.closed
            assert Path(name).read_bytes() == PICTURE.to_bytes(kind)
    with zipfile.ZipFile("all.zip", "w") as archive, archive.open("cat.webp", "w") as member:
        PICTURE.save(member, "WEBP")
    with zipfile.ZipFile("all.zip") as archive:
        assert archive.read("cat.webp") == PICTURE.to_bytes("WEBP")
    one, other = socket.socketpair()
    with one, other, one.makefile("wb") as sending:
        PICTURE.save(sending, "PNG")
        sending.flush()
        one.shutdown(socket.SHUT_WR)
        assert other.makefile("rb").read() == PICTURE.to_bytes()


class _Sipping(io.RawIOBase):
    """A raw file that takes a few bytes at once."""

    def __init__(self) -> None:
        self.taken = b""

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.taken += bytes(data)[:7]
        return min(7, len(data))


def test_a_buffer_may_take_its_time() -> None:
    """A raw file that takes part of what it is given is given the rest."""
    buffer = _Sipping()
    PICTURE.save(buffer)
    assert buffer.taken == PICTURE.to_bytes()


class _Failing(io.BytesIO):
    """A file whose ``write`` returns or raises what it is told to."""

    def __init__(self, result: Any) -> None:
        super().__init__()
        self.result = result

    def write(self, data: Any, /) -> Any:
        if isinstance(self.result, Exception):
            raise self.result
        return self.result


def test_buffers_that_are_none_are_refused(work: Path) -> None:
    """Text, closed and read-only files, what fails, and what is no file at all each raise one sentence of ours."""
    Path("there.txt").write_text("hello")
    closed = io.BytesIO()
    closed.close()
    with open("there.txt", "rb") as reading, open("there.txt", "a") as text:
        for buffer, says in (
            (io.StringIO(), "StringIO takes text, and pictures are bytes"),
            (text, r"'there\.txt' takes text"),
            (closed, "BytesIO is closed"),
            (reading, r"'there\.txt' was not opened for writing"),
            (_Failing(OSError(28, "No space left on device")), "cannot be written: No space left"),
            (_Failing(0), "it took 0 of"),
            (_Failing(RuntimeError("gone")), "cannot be written: gone"),
            (3, "not to int"),
            (None, "not to NoneType"),
            (b"a.png", "not to bytes"),
        ):
            with pytest.raises(OutputError, match=says):
                PICTURE.save(buffer)  # type: ignore[arg-type]
    assert Path("there.txt").read_text() == "hello"


def test_a_name_of_no_format_is_refused_for_a_file_too(work: Path) -> None:
    """A file whose name has the suffix of no format is refused, unless the format is given."""
    with open("a.xyz", "wb") as file:
        with pytest.raises(OutputError, match=r"'\.xyz'"):
            PICTURE.save(file)
        PICTURE.save(file, "PNG")
    assert Path("a.xyz").read_bytes() == PICTURE.to_bytes()


LONG = "".join(map(chr, range(0x4E00, 0x4E00 + 8000)))


def test_prompts_that_a_jpeg_cannot_hold_are_said(work: Path) -> None:
    """A JPEG leaves out our exact text where both are too long, and all where one is; the others hold everything."""
    long = picture_of(GenerationSettings(LONG, negative_prompt=LONG))
    for kind in set(WITH_METADATA) - {"JPEG"}:
        assert read_metadata(io.BytesIO(long.to_bytes(kind))) == long.metadata
    with pytest.warns(MetadataWarning, match="too long for all"):
        data = long.to_bytes("JPEG")
    assert read_metadata(io.BytesIO(data)).settings == long.settings
    longer = picture_of(GenerationSettings("🐈" * 8192, negative_prompt="🐈" * 8192))
    with pytest.warns(MetadataWarning, match="says nothing of itself"):
        data = longer.to_bytes("JPEG")
    with pytest.raises(MetadataError, match="carries no generation settings"):
        read_metadata(io.BytesIO(data))


def test_a_file_that_is_there_is_kept_where_that_is_asked(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With ``overwrite=False`` names get numbers, on file systems without hard links too, and nothing else is left."""
    assert PICTURE.save("cat.png", overwrite=False).name == "cat.png"
    Path("cat-2.png").symlink_to("nowhere")
    Path("cat-3.png").mkdir()
    assert PICTURE.save("cat.png", overwrite=False).name == "cat-4.png"

    def no_links(*_: object, **named: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_links)
    assert PICTURE.save("cat.png", overwrite=False).name == "cat-5.png"
    assert PICTURE.save("dog.png", overwrite=False).name == "dog.png"
    assert len(list(work.iterdir())) == 6
    assert PICTURE.save("cat.png").name == "cat.png"
    name = "a" * 251 + ".png"
    assert [PICTURE.save(name, overwrite=False).name for _ in range(2)] == [name, "a" * 249 + "-2.png"]


@pytest.mark.parametrize("links", [True, False])
def test_two_that_want_one_name_get_two(work: Path, monkeypatch: pytest.MonkeyPatch, links: bool) -> None:
    """A file that another process makes just before a picture gets its name is not touched."""
    place = os.link
    tries: list[Any] = []

    def late(source: Any, target: Any, **named: Any) -> None:
        if not tries:
            Path(target).write_text("theirs")
        tries.append(target)
        if not links:
            raise OSError(95, "Operation not supported")
        place(source, target, **named)

    monkeypatch.setattr(os, "link", late)
    assert PICTURE.save("cat.png", overwrite=False).name == "cat-2.png"
    assert Path("cat.png").read_text() == "theirs"
    assert sorted(path.name for path in work.iterdir()) == ["cat-2.png", "cat.png"]


class _Seeing(ImageShow.Viewer):
    """A viewer that keeps what it is shown."""

    def show_file(self, path: str, **_: Any) -> int:
        self.path = Path(path)
        return 1


def test_a_picture_is_shown_with_its_settings(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The viewer gets a PNG that says what it was drawn with; without one, that is an error of ours."""
    monkeypatch.setattr("tempfile.tempdir", str(work))
    viewer = _Seeing()
    monkeypatch.setattr(ImageShow, "_viewers", [viewer])
    PICTURE.show()
    assert read_metadata(viewer.path) == PICTURE.metadata
    viewer.path.unlink()
    monkeypatch.setattr(ImageShow, "_viewers", [])
    with pytest.raises(OutputError, match="no program here that shows pictures"):
        PICTURE.show()
    assert list(work.iterdir()) == []


@given(st.binary(max_size=64))
def test_any_exif_of_ones_own_is_written_or_refused(block: bytes) -> None:
    """Whatever bytes are given as ``exif``, writing and reading raise errors of ours alone."""
    for kind in WITH_METADATA:
        with contextlib.suppress(OutputError, MetadataError):
            read_metadata(io.BytesIO(PICTURE.to_bytes(kind, exif=block)))
