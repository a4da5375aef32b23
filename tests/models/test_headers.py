"""Our reader of headers and the engine's: what both make of any file, and what is said of whole and unusual ones."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sdcpp_py import Generator, ModelLoadError, ModelMismatchError
from sdcpp_py.ggml_types import GGML_TYPES
from sdcpp_py.models.detect.headers import FileHeader, read_header
from sdcpp_py.models.detect.storage import fault_of
from sdcpp_py.models.files import check_files
from sdcpp_py.models.inspection import inspect
from sdcpp_py.synth import SyntheticSet

from ..conftest import open_generator
from ..support.native_headers import engine_reads, we_read

NUMBERS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
ALIGNMENT = b"general.alignment"


def text(raw: bytes) -> bytes:
    return struct.pack("<Q", len(raw)) + raw


@dataclass(frozen=True)
class Pair:
    """A value of a GGUF file's metadata: its type's number, and its bytes."""

    key: bytes
    kind: int
    value: bytes

    def packed(self) -> bytes:
        """As it stands in the file."""
        return text(self.key) + struct.pack("<I", self.kind) + self.value


@dataclass(frozen=True)
class Stored:
    """A tensor of a GGUF file: extents with the fastest first, and how many bytes lie before it that nobody expects."""

    name: bytes
    extents: tuple[int, ...]
    kind: int = 0
    gap: int = 0

    @property
    def nbytes(self) -> int:
        """Bytes of its weights."""
        _, block, size = GGML_TYPES.get(self.kind, ("", 1, 4))
        return prod(self.extents) // block * size


def gguf(path: Path, pairs: Sequence[Pair], tensors: Sequence[Stored], alignment: int = 32, version: int = 3) -> Path:
    """Writes a GGUF file, with a hole where the weights would be."""
    content = [b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(pairs)), *(pair.packed() for pair in pairs)]
    end = 0
    for tensor in tensors:
        end += tensor.gap
        content.append(text(tensor.name) + struct.pack("<I", len(tensor.extents)))
        content.append(struct.pack(f"<{len(tensor.extents)}QIQ", *tensor.extents, tensor.kind, end))
        end += -(-tensor.nbytes // alignment) * alignment
    path.write_bytes(b"".join(content))
    os.truncate(path, path.stat().st_size + alignment + end)
    return path


def accepted(path: Path) -> FileHeader | None:
    """The header; None where it is refused. Where it is taken, the engine reads the same in it, and no more.

    The engine is not asked about what is refused: it ends the process over some of it.
    """
    try:
        header = read_header(path)
    except ModelLoadError:
        return None
    theirs = engine_reads(path)
    if theirs is None:
        assert fault_of(header), "the engine refuses it, and nothing is said of that"
    else:
        assert theirs == we_read(header)
    return header


numbers = st.sampled_from(sorted(NUMBERS)).flatmap(
    lambda kind: st.binary(min_size=struct.calcsize(NUMBERS[kind]), max_size=struct.calcsize(NUMBERS[kind])).map(
        lambda raw: (kind, raw)
    )
)
strings = st.binary(max_size=6).map(lambda raw: (8, text(raw)))
lists = st.tuples(numbers, st.integers(0, 3)).map(
    lambda drawn: (9, struct.pack("<IQ", drawn[0][0], drawn[1]) + drawn[0][1] * drawn[1])
) | st.lists(st.binary(max_size=4), max_size=3).map(
    lambda texts: (9, struct.pack("<IQ", 8, len(texts)) + b"".join(map(text, texts)))
)
keys = st.binary(max_size=4) | st.sampled_from((b"general.name", b"a" * 5000))
plain_pairs = st.builds(lambda key, value: Pair(key, *value), keys, numbers | strings)
any_pairs = st.builds(lambda key, value: Pair(key, *value), keys, numbers | strings | lists)
alignments = st.sampled_from((1, 8, 32, 64))
odd_alignments = st.sampled_from((0, 48, 33)).map(lambda size: Pair(ALIGNMENT, 4, struct.pack("<I", size))) | st.builds(
    lambda value: Pair(ALIGNMENT, *value), numbers | strings | lists
)
types = st.sampled_from(sorted(GGML_TYPES))
names = st.binary(min_size=1, max_size=3) | st.sampled_from((b"v_pred", b"n" * 127, b"n" * 128, b"n" * 200))


@st.composite
def tensors(draw: st.DrawFn, odd: bool) -> Stored:
    kind = draw(types | st.integers(0, 200)) if odd else draw(types)
    block = GGML_TYPES.get(kind, ("", 1, 4))[1]
    axes = st.lists(st.integers(0 if odd else 1, 3), max_size=6 if odd else 4)
    extents = draw(axes)
    if extents and draw(st.sampled_from((True, True, not odd))):
        extents[0] *= block
    return Stored(draw(names), tuple(extents), kind, draw(st.sampled_from((0, 0, 0, 4))) if odd else 0)


@given(st.data(), alignments, st.sampled_from((2, 3)))
def test_both_readers_find_the_same_in_a_gguf(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, alignment: int, version: int
) -> None:
    """Names, types, shapes, places: in files of all types, alignments, shapes and texts, odd ones among them."""
    odd = data.draw(st.booleans())
    pairs = data.draw(st.lists(any_pairs if odd else plain_pairs, max_size=3))
    pairs.append(data.draw(odd_alignments) if data.draw(st.booleans()) and odd else aligned_to(alignment))
    path = tmp_path_factory.getbasetemp() / "any.gguf"
    accepted(gguf(path, pairs, data.draw(st.lists(tensors(odd), max_size=4)), alignment, version))


def aligned_to(alignment: int) -> Pair:
    return Pair(ALIGNMENT, 4, struct.pack("<I", alignment))


plain_names = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=20)


@given(
    st.lists(st.tuples(plain_names.map(str.encode), strings | numbers | lists), unique_by=lambda pair: pair[0]),
    st.lists(st.tuples(plain_names.map(str.encode), tensors(odd=False)), max_size=4, unique_by=lambda pair: pair[0]),
    alignments,
)
def test_what_the_format_allows_is_read(
    tmp_path_factory: pytest.TempPathFactory,
    pairs: list[tuple[bytes, tuple[int, bytes]]],
    stored: list[tuple[bytes, Stored]],
    alignment: int,
) -> None:
    """A GGUF file with nothing odd in it is never refused, whatever bytes its texts are."""
    path = tmp_path_factory.getbasetemp() / "good.gguf"
    good = [Stored(name, tensor.extents, tensor.kind) for name, tensor in stored if _blocks_fit(tensor)]
    written = [Pair(key, *value) for key, value in pairs] + [aligned_to(alignment)]
    assert accepted(gguf(path, written, good, alignment)) is not None


def _blocks_fit(tensor: Stored) -> bool:
    return (tensor.extents[0] if tensor.extents else 1) % GGML_TYPES[tensor.kind][1] == 0


WIDTHS = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "F8_E4M3": 1, "F8_E5M2": 1, "U8": 1, "BOOL": 1}


def safetensors(path: Path, described: Mapping[str, tuple[str, list[int]]], metadata: object = None) -> bytes:
    """Writes a safetensors file with a hole for its weights. Returns its header's text."""
    header: dict[str, object] = {} if metadata is None else {"__metadata__": metadata}
    end = 0
    for name, (dtype, shape) in described.items():
        begin, end = end, end + prod(shape) * WIDTHS[dtype]
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}
    return put(path, json.dumps(header, ensure_ascii=False).encode(), end)


