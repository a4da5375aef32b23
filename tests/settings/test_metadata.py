"""Settings inside pictures: an exact round trip, and the text that other tools read."""

from __future__ import annotations

import io
import json
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from sdcpp_py import (
    GenerationSettings,
    MetadataError,
    MetadataNotFoundError,
    MetadataWarning,
    PictureMetadata,
    read_png,
)
from sdcpp_py.settings.metadata import from_common_text, from_json, to_common_text, to_json, to_png_info

from .test_settings import SETTINGS

MODEL = st.fixed_dictionaries({"family": st.just("flux2-klein"), "diffusion_model": st.text(max_size=30)})


def png_with(info: PngInfo) -> io.BytesIO:
    stream = io.BytesIO()
    Image.new("RGB", (8, 8)).save(stream, "PNG", pnginfo=info)
    stream.seek(0)
    return stream


@given(SETTINGS, MODEL, st.floats(0, 1e6))
def test_a_png_gives_back_exactly_what_it_was_given(
    settings: GenerationSettings, model: dict[str, str], seconds: float
) -> None:
    """Settings, model and timings come out of a PNG as they went in, whatever Unicode the prompt holds."""
    metadata = PictureMetadata(settings, model, engine="abc", timings={"denoise": seconds})
    assert read_png(png_with(to_png_info(metadata))) == metadata


@given(SETTINGS)
def test_json_is_exact(settings: GenerationSettings) -> None:
    """Our own text is ASCII JSON and exact."""
    text = to_json(PictureMetadata(settings))
    assert text.isascii()
    assert from_json(text).settings == settings


SIMPLE = st.text(st.sampled_from("abc äöü 猫 ,.()[]:1.3\\\"'"), max_size=60).map(str.strip)


@given(SETTINGS, SIMPLE, SIMPLE)
def test_the_common_text_is_read_back(settings: GenerationSettings, prompt: str, negative: str) -> None:
    """The text for other tools gives the settings back, where the prompt has no line breaks of its own."""
    settings = settings.replace(prompt=prompt, negative_prompt=negative, cfg_scale=round(settings.cfg_scale, 2))
    read = from_common_text(to_common_text(PictureMetadata(settings, {"diffusion_model": "a, b.gguf"}))).settings
    numbers = {name: float(f"{getattr(settings, name):g}") for name in ("guidance", "eta") if getattr(settings, name)}
    # The denoising strength is not read: others write it for pictures without an init image, too.
    assert read == settings.replace(vae_tile_size=0, strength=1.0, **numbers)


def test_the_common_text_is_what_other_tools_write() -> None:
    """The text has the prompt, the negative prompt, and the line of names that A1111's web UI writes."""
    settings = GenerationSettings("a cat\nwith a hat", negative_prompt="dogs", seed=42, width=768)
    text = to_common_text(PictureMetadata(settings, {"diffusion_model": "flux-2-klein-4b-Q4_0.gguf"}))
    lines = text.splitlines()
    assert lines[:3] == ["a cat", "with a hat", "Negative prompt: dogs"]
    assert lines[3].startswith(
        "Steps: 4, Sampler: Euler, Schedule type: reference, CFG scale: 1, Seed: 42, Size: 768x512"
    )
    assert "Model: flux-2-klein-4b-Q4_0" in lines[3]


def test_a_picture_of_another_tool_is_read() -> None:
    """A1111's own text gives prompt, negative prompt and settings under our names."""
    text = (
        "masterpiece, (cat:1.2), on a sofa\nNegative prompt: blurry, low quality\n"
        "Steps: 20, Sampler: Euler a, Schedule type: Automatic, CFG scale: 7.5, Seed: 965400086, Size: 512x768, "
        'Model hash: 6ce0161689, Model: v1-5-pruned, Version: v1.9.0, Lora hashes: "x: 1, y: 2"'
    )
    info = PngInfo()
    info.add_text("parameters", text)
    with pytest.warns(MetadataWarning, match=r"LoRAs, which are not taken: x \(1\), y \(2\)"):
        metadata = read_png(png_with(info))
    expected = GenerationSettings(
        "masterpiece, (cat:1.2), on a sofa", "blurry, low quality", 512, 768, 20, 7.5, 965400086, "euler_a"
    )
    assert metadata.settings == expected
    assert metadata.model == {"diffusion_model": "v1-5-pruned"}


DAMAGED = (
    "",
    "{",
    "[]",
    "null",
    '{"format": 1}',
    '{"format": 99, "settings": {}}',
    '{"format": 1, "settings": {"prompt": 3}}',
    '{"format": "1"}',
    "[" * 100_000,
)


@pytest.mark.parametrize("text", DAMAGED, ids=range(len(DAMAGED)))
def test_damaged_json_is_a_metadata_error(text: str) -> None:
    """JSON of ours that is damaged, newer, or holds an invalid setting raises MetadataError, a ValueError."""
    with pytest.raises(MetadataError) as caught:
        from_json(text)
    assert isinstance(caught.value, ValueError)


@given(st.text(max_size=200))
def test_any_common_text_is_read_or_refused(text: str) -> None:
    """No text whatever makes the reader raise anything but MetadataError."""
    try:
        assert isinstance(from_common_text(text).settings, GenerationSettings)
    except MetadataError:
        pass


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(), lambda s: st.lists(s) | st.dictionaries(st.text(), s)
    )
)
def test_any_json_is_read_or_refused(value: object) -> None:
    """No JSON whatever makes the reader raise anything but MetadataError."""
    for data in (value, {"format": 1, "settings": value}):
        with pytest.raises(MetadataError):
            from_json(json.dumps(data))


def test_pictures_without_settings_are_refused(work: Path) -> None:
    """A picture without settings, a file that is no picture, and a missing file each say so."""
    Image.new("RGB", (8, 8)).save("plain.png")
    Path("not.png").write_text("hello")
    with pytest.raises(MetadataError, match="carries no generation settings"):
        GenerationSettings.from_png("plain.png")
    with pytest.raises(MetadataError, match="no picture"):
        GenerationSettings.from_png("not.png")
    with pytest.raises(FileNotFoundError):
        GenerationSettings.from_png("missing.png")


@pytest.mark.parametrize("extra", [{"timings": {"denoise": "slow"}}, {"timings": [1]}, {"model": 3}])
def test_values_of_other_types_are_refused(extra: dict[str, object]) -> None:
    """Timings that are no numbers and a model that is no table are damaged metadata."""
    text = json.dumps({"format": 1, "settings": {"prompt": "cat"}, **extra})
    with pytest.raises(MetadataError, match="damaged"):
        from_json(text)


@pytest.mark.timing
def test_a_megabyte_of_common_text_is_answered_at_once() -> None:
    """A last line of absurd length takes no time."""
    began = time.process_time()
    with pytest.raises(MetadataError):
        from_common_text("cat\n" + "x" * 1_000_000)
    assert time.process_time() - began < 5


def test_a_missing_picture_is_a_file_not_found_error(work: Path) -> None:
    """A missing picture raises MetadataNotFoundError, which is a FileNotFoundError."""
    with pytest.raises(MetadataNotFoundError, match=r"there is no file .*gone\.png") as caught:
        GenerationSettings.from_png("gone.png")
    assert isinstance(caught.value, FileNotFoundError)
