"""The step of the build that turns the engine's arrays of numbers into bytes."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

STEP = Path(__file__).parents[2] / "native" / "tokenizer" / "embed_arrays.py"

_spec = importlib.util.spec_from_file_location("embed_arrays", STEP)
assert _spec
assert _spec.loader
embed_arrays = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(embed_arrays)

# The ways in which the engine's own headers and other generators write one number.
WAYS: list[Callable[[int], str]] = [
    lambda byte: f"0x{byte:02x}",
    lambda byte: f"0x{byte:02X}",
    str,
    lambda byte: f"0x{byte:x}",
]
TEXTS = st.text(max_size=40).map(str.encode).filter(len)


@given(
    arrays=st.dictionaries(
        st.from_regex(r"[a-z]\w{0,8}", fullmatch=True).filter(str.isascii), TEXTS, min_size=1, max_size=3
    ),
    way=st.sampled_from(WAYS),
    between=st.sampled_from([",", ", ", ",\n    "]),
    end=st.sampled_from(["", ",", ",\n"]),
)
def test_every_byte_of_every_array_is_read(
    arrays: dict[str, bytes], way: Callable[[int], str], between: str, end: str
) -> None:
    """However the numbers are written, the arrays have the names and bytes that a compiler would give them."""
    header = "\n\n".join(
        f"static const unsigned char {name}[] = {{\n{between.join(map(way, data))}{end}}};"
        for name, data in arrays.items()
    )
    assert embed_arrays.arrays_of(header.encode()) == arrays


@pytest.mark.parametrize(
    "header",
    [
        b"static const unsigned char a[] = {0x41, 0x142};",
        b"static const unsigned char a[] = {0x41, -1};",
        b"static const unsigned char a[] = {0x41,, 0x42};",
        b"static const unsigned char a[] = {0x41, B};",
        b"static const unsigned char a[] = {0x41 /* A */, 0x42};",
        b"static const unsigned char a[] = {0x4 1, 0x42};",
        b"static const unsigned char a[] = {0xff, 0xfe};",
        b"static const unsigned char a[] = {};",
        b"static const unsigned char a[] = {0x41};\nint more;",
        b"#define A 1\nstatic const unsigned char a[] = {0x41};",
        b"static const unsigned char a[] = {0x41",
        b"static const int a[] = {0x41};",
    ],
)
def test_what_is_no_array_of_text_stops_the_build(header: bytes) -> None:
    """Numbers that are no bytes, bytes that are no UTF-8 and anything beside the arrays are refused, not guessed."""
    with pytest.raises(ValueError):
        embed_arrays.arrays_of(header)


def test_what_is_written_is_what_the_source_asks_for(tmp_path: Path) -> None:
    """The source is copied as it is, declarations have the sizes, and a header that only declares functions is kept."""
    source, folder = tmp_path / "source", tmp_path / "embedded"
    source.mkdir()
    folder.mkdir()
    (source / "words.hpp").write_text("static const unsigned char words[] = {0x61, 0x62,};\n")
    (source / "words.h").write_text("#include <string>\nstd::string load_words();\n")
    (source / "words.cpp").write_text('#include "words.h"\n#include "words.hpp"\nauto size = sizeof(words);\n')
    subprocess.run([sys.executable, STEP, source / "words.cpp", folder], check=True)
    assert (folder / "words.bin").read_bytes() == b"ab"
    assert (folder / "words.hpp").read_text() == 'extern "C" const unsigned char words[2];\n'
    for name in ("words.h", "words.cpp"):
        assert (folder / name).read_bytes() == (source / name).read_bytes()
    assert re.search(r'\.incbin ".*/words\.bin"', (folder / "arrays.S").read_text())

    (source / "words.cpp").write_text('#include "words.hpp"\n')
    refused = subprocess.run([sys.executable, STEP, source / "words.cpp", folder], capture_output=True, text=True)
    assert refused.returncode == 1
    assert "does not use words" in refused.stderr
