"""Pictures to hand in, and what tests ask of those that come back."""

from __future__ import annotations

import contextlib
import io
import itertools
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st
from PIL import Image
from tiny_model.world.scoring import read_picture

from sdcpp_py import Generator, OutOfMemoryError, Phase, Progress
from sdcpp_py._native.library import device_usage
from sdcpp_py.errors import ImageError
from sdcpp_py.image_files import read_texts
from sdcpp_py.synth import SyntheticSet

from ..conftest import open_generator

Image.init()
# Pillow writes AVIF since 11.3, where it was built so.
WITH_METADATA = [name for name in ("PNG", "JPEG", "WEBP", "AVIF") if name in Image.SAVE]
"""The formats that carry settings and can be written here."""


def read_damaged(content: bytes | bytearray, data: st.DataObject, *, whole: int = 0) -> None:
    """Reads a picture's texts after bytes of it were changed, and it was cut. Errors are ours.

    ``whole``: so many bytes at the beginning are not changed, so that it stays a file of its kind.
    """
    content = bytearray(content)
    for place in data.draw(st.lists(st.integers(whole, len(content) - 1), max_size=3)):
        content[place] = data.draw(st.integers(0, 255))
    content = content[: data.draw(st.just(len(content)) | st.integers(0, len(content)))]
    with contextlib.suppress(ImageError):
        read_texts(io.BytesIO(content))


def pixels(picture: object) -> np.ndarray:
    return np.asarray(picture)


def difference(one: object, other: object) -> float:
    """The mean difference of two pictures, of 255."""
    return float(np.abs(pixels(one).astype(int) - pixels(other).astype(int)).mean())


def shown(picture: object) -> tuple[str, list[tuple[str, str]]]:
    """The background of a picture, and the kind and colour of each shape in it, the largest first."""
    reading = read_picture(pixels(picture))
    return reading.background, [(shape.kind, shape.color) for shape in reading.shapes]


def colourful(width: int, height: int, seed: int = 0) -> np.ndarray:
    """A picture of waves in all colours, which no other seed has."""
    turns = np.random.default_rng(seed).uniform(1, 6, (3, 2))
    rows, columns = np.mgrid[0:height, 0:width]
    waves = [np.sin(across * columns / width * 6 + down * rows / height * 6) for across, down in turns]
    return (127.5 + 127.5 * np.stack(waves, -1)).astype(np.uint8)


def box(width: int, height: int, left: int, top: int, right: int, bottom: int) -> np.ndarray:
    """A mask that is white inside of a box."""
    mask = np.zeros((height, width), np.uint8)
    mask[top:bottom, left:right] = 255
    return mask


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_with_chunks(*chunks: tuple[bytes, bytes], after: bool = False, pixels: np.ndarray | None = None) -> bytes:
    """A PNG file with chunks, (type, data), between its header and its pixels, or after these."""
    stream = io.BytesIO()
    Image.fromarray(colourful(16, 8) if pixels is None else pixels).save(stream, "PNG")
    plain = stream.getvalue()
    place = len(plain) - 12 if after else 33
    return plain[:place] + b"".join(png_chunk(kind, data) for kind, data in chunks) + plain[place:]


def write_giant(path: Path, width: int, height: int) -> Path:
    """Writes a PNG of a hundred bytes whose header promises that many pixels."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(b"")), (b"IEND", b""))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(kind, data) for kind, data in chunks))
    return path


def check_phases(reports: list[Progress], phases: list[Phase]) -> None:
    """These phases in this order, each from 0 to 1 without falling."""
    groups = [(phase, list(group)) for phase, group in itertools.groupby(reports, key=lambda report: report.phase)]
    assert [phase for phase, _ in groups] == phases
    for phase, group in groups:
        fractions = [report.fraction for report in group]
        assert fractions[0] == 0, phase
        assert fractions[-1] == 1, phase
        assert fractions == sorted(fractions), phase


def check_limits(files: SyntheticSet, prompt: str, **arguments: Any) -> None:
    """Every limit from the least that works draws the bytes that no limit does, and is kept to."""
    with open_generator(files, memory="all", cache_prompts=False) as generator:
        plan = generator.plan(width=arguments["width"], height=arguments["height"])
        expected = pixels(generator.generate(prompt, **arguments))
    least, most = _least(files, plan.least("cpu"), prompt, **arguments), int(plan.peak("cpu") * 1.2)
    others = device_usage("cpu").bytes
    for share in range(3):
        limit = least + (most - least) * share // 2
        device_usage("cpu", reset=True)
        with open_generator(files, memory=limit, cache_prompts=False) as generator:
            assert np.array_equal(pixels(generator.generate(prompt, **arguments)), expected)
        assert device_usage("cpu").most_bytes - others <= limit


def _least(files: SyntheticSet, plain: int, prompt: str, **arguments: Any) -> int:
    """The least limit that draws with pictures: that of a drawing without, or what the error of that one names."""
    from sdcpp_py.system.byte_sizes import parse_bytes

    with open_generator(files, memory=plain, cache_prompts=False) as generator:
        try:
            generator.generate(prompt, **arguments)
        except OutOfMemoryError as error:
            return parse_bytes("memory", str(error).split("needs at least ")[1].split(" on cpu")[0])
    return plain


def check_usable(generator: Generator, prompt: Any, expected: object, **arguments: Any) -> None:
    """The generator draws what it drew before."""
    assert np.array_equal(pixels(generator.generate(prompt, **arguments)), pixels(expected))
