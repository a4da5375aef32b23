"""The LoRAs in what pictures say of themselves: ours come back exactly, and others' are said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from sdcpp_py import GenerationSettings, MetadataError, MetadataWarning, PictureMetadata, read_metadata
from sdcpp_py.images.writing import write_image
from sdcpp_py.settings.applied_loras import AppliedLora
from sdcpp_py.settings.metadata import from_common_text, from_json, to_common_text, to_json

INK = AppliedLora("ink", 0.8, "0123456789")
OIL = AppliedLora('oil, "old": 3>', -1.0, "abcdefabcd")
DIGESTS = st.text("0123456789abcdef", min_size=10, max_size=10)
LORAS = st.lists(st.builds(AppliedLora, st.text(max_size=20), st.floats(-100, 100), DIGESTS), max_size=4).map(tuple)


@given(LORAS, st.text(max_size=30))
def test_json_gives_back_the_loras(loras: tuple[AppliedLora, ...], prompt: str) -> None:
    """Exactly, and the prompt stays as it was; without LoRAs, the text has no word of them."""
    metadata = PictureMetadata(GenerationSettings(prompt), loras=loras)
    text = to_json(metadata)
    assert text.isascii()
    assert ("loras" in json.loads(text)) == bool(loras)
    assert from_json(text) == metadata
    assert from_json(text).problems == ()


def test_the_common_text_is_what_the_web_ui_writes() -> None:
    """LoRAs stand at the end of the prompt, and with their hashes in the last line, in names that end neither."""
    metadata = PictureMetadata(GenerationSettings("a cat", negative_prompt="dogs"), loras=(INK, OIL))
    prompt, negative, line = to_common_text(metadata).splitlines()
    assert prompt == "a cat <lora:ink:0.8> <lora:oil_ _old__ 3_:-1>"
    assert negative == "Negative prompt: dogs"
    assert ', Lora hashes: "ink: 0123456789, oil_ _old__ 3_: abcdefabcd", Version: sdcpp_py ' in line


@given(LORAS, st.text(st.sampled_from("abc <lora:1>"), max_size=20).map(str.strip))
def test_the_common_text_gives_back_the_prompt(loras: tuple[AppliedLora, ...], prompt: str) -> None:
    """What was written at the end of a prompt of ours is no part of it, and what the prompt itself says is."""
    read = from_common_text(to_common_text(PictureMetadata(GenerationSettings(prompt), loras=loras)))
    assert read.settings.prompt == prompt
    assert len(read.problems) == bool(loras)


def test_a_picture_of_the_web_ui_says_which_loras_are_not_taken() -> None:
    """Names and hashes are in a sentence; the prompt is as its author wrote it."""
    text = 'a cat <lora:ink:0.8>\nSteps: 4, Lora hashes: "ink: 0123456789, oil: ab", Version: v1.10.1'
    read = from_common_text(text)
    assert read.settings.prompt == "a cat <lora:ink:0.8>"
    assert read.problems == ("it was generated with LoRAs, which are not taken: ink (0123456789), oil (ab)",)
    for odd in ('""', '"ink"', '","', '": 12"', "ink: 1"):
        assert isinstance(from_common_text(f"a cat\nSteps: 4, Lora hashes: {odd}"), PictureMetadata)


@pytest.mark.parametrize("name", ["cat.png", "cat.jpg", "cat.webp"])
def test_a_file_gives_back_the_loras_and_settings_alone_warn(tmp_path: Path, name: str) -> None:
    """Metadata hold them; who takes the settings alone is told what these lack."""
    metadata = PictureMetadata(GenerationSettings("a cat"), loras=(INK,))
    path = write_image(Image.new("RGB", (8, 8)), tmp_path / name, metadata)
    assert read_metadata(path) == metadata
    with pytest.warns(MetadataWarning, match=r"LoRAs, which are not taken: ink at 0\.8, sha256 0123456789"):
        assert GenerationSettings.from_image(path) == metadata.settings


@pytest.mark.parametrize(
    "loras",
    [3, "ink", {"ink": 1}, [3], ["ink"], [{}], [{"name": "ink"}], [{"name": 3, "weight": 1}], [[1]], [None],
     [{"name": "ink", "weight": "1"}], [{"name": "ink", "weight": None}], [{"name": "ink", "weight": True}],
     [{"name": "ink", "weight": float("nan")}], [{"name": "ink", "weight": 1, "sha256": 3}],
     [{"name": "ink", "weight": 10**400}]],
)  # fmt: skip
def test_loras_of_other_types_are_refused(loras: Any) -> None:
    """They are damaged metadata, as other values of wrong types are."""
    with pytest.raises(MetadataError, match="damaged"):
        from_json(json.dumps({"format": 1, "settings": {"prompt": "cat"}, "loras": loras}))
