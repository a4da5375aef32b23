"""Names of files from templates: what is in a picture's name is safe on every system."""

from __future__ import annotations

import datetime
import re
from pathlib import Path, PureWindowsPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdcpp_py import GenerationSettings, PictureMetadata, SettingsError
from sdcpp_py.images.filenames import FIELDS, FileName, numbered, safe_name

from ..settings.test_settings import SETTINGS

NOW = datetime.datetime(2026, 11, 26, 9, 8, 7)
PICTURE = PictureMetadata(
    GenerationSettings("a red circle", width=768, steps=8, cfg_scale=2.5, seed=42), {"diffusion_model": "z-turbo.gguf"}
)


@pytest.mark.parametrize(
    ("template", "name"),
    [
        ("{seed}-{prompt:.40}.png", "42-a red circle.png"),
        ("{prompt:.5}.jpg", "a red.jpg"),
        ("{model}_{width}x{height}_{steps}_{cfg_scale}.webp", "z-turbo_768x512_8_2.5.webp"),
        ("{date} {time}.png", "2026-11-26 09-08-07.png"),
        ("{date:%Y%m%d}-{time:%H:%M}.png", "20261126-09_08.png"),
        ("{index:03}-{number}-{seed:08x}.png", "004-5-0000002a.png"),
        ("{{seed}}-{seed}.png", "{seed}-42.png"),
        ("{seed}.tar.png", "42.tar.png"),
        ("{seed}", "42"),
        ("{negative_prompt}.png", "picture.png"),
        ("plain %d {{x}}.png", "plain %d {x}.png"),
        ("{sampler}-{scheduler}-{eta}.png", "euler-reference-.png"),
    ],
)
def test_fields_become_what_the_picture_has(template: str, name: str) -> None:
    """Each field is spelt as ``str.format`` spells it, and what is left is the template's own."""
    assert FileName(template).name(PICTURE, 4, NOW) == name


@pytest.mark.parametrize(
    ("template", "says"),
    [
        ("{sed}.png", "there are prompt, .*seed"),
        ("{}.png", "does not exist"),
        ("{0}.png", "does not exist"),
        ("{prompt.__class__}.png", "does not exist"),
        ("{prompt[0]}.png", "does not exist"),
        ("{seed!r}.png", "not understood"),
        ("{prompt:{seed}}.png", "not understood"),
        ("{prompt:>99999999}.png", "not understood"),
        ("{seed:.2z}.png", "does not fit"),
        ("{seed.png", "cannot be read"),
        ("seed}.png", "cannot be read"),
        ("{seed}.{prompt}", "field in its suffix"),
        ("{seed}" + "x" * 2000 + ".png", "1,000 are the most"),
    ],
)
def test_templates_that_are_wrong_are_refused(template: str, says: str) -> None:
    """A field that does not exist is refused with the list of those that do, before there is any picture."""
    with pytest.raises(SettingsError, match=says):
        FileName(template)


@pytest.mark.parametrize(
    ("prompt", "name"),
    [
        ("../../etc/passwd", "_.._etc_passwd.png"),
        ("..\\a:b|c?d*e<f>g\"h", "_a_b_c_d_e_f_g_h.png"),
        ("con", "_con.png"),
        ("LPT1.txt of mine", "_LPT1.txt of mine.png"),
        ("Com² ", "_Com².png"),
        ("console", "console.png"),
        (".hidden", "hidden.png"),
        ("-rf", "rf.png"),
        ("the end. . ", "the end.png"),
        ("a\n\tline  break\x07", "a line break_.png"),
        ("\u202egnp.exe", "_gnp.exe.png"),
        (" . ", "picture.png"),
        ("🐈" * 100, "🐈" * 60 + ".png"),
        ("e\u0301", "é.png"),
    ],
)  # fmt: skip
def test_prompts_make_names_that_are_safe(prompt: str, name: str) -> None:
    """No prompt leads into another folder, hides a file, is a device of Windows or an option of a program."""
    assert FileName("{prompt}.png").name(PictureMetadata(GenerationSettings(prompt))) == name


def check_safe(name: str) -> None:
    assert Path(name).name == PureWindowsPath(name).name == name
    assert len(name.encode()) <= 255 - 8
    assert not re.search(r'[<>:"/\\|?*\x00-\x1f]', name)
    assert not re.fullmatch(r"(?i)(con|prn|aux|nul|com\d|lpt\d)", name.split(".")[0].strip())
    assert name[-1] not in ". "
    assert name[0] not in ".- "


@given(SETTINGS, st.text(max_size=20), st.sampled_from(FIELDS), st.sampled_from(["", ":.40", ":>30"]))
def test_every_picture_has_a_safe_name(settings: GenerationSettings, model: str, field: str, spec: str) -> None:
    """Whatever is in a picture, its file's name is one on Linux, macOS and Windows, with room for a number."""
    metadata = PictureMetadata(settings, {"diffusion_model": model})
    try:
        template = FileName(f"{{{field}{spec}}}.png")
    except SettingsError:  # of numbers, which have no such precision
        return
    check_safe(template.name(metadata, 3))


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=400), st.integers(2, 10_000))
def test_any_text_makes_a_safe_name(text: str, number: int) -> None:
    """Text of any kind and length becomes a safe name, and stays one with a number."""
    name = safe_name(text, ".jpeg")
    check_safe(name)
    more = numbered(Path("folder") / name, f"-{number}")
    assert more.parent == Path("folder")
    assert more.name.endswith(f"-{number}.jpeg")
    assert len(more.name.encode()) <= 255
