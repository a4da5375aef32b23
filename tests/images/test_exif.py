"""Texts in EXIF blocks: written as other programs read them, and read from whatever a file holds."""

from __future__ import annotations

import io
import json
import struct

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

from sdcpp_py.image_files import read_texts
from sdcpp_py.image_files.exif import exif_block, exif_texts

from ..support.picture_tools import WITH_METADATA, png_with_chunks, read_damaged

USER_COMMENT, MAKER_NOTE, EXIF = 0x9286, 0x927C, 0x8769
TEXT = "a barn\nNegative prompt: 猫\nSteps: 20, Seed: 5"


def block(order: str, *fields: tuple[int, int, bytes], inner: tuple[tuple[int, int, bytes], ...] = ()) -> bytes:
    """A block of fields (tag, type, data), made by hand."""
    head = {"<": b"II*\0", ">": b"MM\0*"}[order] + struct.pack(order + "I", 8)
    outer = [*fields, *([(EXIF, 4, b"")] if inner else [])]
    size = 2 + 12 * len(outer) + 4
    after, inner_after = b"", b""
    inner_place = 8 + size + sum(len(data) for _, _, data in fields)
    entries = struct.pack(order + "H", len(outer))
    for tag, kind, data in outer:
        place = inner_place if tag == EXIF else 8 + size + len(after)
        count = 1 if tag == EXIF else len(data)
        value = data.ljust(4, b"\0") if len(data) <= 4 and tag != EXIF else struct.pack(order + "I", place)
        entries += struct.pack(order + "HHI", tag, kind, count) + value
        after += data
    folder = struct.pack(order + "H", len(inner))
    begin = inner_place + 2 + 12 * len(inner) + 4
    for tag, kind, data in inner:
        folder += struct.pack(order + "HHII", tag, kind, len(data), begin + len(inner_after))
        inner_after += data
    return head + entries + bytes(4) + after + folder + bytes(4) + inner_after


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=60), st.text(max_size=30))
def test_a_block_gives_its_texts_back(comment: str, own: str) -> None:
    """Whatever Unicode a comment holds, it is read as it was written, and our own text beside it."""
    comment = f"{comment.strip() or 'x'}\nSteps: 4, Sampler: Euler, Seed: 3, Size: 512x512"
    own = json.dumps(own)
    texts = exif_texts(exif_block(comment, own, "sdcpp_py 1"))
    assert texts == {"parameters": comment, "sdcpp_py": own, "Software": "sdcpp_py 1"}


@pytest.mark.parametrize("kind", WITH_METADATA[1:])
def test_the_comment_is_what_a1111_writes(kind: str) -> None:
    """Pillow's own reader, too, finds "UNICODE" and UTF-16, high byte first, in a block of that order."""
    stream = io.BytesIO()
    Image.new("RGB", (8, 8)).save(stream, kind, exif=exif_block(TEXT, "{}", "sdcpp_py 1"))
    with Image.open(stream) as image:
        assert image.info["exif"].removeprefix(b"Exif\0\0")[:4] == b"MM\0*"
        exif = image.getexif()
    assert exif.get_ifd(EXIF)[USER_COMMENT] == b"UNICODE\0" + TEXT.encode("utf-16-be")
    assert exif[0x0131] == "sdcpp_py 1"
    stream.seek(0)
    assert read_texts(stream).by_name == {"parameters": TEXT, "sdcpp_py": "{}", "Software": "sdcpp_py 1"}


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    "comment",
    [
        b"UNICODE\0" + TEXT.encode("utf-16-be"),
        b"UNICODE\0" + TEXT.encode("utf-16-le"),
        b"UNICODE\0" + TEXT.encode("utf-16"),
        b"ASCII\0\0\0" + TEXT.encode(),
        b"\0\0\0\0\0\0\0\0" + TEXT.encode() + b"\0",
        b"JIS\0\0\0\0\0" + TEXT.encode("iso2022_jp"),
        TEXT.encode(),
    ],
    ids=["be", "le", "bom", "ascii", "undefined", "jis", "bare"],
)
def test_comments_of_every_encoding_are_read(order: str, comment: bytes) -> None:
    """The order of a comment's bytes is its own: programs write either in blocks of either."""
    assert exif_texts(block(order, inner=((USER_COMMENT, 7, comment),))) == {"parameters": TEXT}
    # Fooocus leaves it in the outer folder, as text.
    assert exif_texts(block(order, (USER_COMMENT, 2, comment))) == {"parameters": TEXT}