def put(path: Path, header: bytes, room: int = 4096) -> bytes:
    path.write_bytes(struct.pack("<Q", len(header)) + header)
    os.truncate(path, 8 + len(header) + room)
    return header


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)
shapes = st.lists(st.integers(0, 3), max_size=6)
described = st.dictionaries(
    plain_names.filter("__metadata__".__ne__), st.tuples(st.sampled_from(sorted(WIDTHS)), shapes), max_size=4
)


@given(described, json_values, st.data())
@example({}, float("nan"), None)
def test_both_readers_find_the_same_in_safetensors(
    tmp_path_factory: pytest.TempPathFactory,
    described: dict[str, tuple[str, list[int]]],
    metadata: object,
    data: st.DataObject | None,
) -> None:
    """Files of all types and shapes, with any metadata, blanks and NULs around the header, and bytes changed."""
    path = tmp_path_factory.getbasetemp() / "any.safetensors"
    header = safetensors(path, described, metadata)
    accepted(path)
    if data is None:
        return
    around = data.draw(st.tuples(st.sampled_from((b"", b" ", b"\n\t")), st.sampled_from((b"", b"  ", b"\0\0", b"x"))))
    accepted(path) if put(path, around[0] + header + around[1]) else None
    changed = bytearray(header)
    for _ in range(data.draw(st.integers(1, 2))):
        places = st.integers(0, len(changed) - 1)
        changed[data.draw(places)] = data.draw(st.integers(0, 255) | st.sampled_from(b'0123456789-.eE"\\ud,:[]{}'))
    put(path, bytes(changed))
    accepted(path)


