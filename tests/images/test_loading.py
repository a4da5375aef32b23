"""Pictures that users hand in: every kind becomes the right bytes, and what is no picture is named."""

from __future__ import annotations

import contextlib
import io
import os
import struct
import time
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image, ImageOps

from sdcpp_py.errors import ImageError, ImageNotFoundError, OutOfMemoryError, SettingsError
from sdcpp_py.images.loading import check_mask, composited, extend, to_mask, to_pixels
from tests.support.examples import examples

EDGES = st.integers(1, 24)
PICTURES = st.tuples(EDGES, EDGES, st.just(3)).flatmap(lambda shape: arrays.arrays(np.uint8, shape))
MASKS = st.tuples(EDGES, EDGES).flatmap(lambda shape: arrays.arrays(np.uint8, shape))


def sample(width: int = 24, height: int = 16) -> Image.Image:
    """A picture no two corners of which look alike."""
    y, x = np.mgrid[0:height, 0:width]
    return Image.fromarray(np.stack([x * 10, y * 15, (x + 2 * y) * 4], axis=-1).astype(np.uint8))


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def png(width: int, height: int, depth: int, colours: int, rows: bytes) -> bytes:
    """A PNG file made by hand."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, depth, colours, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


# --- arrays


@given(PICTURES)
def test_an_array_keeps_its_bytes(pixels: np.ndarray) -> None:
    """An array of pixels, and a PIL image of it, and whatever holds that image come out with the same bytes."""
    image = Image.fromarray(pixels)
    for given_ in (pixels, image, SimpleNamespace(image=image)):
        taken = to_pixels(given_)
        assert taken.dtype == np.uint8
        assert taken.flags.c_contiguous
        assert np.array_equal(taken, pixels)


@given(MASKS)
def test_a_mask_keeps_its_bytes(mask: np.ndarray) -> None:
    """A grey mask comes out as it is, from an array or a PIL image; as a picture it has three equal colours."""
    assert np.array_equal(to_mask(mask), mask)
    assert np.array_equal(to_mask(Image.fromarray(mask)), mask)
    assert np.array_equal(to_pixels(mask), np.stack([mask] * 3, axis=-1))


@given(MASKS)
def test_a_mask_of_bool_is_black_and_white(mask: np.ndarray) -> None:
    """True is white, False is black."""
    assert np.array_equal(to_mask(mask > 99), np.where(mask > 99, 255, 0))


def test_arrays_need_not_be_contiguous() -> None:
    """A slice, a mirrored and a transposed array are read as they look, and the array is not kept."""
    pixels = np.asarray(sample()).copy()
    for view in (pixels[::2, ::3], pixels[:, ::-1], pixels.transpose(1, 0, 2), np.asfortranarray(pixels)):
        assert np.array_equal(to_pixels(view), view)
    taken = to_pixels(pixels)
    pixels[:] = 0
    assert taken.any()


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (np.zeros((8, 8, 3), np.float32), "float32 of shape (8, 8, 3); from 0 .. 1: (array * 255).round()"),
        (np.zeros((3, 8, 8), np.uint8), "move the colours last: array.transpose(1, 2, 0)"),
        (np.zeros((4, 8, 8), np.float64), "array.transpose(1, 2, 0)"),
        (np.zeros((8, 8, 3), np.int64), "not int64 of shape (8, 8, 3)"),
        (np.zeros((8, 8, 3), np.uint16), "not uint16"),
        (np.zeros((8, 8, 3), bool), "not bool"),
        (np.zeros((8, 8, 3), object), "not object"),
        (np.zeros((1, 8, 8, 3), np.uint8), "shape (1, 8, 8, 3)"),
        (np.zeros((8, 8, 2), np.uint8), "shape (8, 8, 2)"),
        (np.zeros((8,), np.uint8), "shape (8,)"),
        (np.uint8(3), "not uint8"),
        (np.zeros((0, 8, 3), np.uint8), "no pixels"),
        (np.zeros((8, 0), np.uint8), "no pixels"),
        (None, "not NoneType"),
        (b"cat.png", "not bytes"),
        ([[1, 2], [3, 4]], "not list"),
        (io.BytesIO(), "not BytesIO"),
        (SimpleNamespace(image=7), "not int"),
    ],
    ids=lambda each: each if isinstance(each, str) else type(each).__name__,
)
def test_what_is_no_picture_is_named(value: object, says: str) -> None:
    """Another type, shape or dtype raises SettingsError with the name, what was given, and what is wanted."""
    for take in (to_pixels, to_mask):
        with pytest.raises(SettingsError) as caught:
            take(value, "init_image")  # type: ignore[arg-type]
        assert "init_image" in str(caught.value)
        assert says in str(caught.value)


# --- modes


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBX", "CMYK", "YCbCr", "LAB", "HSV"])
def test_modes_without_transparency_are_as_pillow_has_them(mode: str) -> None:
    """A PIL image of a mode without transparency looks as Pillow's own conversion says; a mask is its luminance."""
    image = sample().convert("RGB").convert(mode) if mode != "LAB" else lab()
    assert np.array_equal(to_pixels(image), np.asarray(image.convert("RGB")))
    assert np.array_equal(to_mask(image), np.asarray(image.convert("RGB").convert("L")))