@pytest.mark.parametrize("order", ["<", ">"])
def test_names_before_json_are_names(order: str) -> None:
    """ComfyUI's ``prompt:`` and ``workflow:`` stand in place of a camera's names, which are read as such elsewhere."""
    fields = ((0x010D, 2, b'extra:{"a": 1}\0'), (0x010F, 2, b"workflow:{}\0"), (0x0110, 2, b'prompt:{"3": 1}\0'))
    assert exif_texts(block(order, *fields)) == {"extra": '{"a": 1}', "workflow": "{}", "prompt": '{"3": 1}'}
    camera = ((0x010E, 2, b"note: {not}\xe9\0"), (0x010F, 2, b"Canon\0"), (0x0110, 2, b"EOS\0"))
    assert exif_texts(block(order, *camera)) == {"Description": "note: {not}é", "Make": "Canon", "Model": "EOS"}
    maker = (MAKER_NOTE, 7, b"fooocus\0")
    assert exif_texts(block(order, inner=(maker,))) == {"fooocus_scheme": "fooocus"}
    assert exif_texts(block(order, inner=((MAKER_NOTE, 7, b"Nikon\0\2\x10"),))) == {}


def test_a_png_may_have_a_block_too() -> None:
    """What a PNG's EXIF block says is read, and its texts count more."""
    both = png_with_chunks((b"tEXt", b"parameters\0text"), (b"eXIf", exif_block("block", "own")))
    assert read_texts(io.BytesIO(both)).by_name == {"parameters": "text", "sdcpp_py": "own"}


def test_a_jpegs_comment_is_read() -> None:
    """The comment that a JPEG or a GIF carries beside EXIF is a text like others."""
    for kind in ("JPEG", "GIF"):
        stream = io.BytesIO()
        Image.new("RGB", (8, 8)).save(stream, kind, comment=b"by hand")
        stream.seek(0)
        assert read_texts(stream).by_name == {"Comment": "by hand"}


FIELD = st.tuples(
    st.sampled_from([0x0100, 0x010E, 0x0110, 0x0131, EXIF, USER_COMMENT, MAKER_NOTE]),
    st.sampled_from([0, 1, 2, 4, 7, 99]),
    st.sampled_from([0, 1, 4, 8, 9, 40, 2**31, 2**32 - 1]),
    st.sampled_from([0, 4, 8, 14, 20, 40, 2**31, 2**32 - 1]),
)


@given(st.sampled_from("<>"), st.lists(FIELD, max_size=6), st.binary(max_size=60), st.integers(0, 70))
@example("<", [(EXIF, 4, 1, 8)], b"", 8)
def test_any_block_is_read(order: str, fields: list[tuple[int, int, int, int]], after: bytes, place: int) -> None:
    """Lengths and places that lead out of the block, and folders that hold themselves, give texts or none."""
    data = {"<": b"II*\0", ">": b"MM\0*"}[order] + struct.pack(order + "I", place)
    data += struct.pack(order + "H", len(fields)) + b"".join(struct.pack(order + "HHII", *field) for field in fields)
    for whole in (data + after, b"Exif\0\0" + data + after, after):
        assert all(name and text for name, text in exif_texts(whole).items())


def test_a_block_of_many_fields_is_read_at_once() -> None:
    """Tens of thousands of fields that all claim the same megabytes are looked at once each, and copied once."""
    count = 65_535
    entry = struct.pack("<HHII", USER_COMMENT, 7, 8_000_000, 14)
    data = b"II*\0" + struct.pack("<IH", 8, count) + entry * count + b"x" * 8_000_000
    assert len(exif_texts(data)["parameters"]) == pytest.approx(8_000_000, abs=10)


@given(st.binary(max_size=80), st.sampled_from(WITH_METADATA[1:]), st.data())
def test_any_file_is_read_or_refused(noise: bytes, kind: str, data: st.DataObject) -> None:
    """A file with any bytes in it for EXIF, changed or cut anywhere, raises nothing but errors of ours."""
    stream = io.BytesIO()
    Image.new("RGB", (8, 8)).save(stream, kind, exif=exif_block(TEXT, "{}") + noise)
    read_damaged(stream.getvalue(), data)