@pytest.mark.parametrize(
    "header",
    [
        b'{"a": {"dtype": "F32", "shape": [1.0], "data_offsets": [0, 4]}}',
        b'{"a": {"dtype": "F32", "shape": ["1"], "data_offsets": [0, 4]}}',
        b'{"a": {"dtype": "F32", "shape": [true], "data_offsets": [0, 4]}}',
        b'{"a": {"dtype": "F32", "shape": [-1], "data_offsets": [0, -4]}}',
        b'{"a": {"dtype": "F32", "shape": [0, 9223372036854775808], "data_offsets": [0, 0]}}',
        b'{"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}, "\\ud800": 1}',
        b'{"a": {"dtype": "F32", "shape": [1]}}',
        b'{"a": 1e999}',
        b'{"a": NaN}',
    ],
)
def test_a_header_that_is_not_what_it_must_be_is_refused(tmp_path: Path, header: bytes) -> None:
    """Numbers that are no whole ones, halves of characters, sizes beyond all files: refused, and no other error."""
    path = tmp_path / "a.safetensors"
    put(path, header)
    assert accepted(path) is None


F32 = Stored(b"layer.weight", (4, 4))
UNUSUAL: dict[str, tuple[Sequence[Pair], Sequence[Stored], str]] = {
    "aligned to 48": ([aligned_to(48)], [F32], "alignment is 48"),
    "aligned by 64 bits": ([Pair(ALIGNMENT, 10, struct.pack("<Q", 32))], [F32], "alignment is 32"),
    "aligned by a list": ([Pair(ALIGNMENT, 9, struct.pack("<IQ", 4, 0))], [F32], "alignment is a list"),
    "a removed type": ([], [Stored(b"layer.weight", (4, 4), 31)], "tensor 'layer.weight' is of type Q4_0_4_4"),
    "another program's type": ([], [Stored(b"layer.weight", (4, 4), 139)], "tensor 'layer.weight' is of type 139"),
    "a matrix of nothing": ([], [Stored(b"layer.weight", (4, 0))], "tensor 'layer.weight' of type F32"),
    "six axes": ([], [Stored(b"layer.weight", (1,) * 6)], "tensor 'layer.weight' has 6 axes"),
    "a gap beside a list": (
        [Pair(b"list", 9, struct.pack("<IQI", 4, 1, 7))],
        [F32, Stored(b"b", (4,), gap=32)],
        "tensor 'b' does not follow",
    ),
    "a list of lists": ([Pair(b"list", 9, struct.pack("<IQ", 9, 1))], [F32], "'list' in its metadata is a list of"),
    "a value without a name": ([Pair(b"", 4, bytes(4))], [F32], "a value without a name"),
    "a NUL in a name": ([], [Stored(b"a\0b", (4, 4))], "has a NUL in it"),
}


@pytest.mark.parametrize("name", UNUSUAL)
def test_what_is_whole_and_not_read_is_not_called_damaged(tmp_path: Path, name: str) -> None:
    """What the engine would misread, or die of, is refused by name; to download it again would bring the same file."""
    pairs, stored, says = UNUSUAL[name]
    path = gguf(tmp_path / "model.gguf", pairs, stored)
    with pytest.raises(ModelLoadError, match="cannot be read here") as caught:
        inspect(path)
    message = str(caught.value)
    assert str(path) in message
    assert says in message
    assert "damaged" not in message
    assert "download it again" not in message


def test_text_that_is_no_text_is_shown(tmp_path: Path) -> None:
    """Metadata in Latin-1 is of no consequence: the engine never reads it."""
    path = gguf(tmp_path / "a.gguf", [Pair(b"author", 8, text("José".encode("latin-1")))], [F32])
    header = accepted(path)
    assert header is not None
    assert header.metadata["author"] == "Jos\\xe9"
    put(path, json.dumps({"__metadata__": {"author": "José"}}, ensure_ascii=False).encode("latin-1"))
    with pytest.raises(ModelLoadError, match="not UTF-8"):
        read_header(path)


def test_an_axis_more_and_a_long_name_are_read_where_nothing_else_is_odd(tmp_path: Path) -> None:
    """What ggml's own reader refuses, the engine reads with its other one, if there is no list in the metadata."""
    for tensor in (Stored(b"n" * 200, (4, 2)), Stored(b"a", (2, 2, 1, 2, 3)), Stored(b"a", (4,), gap=64)):
        assert accepted(gguf(tmp_path / "a.gguf", [], [F32, tensor])) is not None
        assert accepted(gguf(tmp_path / "a.gguf", [Pair(b"b", 9, struct.pack("<IQI", 4, 1, 7))], [F32, tensor])) is None