def lab() -> Image.Image:
    image = Image.new("LAB", (4, 3), (150, 20, 230))
    image.putpixel((0, 0), (40, 200, 90))
    return image


@pytest.mark.parametrize("mode", ["LA", "La", "PA", "RGBA", "RGBa"])
def test_transparency_is_laid_on_white_and_in_masks_on_black(mode: str) -> None:
    """What is transparent is white in a picture and black in a mask; what is not, is as it was."""
    image = Image.new("LA", (3, 1), (120, 255))
    image.putpixel((1, 0), (120, 0))
    image.putpixel((2, 0), (100, 51))
    if mode == "PA":  # Pillow's conversion forgets the opacity
        image, opacity = image.convert("L").convert("P"), image.getchannel("A")
        image.putalpha(opacity)
    elif mode != "LA":
        image = image.convert(mode) if mode in ("RGBA", "La") else image.convert("RGBA").convert(mode)
    assert image.mode == mode
    pixels, mask = to_pixels(image), to_mask(image)
    assert pixels[0, :, 0].tolist() == pytest.approx([120, 255, 224], abs=2)
    assert mask[0].tolist() == pytest.approx([120, 0, 20], abs=2)
    assert (pixels[0, :2, 0].tolist(), mask[0, :2].tolist()) == ([120, 255], [120, 0])


def test_an_array_with_alpha_is_laid_on_white() -> None:
    """The fourth colour of an array is its opacity."""
    pixels = np.array([[[10, 20, 30, 255], [10, 20, 30, 0], [0, 0, 0, 51]]], np.uint8)
    assert to_pixels(pixels).tolist() == [[[10, 20, 30], [255, 255, 255], [204, 204, 204]]]
    assert to_mask(pixels)[0, 1] == 0


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB"])
def test_a_transparent_colour_is_white(mode: str, tmp_path: Path) -> None:
    """A PNG that names one colour as transparent has white there."""
    image = Image.new("RGB", (2, 1), "black").convert(mode)
    image.putpixel((1, 0), (255, 0, 0) if mode == "RGB" else 255)
    image.save(tmp_path / "a.png", transparency=image.getpixel((0, 0)))
    assert to_pixels(tmp_path / "a.png")[0, 0].tolist() == [255, 255, 255]
    assert to_mask(tmp_path / "a.png")[0, 0] == 0


def test_a_palette_may_be_half_transparent(tmp_path: Path) -> None:
    """A palette with an opacity for every colour is laid on white colour by colour."""
    image = Image.new("P", (2, 1))
    image.putpalette([0, 0, 0, 200, 100, 0])
    image.putpixel((1, 0), 1)
    image.save(tmp_path / "a.png", transparency=bytes([51, 255]))
    assert to_pixels(tmp_path / "a.png").tolist() == [[[204, 204, 204], [200, 100, 0]]]


def test_sixteen_bits_become_eight(tmp_path: Path) -> None:
    """A grey PNG of 16 bits, and images in Pillow's modes for them, have their values divided by 257, rounded."""
    values = np.array([[0, 128, 129, 257, 30000, 65406, 65407, 65535]], np.uint16)
    wanted = [0, 0, 1, 1, 117, 254, 255, 255]
    (tmp_path / "deep.png").write_bytes(png(8, 1, 16, 0, b"\0" + values.astype(">u2").tobytes()))
    deep = Image.fromarray(values)
    for picture in (tmp_path / "deep.png", deep, Image.fromarray(values.astype(np.int32))):
        assert to_mask(picture)[0].tolist() == wanted
        assert to_pixels(picture)[0, :, 2].tolist() == wanted
    big = Image.frombytes("I;16B", (8, 1), values.astype(">u2").tobytes())
    assert to_mask(big)[0].tolist() == wanted


