"""Where the command line writes pictures: names from templates, files that are kept, standard output."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from sdcpp_py import GenerationSettings, read_metadata
from sdcpp_py.cli import main
from sdcpp_py.synth import SyntheticSet
from tests.support.patience import PATIENCE

from .test_cli import SMALL, model_options


def generate(model: SyntheticSet, *options: str, prompt: str = "a red: circle") -> int:
    return main(["generate", prompt, *model_options(model), *SMALL, *options])


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def run(model: SyntheticSet, *options: str) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "sdcpp_py", "generate", "a red circle", *model_options(model), *SMALL, *options]
    return subprocess.run(command, capture_output=True, timeout=PATIENCE)


def test_templates_name_files(model: SyntheticSet, work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """``{seed}-{prompt:.40}.png`` names each picture of a batch, and the printed path is the one that was written."""
    assert generate(model, "-s", "7", "-b", "2", "-o", "{seed}-{prompt:.40}.png") == 0
    assert names(work) == ["7-a red_ circle.png", "8-a red_ circle.png"]
    assert [line.split(": ")[0] for line in capsys.readouterr().out.splitlines()] == names(work)
    assert generate(model, "-s", "7", "-b", "2", "-o", f"{work}/{{prompt:.5}}_%02d.webp") == 0
    assert names(work)[2:] == ["a red_00.webp", "a red_01.webp"]
    assert GenerationSettings.from_image("a red_01.webp").seed == 8


def test_pictures_of_a_batch_have_names_of_their_own(model: SyntheticSet, work: Path) -> None:
    """Where nothing in a template differs between pictures of a batch, they are numbered as without one."""
    assert generate(model, "-b", "3", "-o", "{width}.png") == 0
    assert names(work) == ["64.png", "64_2.png", "64_3.png"]


def test_a_file_that_is_there_is_kept(model: SyntheticSet, work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Numbers are appended, in a batch to each picture, until ``--overwrite`` is said; what was written is printed."""
    for seed, expected in (("1", "cat.png"), ("2", "cat-2.png"), ("3", "cat-3.png")):
        assert generate(model, "-s", seed, "-o", "cat.png") == 0
        assert capsys.readouterr().out.startswith(f"{expected}: 64x64, seed {seed}")
    assert generate(model, "-s", "4", "-b", "2", "-o", "./cat.png") == 0
    assert [line.split(":")[0] for line in capsys.readouterr().out.splitlines()] == ["cat-4.png", "cat_2.png"]
    assert generate(model, "-s", "9", "-o", "cat.png", "--overwrite") == 0
    assert capsys.readouterr().out.startswith("cat.png: ")
    assert names(work) == ["cat-2.png", "cat-3.png", "cat-4.png", "cat.png", "cat_2.png"]
    assert [read_metadata(name).settings.seed for name in names(work)] == [2, 3, 4, 9, 5]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["-o", "{sed}.png"], "there are prompt,"),
        (["-o", "{seed:zz}.png"], "does not fit"),
        (["-o", "{seed}/cat.png"], "fields name files, and not folders"),
        (["-o", "{model:.10}/{seed}.png"], "fields name files, and not folders"),
        (["-o", "{seed}.xyz"], "no picture format"),
        (["-o", "{seed}"], "has no suffix"),
        (["-o", "cat.png", "--format", "xyz"], "'xyz' is no picture format"),
        (["-o", "-", "--format", "xyz"], "'xyz' is no picture format"),
        (["-o", "-", "-b", "2"], "is for one picture"),
    ],
)
def test_outputs_that_are_wrong_are_refused_at_once(
    options: list[str], says: str, work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before any model is opened, what cannot be a picture's place is refused in one line."""
    assert main(["generate", "cat", "-m", "no-such-model", *options]) == 1
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1
    assert names(work) == []


def test_a_format_needs_no_suffix(model: SyntheticSet, work: Path) -> None:
    """``--format`` says what a name without suffix does not."""
    assert generate(model, "-o", "cat", "--format", "jpg") == 0
    with Image.open("cat") as image:
        assert image.format == "JPEG"


@pytest.mark.parametrize("kind", [None, "webp"])
def test_standard_output_gets_the_picture_alone(model: SyntheticSet, work: Path, kind: str | None) -> None:
    """``-o -`` writes a picture with its settings, a PNG unless ``--format`` says otherwise; words go to stderr."""
    result = run(model, "-s", "7", "-v", "-o", "-", *(["--format", kind] if kind else []))
    assert result.returncode == 0, result.stderr
    with Image.open(io.BytesIO(result.stdout)) as image:
        assert image.format == (kind or "png").upper()
    assert read_metadata(io.BytesIO(result.stdout)).settings.seed == 7
    assert b"standard output: 64x64, seed 7" in result.stderr
    assert names(work) == []


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such terminals")
def test_a_terminal_gets_no_picture(model: SyntheticSet, work: Path) -> None:
    """On a terminal, ``-o -`` is refused before anything is drawn."""
    terminal, inside = os.openpty()
    command = [sys.executable, "-m", "sdcpp_py", "generate", "cat", *model_options(model), *SMALL, "-o", "-"]
    result = subprocess.run(command, stdout=inside, stderr=subprocess.PIPE, text=True, timeout=PATIENCE)
    os.close(inside)
    os.close(terminal)
    assert result.returncode == 1
    assert "standard output is a terminal" in result.stderr


def test_a_reader_that_leaves_ends_quietly(model: SyntheticSet, work: Path) -> None:
    """Where nobody reads standard output any more, the command ends as SIGPIPE would end it, without a traceback."""
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "sdcpp_py", "generate", "cat", *model_options(model), *SMALL, "-o", "-"]
    result = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, timeout=PATIENCE)
    os.close(writing)
    assert result.returncode == 141
    assert "Traceback" not in result.stderr


@pytest.mark.slow
def test_a_contact_sheet_is_kept_too(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """``demo`` replaces no file either, unless it is told to."""
    Path("demo.png").write_text("mine")
    assert main(["demo", "--device", "cpu"]) == 0
    assert capsys.readouterr().out.startswith("demo-2.png: ")
    assert Path("demo.png").read_text() == "mine"
    assert main(["demo", "--device", "cpu", "--overwrite"]) == 0
    assert capsys.readouterr().out.startswith("demo.png: ")