def rewritten(source: Path, path: Path, changes: Mapping[str, tuple[int, ...]], dtype: str = "F32") -> Path:
    """A safetensors file with further tensors, of zeros."""
    length = struct.unpack("<Q", source.read_bytes()[:8])[0]
    header = json.loads(source.read_bytes()[8 : 8 + length])
    data = source.read_bytes()[8 + length :]
    for name, shape in changes.items():
        size = prod(shape) * WIDTHS[dtype]
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [len(data), len(data) + size]}
        data += bytes(size)
    raw = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(raw)) + raw + data)
    return path


def test_both_readers_find_the_same_in_a_model(klein: SyntheticSet, z_image: SyntheticSet) -> None:
    """In whole files of both formats, quantized ones among them."""
    for path in (*klein, *z_image):
        assert accepted(path) is not None


def test_marks_of_nothing_change_no_picture(klein: SyntheticSet, klein_generator: Generator, tmp_path: Path) -> None:
    """ComfyUI marks checkpoints with empty tensors, which are read as such."""
    settings = {"width": 64, "height": 64, "steps": 1, "seed": 4}
    expected = np.asarray(klein_generator.generate("a cat", **settings))  # type: ignore[arg-type]
    marked = rewritten(klein.vae, tmp_path / "marked.safetensors", {"v_pred": (0,), "ztsnr": (0,)})
    assert accepted(marked) is not None
    with open_generator(SyntheticSet(klein.diffusion_model, klein.text_encoder, marked)) as generator:
        assert np.array_equal(np.asarray(generator.generate("a cat", **settings)), expected)  # type: ignore[arg-type]


NOT_COMPUTED = {9: "Q8_1", 15: "Q8_K", 24: "I8", 25: "I16", 26: "I32", 27: "I64", 28: "F64"}


def retyped(source: Path, path: Path, tensor: str, kind: int) -> Path:
    """A GGUF file in which one tensor claims another type, and lies behind all others."""
    content = bytearray(source.read_bytes())
    info = read_header(source).tensors[tensor]
    raw = tensor.encode()
    place = content.index(text(raw) + struct.pack("<I", len(info.shape))) + 8 + len(raw) + 4 + 8 * len(info.shape)
    begin = min(stored.offset for stored in read_header(source).tensors.values())
    content += bytes(-(len(content) - begin) % 32)
    content[place : place + 12] = struct.pack("<IQ", kind, len(content) - begin)
    path.write_bytes(bytes(content) + bytes(prod(info.shape) * 8))
    return path


@pytest.mark.parametrize("kind", NOT_COMPUTED)
@pytest.mark.parametrize(
    ("part", "tensor"), [("diffusion_model", "time_in.in_layer.weight"), ("text_encoder", "blk.0.attn_output.weight")]
)
def test_a_matrix_of_a_type_without_a_product_is_refused(
    klein: SyntheticSet, tmp_path: Path, part: str, tensor: str, kind: int
) -> None:
    """Ggml stores such types and has no product of them: it would call a null pointer."""
    path = retyped(getattr(klein, part), tmp_path / "odd.gguf", tensor, kind)
    parts = {name: getattr(klein, name) for name in ("diffusion_model", "text_encoder", "vae")}
    with pytest.raises(ModelMismatchError, match=f"tensor '{tensor}' of type {NOT_COMPUTED[kind]}") as caught:
        check_files(**{**parts, part: path})
    assert str(path) in str(caught.value)
    assert not inspect(path).drawable


@pytest.mark.parametrize("kind", [9, 26, 28])
def test_a_list_of_a_type_that_cannot_be_converted_is_refused(klein: SyntheticSet, tmp_path: Path, kind: int) -> None:
    """A norm may be of any type that becomes F32; the loader names the file, the tensor and the type of another."""
    path = retyped(klein.text_encoder, tmp_path / "odd.gguf", "blk.0.attn_norm.weight", kind)
    with pytest.raises(ModelLoadError, match=rf"of type {NOT_COMPUTED[kind]}") as caught:
        open_generator(SyntheticSet(klein.diffusion_model, path, klein.vae))
    assert str(path) in str(caught.value)
    assert "layers.0.input_layernorm.weight" in str(caught.value)


def test_a_matrix_of_whole_numbers_in_safetensors_is_refused(klein: SyntheticSet, tmp_path: Path) -> None:
    """The same in the other format, where a list of places is no weight and passes."""
    places = rewritten(klein.vae, tmp_path / "places.safetensors", {"position_ids": (1, 77)}, "I64")
    check_files(klein.diffusion_model, klein.text_encoder, places)
    matrix = rewritten(klein.vae, tmp_path / "matrix.safetensors", {"decoder.odd.weight": (8, 8)}, "I64")
    with pytest.raises(ModelMismatchError, match=r"'decoder\.odd\.weight' of type I64"):
        check_files(klein.diffusion_model, klein.text_encoder, matrix)