@pytest.mark.parametrize(
    ("image", "says"),
    [
        (Image.new("F", (2, 2)), "mode F"),
        (Image.fromarray(np.array([[-1, 5]], np.int32)), "values from -1 to 5"),
        (Image.fromarray(np.array([[0, 65536]], np.int32)), "values from 0 to 65536"),
        (Image.new("RGB", (0, 5)), "0 x 5 pixels"),
        (Image.new("L", (16385, 1)), "16385 x 1 pixels"),
    ],
    ids=["F", "below", "above", "empty", "long"],
)
def test_an_image_that_cannot_be_used_is_named(image: Image.Image, says: str) -> None:
    """Values that have no known white, no pixels and too many of them raise ImageError (a ValueError)."""
    with pytest.raises(ImageError, match=f"mask.*{says}") as caught:
        to_mask(image)
    assert isinstance(caught.value, ValueError)


# --- files


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "PPM", "TGA", "WEBP"])
def test_a_file_gives_its_pixels(kind: str, tmp_path: Path) -> None:
    """A file without loss gives the very pixels, as a string and as a path, whatever it is called."""
    path = tmp_path / "picture.of.mine"
    path.write_bytes(encoded(sample(), kind, **({"lossless": True} if kind == "WEBP" else {})))
    for given_ in (path, str(path)):
        assert np.array_equal(to_pixels(given_), np.asarray(sample()))


def test_a_cmyk_jpeg_is_not_inverted(tmp_path: Path) -> None:
    """A JPEG in CMYK has the colours it was saved with."""
    Image.new("RGB", (16, 16), (255, 0, 0)).convert("CMYK").save(tmp_path / "a.jpg", quality=95)
    assert np.abs(to_pixels(tmp_path / "a.jpg")[8, 8].astype(int) - [255, 0, 0]).max() < 8


def test_an_animation_gives_its_first_frame(tmp_path: Path) -> None:
    """Of a GIF with several frames the first one is taken, and of an open image the current one."""
    first, second = Image.new("RGB", (8, 8), (255, 0, 0)), Image.new("RGB", (8, 8), (0, 0, 255))
    first.save(tmp_path / "a.gif", save_all=True, append_images=[second])
    assert to_pixels(tmp_path / "a.gif")[0, 0].tolist() == [255, 0, 0]
    with Image.open(tmp_path / "a.gif") as opened:
        opened.seek(1)
        assert to_pixels(opened)[0, 0].tolist() == [0, 0, 255]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 10))
def test_pictures_are_turned_upright(orientation: int, kind: str, tmp_path: Path) -> None:
    """The EXIF orientation turns a file and a PIL image as Pillow's own transposition does."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "photo"
    path.write_bytes(encoded(sample(), kind, exif=exif))
    with Image.open(path) as image:
        wanted = np.asarray(ImageOps.exif_transpose(image))
    assert np.array_equal(to_pixels(path), wanted)
    assert wanted.shape == ((24, 16, 3) if orientation in (5, 6, 7, 8) else (16, 24, 3))
    with Image.open(path) as image:
        assert np.array_equal(to_mask(image), np.asarray(Image.fromarray(wanted).convert("L")))


def test_a_damaged_exif_block_does_no_harm(tmp_path: Path) -> None:
    """A picture whose EXIF block is rubbish is taken as it is, without a warning."""
    for number, block in enumerate(
        (b"Exif\0\0rubbish", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0MM\0*\0\0\0\x08\0\x09")
    ):
        path = tmp_path / f"{number}.jpg"
        sample().save(path, exif=block)
        assert to_pixels(path).shape == (16, 24, 3)


@pytest.mark.parametrize("name", ["missing.png", "missing/a.png", "text.png/a.png"])
def test_a_missing_file_is_named(name: str, work: Path) -> None:
    """A path that does not exist raises ImageNotFoundError, which is a FileNotFoundError, with the path."""
    Path("text.png").write_text("I am no picture")
    with pytest.raises(ImageNotFoundError, match=name) as caught:
        to_pixels(name, "mask")
    assert isinstance(caught.value, FileNotFoundError)
    assert str(caught.value).startswith("mask")


def test_files_that_are_no_pictures_are_named(work: Path) -> None:
    """Text, SVG, EPS, nothing at all, a folder, a pipe and impossible names raise ImageError with the path."""
    Path("text.png").write_text("I am no picture")
    Path("drawing.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>')
    Path("drawing.png").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n%%EOF\n")
    Path("empty.png").touch()
    Path("folder").mkdir()
    os.mkfifo("pipe")
    names = [
        "text.png",
        "drawing.svg",
        "drawing.png",
        "empty.png",
        "folder",
        "pipe",
        "a\0b.png",
        "\ud800",
        "a" * 300,
        "",
    ]
    for name in names:
        with pytest.raises(ImageError) as caught:
            to_pixels(name)
        assert not isinstance(caught.value, ImageNotFoundError)
        assert repr(name) in str(caught.value)


FILES = {
    kind: encoded(sample(), kind, **options)  # type: ignore[arg-type]
    for kind, options in {
        "PNG": {}, "JPEG": {"quality": 90}, "GIF": {}, "WEBP": {}, "BMP": {}, "PPM": {}, "TGA": {}, "ICO": {},
        "TIFF": {"compression": "tiff_lzw"}, "PCX": {}, "SGI": {},
    }.items()
}  # fmt: skip


@given(st.sampled_from(sorted(FILES)), st.data())
@settings(max_examples=examples(300))
def test_a_damaged_file_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, kind: str, data: st.DataObject
) -> None:
    """A file cut short, or with some bytes changed, gives pixels or ImageError, and no other error or warning."""
    content = bytearray(FILES[kind])
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), max_size=4)):
        content[place] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "damaged"
    path.write_bytes(content[: data.draw(st.just(len(content)) | st.integers(0, len(content)))])
    with contextlib.suppress(ImageError, OutOfMemoryError):
        assert to_pixels(path).ndim == 3


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF"])
def test_a_truncated_file_is_refused(kind: str, tmp_path: Path) -> None:
    """A file cut short is no picture, whether given as a path or as an image that Pillow has not decoded yet."""
    content = encoded(sample(200, 200), kind)
    path = tmp_path / "cut.png"
    path.write_bytes(content[: len(content) * 3 // 4])
    with pytest.raises(ImageError, match=r"cut\.png"):
        to_pixels(path)
    if kind in ("PNG", "JPEG"):  # of the others Pillow finds it out when opening them
        with Image.open(path) as image, pytest.raises(ImageError, match="image cannot be read"):
            to_pixels(image)


@pytest.mark.timing
@pytest.mark.parametrize("size", [(20000, 20000), (16385, 1), (1, 16385), (16384, 16384), (16000, 12000)])
def test_a_giant_is_refused_by_its_header(
    size: tuple[int, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A small file with a giant picture in it is refused before anything is decoded."""
    path = tmp_path / "giant.png"
    path.write_bytes(png(*size, 1, 0, b""))

    def fail(*_: object) -> None:
        raise AssertionError("decoded")

    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load", fail)
    start = time.process_time()
    with pytest.raises(ImageError, match=r"giant\.png"):
        to_pixels(path)
    assert time.process_time() - start < 1


def test_pillows_own_limit_neither_warns_nor_escapes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where Pillow would warn of a decompression bomb the picture is read; where it refuses, that is an ImageError."""
    path = tmp_path / "a.png"
    sample().save(path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 24 * 16 - 1)
    before = list(warnings.filters)
    assert to_pixels(path).shape == (16, 24, 3)
    assert list(warnings.filters) == before
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 24 * 16 // 3)
    with pytest.raises(ImageError, match="decompression bomb"):
        to_pixels(path)


def test_threads_leave_the_warnings_as_they_were(tmp_path: Path) -> None:
    """Pictures read in several threads at once leave the process's list of warnings to show as it was."""
    sample().save(tmp_path / "a.png")
    before = list(warnings.filters)
    with ThreadPoolExecutor(4) as pool:
        assert len({pixels.tobytes() for pixels in pool.map(to_pixels, [tmp_path / "a.png"] * 40)}) == 1
    assert list(warnings.filters) == before


def test_a_lack_of_memory_is_called_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """When memory runs out over a picture, it is not the picture that is called damaged."""

    def fail(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(Image.Image, "convert", fail)
    with pytest.raises(OutOfMemoryError, match="image"):
        to_pixels(sample())


def test_a_closed_image_is_refused(tmp_path: Path) -> None:
    """An image whose file was closed before it was decoded raises ImageError."""
    sample().save(tmp_path / "a.png")
    image = Image.open(tmp_path / "a.png")
    image.close()
    with pytest.raises(ImageError, match="image cannot be read"):
        to_pixels(image)


# --- masks


def test_a_mask_must_leave_something_to_draw() -> None:
    """A black mask is refused, and one of 0 and 1 with the advice to make it bool; so is one without white."""
    mask = np.zeros((8, 8), np.uint8)
    with pytest.raises(SettingsError, match="inpaint_mask is all black"):
        check_mask(mask, "inpaint_mask")
    mask[3, 3] = 1
    with pytest.raises(SettingsError, match="astype"):
        check_mask(mask)
    mask[3, 3] = 127
    with pytest.raises(SettingsError, match="nowhere brighter than 127"):
        check_mask(mask)
    mask[3, 3] = 128
    check_mask(mask)
    check_mask(np.full((8, 8), 255, np.uint8))


@given(
    st.tuples(EDGES, EDGES).flatmap(
        lambda shape: st.tuples(
            *[arrays.arrays(np.uint8, (*shape, 3))] * 2, arrays.arrays(np.uint8, shape, elements=st.integers(0, 255))
        )
    )
)
def test_compositing_keeps_the_bytes_of_the_original(three: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    """The original where the mask is black, the drawn picture where it is white, the nearest value in between."""
    drawn, original, mask = three
    mask = np.where(mask < 60, 0, np.where(mask > 200, 255, mask)).astype(np.uint8)
    result = composited(drawn, original, mask)
    share = mask[:, :, None] / 255
    assert result.dtype == np.uint8
    assert np.array_equal(result[mask == 0], original[mask == 0])
    assert np.array_equal(result[mask == 255], drawn[mask == 255])
    assert np.abs(result - (drawn * share + original * (1 - share))).max() < 0.5 + 1e-9


def test_compositing_is_right_for_every_pair_of_values() -> None:
    """All 2**24 blends would be slow to test; these are the extreme values with every share."""
    mask = np.tile(np.arange(256, dtype=np.uint8), (4, 1))
    drawn, original = (np.empty((4, 256, 3), np.uint8) for _ in range(2))
    for row, (new, old) in enumerate([(0, 255), (255, 0), (255, 255), (254, 255)]):
        drawn[row], original[row] = new, old
    exact = (drawn * (mask[:, :, None] / 255)) + original * (1 - mask[:, :, None] / 255)
    assert np.array_equal(composited(drawn, original, mask), np.floor(exact + 0.5 + 1e-9).astype(np.uint8))


def test_compositing_refuses_other_sizes() -> None:
    """Three arrays that do not fit raise SettingsError instead of being stretched by numpy's rules."""
    picture, mask = np.zeros((8, 8, 3), np.uint8), np.zeros((8, 8), np.uint8)
    for three in [(picture[:1], picture, mask), (picture, picture[:, :1], mask), (picture, picture, mask[:1])]:
        with pytest.raises(SettingsError, match="differ in size"):
            composited(*three)


# --- outpainting

SIDES = st.tuples(*[st.integers(0, 20)] * 4)


@given(PICTURES, SIDES)
def test_extending_keeps_the_picture_and_masks_the_rest(pixels: np.ndarray, sides: tuple[int, int, int, int]) -> None:
    """The picture lies untouched where the mask is black, and around it its outermost pixels are repeated."""
    left, right, top, bottom = sides
    rows, columns = pixels.shape[:2]
    image, mask = extend(pixels, *sides)
    assert (image.mode, mask.mode) == ("RGB", "L")
    assert image.size == mask.size == (left + columns + right, top + rows + bottom)
    wide, black = np.asarray(image), np.asarray(mask) == 0
    assert np.array_equal(wide[top : top + rows, left : left + columns], pixels)
    assert black[top : top + rows, left : left + columns].all()
    assert black.sum() == rows * columns
    assert np.asarray(mask).max() in ((255,) if any(sides) else (0,))
    assert np.array_equal(wide[0, 0], pixels[0, 0])
    assert np.array_equal(wide[-1, -1], pixels[-1, -1])


def test_extending_takes_whole_numbers_that_are_not_negative() -> None:
    """A side that is no whole number, negative or too long raises an error that names it."""
    for side, value in [("left", -1), ("right", 1.5), ("top", True), ("bottom", 10**9)]:
        with pytest.raises(SettingsError, match=side):
            extend(sample(), **{side: value})  # type: ignore[arg-type]
    with pytest.raises(ImageError, match="the extended image has 16394 x 16 pixels"):
        extend(sample(), left=16370)
