"""The command line: what it prints, what it returns."""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import sdcpp_py
from sdcpp_py import GeneratedImage, GenerationSettings, Generator
from sdcpp_py.cli import main
from sdcpp_py.cli.outputs import output_names
from sdcpp_py.synth import SyntheticSet
from tests.support.patience import PATIENCE, until


def model_options(files: SyntheticSet) -> list[str]:
    return ["--diffusion-model", str(files.diffusion_model), "--llm", str(files.text_encoder), "--vae", str(files.vae)]


SMALL = ["-W", "64", "-H", "64", "--steps", "2", "--device", "cpu"]
SILENT = "--no-progress"
"""Where all of standard error is looked at: what takes ten seconds, on whatever machine, is told of there."""


def test_generate_draws(klein: SyntheticSet, work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """``generate`` writes the picture, says so in one line, and returns 0."""
    assert main(["generate", "a red circle", *model_options(klein), *SMALL, SILENT, "-s", "7", "-o", "out.png"]) == 0
    output = capsys.readouterr()
    assert output.out.startswith("out.png: 64x64, seed 7, ")
    assert output.err == ""
    assert GenerationSettings.from_png("out.png") == GenerationSettings(
        "a red circle", width=64, height=64, steps=2, seed=7
    )


def test_sd_clis_names_work(model: SyntheticSet, work: Path) -> None:
    """The names that sd-cli has for things are understood."""
    options = ["-p", "cat", "-n", "dog", "--cfg-scale", "2", "--sampling-method", "heun", "--scheduler", "discrete"]
    options += ["--seed", "-1", "-t", "1", "-b", "2", "--vae-tiling", "-v"]
    assert main(["generate", *options, *model_options(model), *SMALL]) == 0
    settings = GenerationSettings.from_png("output.png")
    assert (settings.negative_prompt, settings.sampler, settings.vae_tile_size) == ("dog", "heun", 256)
    assert GenerationSettings.from_png("output_2.png").seed == settings.seed + 1


def test_settings_from_a_picture(model: SyntheticSet, work: Path) -> None:
    """``--settings-from`` draws a picture again, with the changes that options make."""
    main(["generate", "cat", *model_options(model), *SMALL, "-s", "7", "-o", "a.png"])
    command = ["generate", *model_options(model), "--device", "cpu", "--settings-from", "a.png"]
    assert main([*command, "-o", "b.png"]) == 0
    assert Image.open("a.png").tobytes() == Image.open("b.png").tobytes()
    assert GenerationSettings.from_png("a.png") == GenerationSettings.from_png("b.png")
    assert main([*command, "-o", "c.png", "-s", "8"]) == 0
    assert GenerationSettings.from_png("c.png").seed == 8
    assert main([*command, "-o", "d.png", "-s", "-1"]) == 0
    assert GenerationSettings.from_png("d.png").seed not in (7, -1)


@pytest.fixture
def given(work: Path) -> Callable[[], list[str]]:
    """Pictures in a folder of their own, so that nothing else is in the current one: the options that name none."""
    folder = work / "given"
    folder.mkdir()
    rows, columns = np.mgrid[0:64, 0:96]
    waves = np.stack([2 * columns, 3 * rows, (columns * rows) % 255], -1).astype(np.uint8)
    Image.fromarray(waves).save(folder / "waves.png")
    Image.fromarray(255 - waves).save(folder / "other.png")
    mask = np.zeros((64, 96), np.uint8)
    mask[16:48, 32:64] = 255
    Image.fromarray(mask).save(folder / "mask.png")
    Image.fromarray(mask[:, :64]).save(folder / "narrow.png")
    Image.fromarray(np.zeros((64, 96), np.uint8)).save(folder / "black.png")
    (folder / "text.png").write_text("a red circle")
    return lambda: sorted(str(file.relative_to(work)) for file in work.rglob("*") if file.parent != folder)


@pytest.mark.sample(1)
@pytest.mark.parametrize("names", [("-i", "-r"), ("--image", "--reference"), ("--init-img", "--ref-image")])
def test_pictures_are_drawn_from(
    klein: SyntheticSet, klein_generator: Generator, given: object, names: tuple[str, str]
) -> None:
    """``--image``, ``--mask``, ``--strength``, ``--reference``, ``--guidance``: what ``generate`` draws with them."""
    image, reference = names
    command = ["generate", "cat", *model_options(klein), "--steps", "2", "-s", "7", "--device", "cpu"]
    options = [image, "given/waves.png", "--mask", "given/mask.png", "--strength", "0.6", "--guidance", "2.5"]
    options += [reference, "given/other.png", reference, "given/waves.png"]
    assert main([*command, *options, "-o", "out.png"]) == 0
    settings = GenerationSettings.from_png("out.png")
    assert (settings.strength, settings.guidance, settings.width, settings.height) == (0.6, 2.5, 96, 64)
    expected = klein_generator.generate(
        settings,
        image="given/waves.png",
        mask="given/mask.png",
        strength=0.6,
        reference_images=["given/other.png", "given/waves.png"],
    )
    assert np.array_equal(np.asarray(Image.open("out.png")), np.asarray(expected))
    untouched = np.asarray(Image.open("given/mask.png")) == 0
    drawn, waves = (np.asarray(Image.open(file)) for file in ("out.png", "given/waves.png"))
    assert np.array_equal(drawn[untouched], waves[untouched])


def test_a_picture_is_resized_when_it_is_told(model: SyntheticSet, given: object) -> None:
    """``--resize`` brings a picture to the drawing's size, in each of its ways."""
    command = ["generate", "cat", *model_options(model), *SMALL, "-s", "7", "-i", "given/waves.png"]
    for how in ("cover", "fit", "pad"):
        assert main([*command, "--resize", how, "-o", f"{how}.png"]) == 0
        assert GenerationSettings.from_png(f"{how}.png").strength == 0.75
    drawn = [Image.open(f"{how}.png") for how in ("cover", "fit", "pad")]
    assert {picture.size for picture in drawn} == {(64, 64)}
    assert len({picture.tobytes() for picture in drawn}) == 3


def test_settings_from_a_picture_that_began_from_one(model: SyntheticSet, given: object) -> None:
    """``--settings-from`` with the picture given again draws the same bytes, ``--strength`` included."""
    start = ["-i", "given/waves.png"]
    options = [*model_options(model), "--device", "cpu", *start]
    assert main(["generate", "cat", *options, "--strength", "0.3", "--steps", "4", "-s", "7", "-o", "a.png"]) == 0
    assert main(["generate", *options, "--settings-from", "a.png", "-o", "b.png"]) == 0
    assert GenerationSettings.from_png("b.png") == GenerationSettings.from_png("a.png")
    assert Image.open("a.png").tobytes() == Image.open("b.png").tobytes()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["-i", "missing.png"], "image 'missing.png' does not exist"),
        (["-i", "given"], "is a folder"),
        (["-i", "given/text.png"], "is no picture"),
        (["-i", "given/waves.png", "-W", "64"], "--resize cover"),
        (["-i", "given/waves.png", "--resize", "crop"], "resize must be one of"),
        (["-i", "given/waves.png", "--strength", "0"], "strength must be above 0"),
        (["-i", "given/waves.png", "--strength", "1.5"], "strength must be from 0 to 1"),
        (["-i", "given/waves.png", "--strength", "nan"], "strength must be from 0 to 1"),
        (["--strength", "0.5"], "give that one as --image"),
        (["--mask", "given/mask.png"], "give that one as --image"),
        (["-i", "given/waves.png", "--mask", "given/narrow.png"], "mask is 64x64 and image 96x64"),
        (["-i", "given/waves.png", "--mask", "given/black.png"], "all black"),
        (["-r", "given/waves.png"], "Z-Image takes no reference images"),
        (["--guidance", "101"], "guidance must be from 0 to 100"),
    ],
)
def test_an_error_over_a_picture_is_one_plain_line(
    model: SyntheticSet,
    given: Callable[[], list[str]],
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    says: str,
) -> None:
    """Pictures that cannot be used end with 1 and one line, and no file is written."""
    command = ["generate", "cat", *model_options(model), "--steps", "2", "--device", "cpu", SILENT]
    assert main([*command, *options]) == 1
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith("sdcpp-py: error: ")
    assert output.err.count("\n") == 1
    assert says in output.err
    assert given() == ["given"]


@pytest.mark.parametrize("option", ["--strength", "--guidance"])
def test_what_is_no_number_is_wrong_usage(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Words where a number belongs end with 2, as other wrong usage does."""
    with pytest.raises(SystemExit) as caught:
        main(["generate", "cat", option, "much"])
    assert caught.value.code == 2
    assert f"{option}: invalid float value: 'much'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--width", "500"], "nearest is 496"),
        (["--steps", "0"], "steps must be"),
        (["--cfg-scale", "nan"], "--cfg-scale must be"),
        (["--seed", "-2"], "seed must be"),
        (["--count", "0"], "--count must be"),
        (["-o", "missing/out.png"], "does not exist"),
        (["-o", "out.xyz"], "no picture format"),
        (["-o", "out.blp"], "no picture format"),
        (["-o", "out.h5"], "no picture format"),
        (["-o", "out"], "/out has no suffix, which decides the format of the picture; try "),
        (["-o", "", "-b", "2"], "has no suffix"),
        (["-o", "/proc/self/out.png"], "be written in the folder /proc/self"),
        (["-o", "a" * 251 + ".png", "-b", "2"], "no name for a file"),
        (["-o", "%d/out.png", "-b", "2"], "put it into the file's name"),
        (["--vae", "missing.safetensors"], "missing.safetensors"),
        (["--device", "vulkan77"], "there is no device"),
        (["--sampler", "eular"], "sampler must be one of"),
        (["--settings-from", "missing.png"], "missing.png"),
    ],
)
def test_an_error_is_one_plain_line(
    model: SyntheticSet, work: Path, capsys: pytest.CaptureFixture[str], options: list[str], says: str
) -> None:
    """An error of ours is one line on standard error without a traceback, and the exit code is 1."""
    assert main(["generate", "cat", *model_options(model), *SMALL, SILENT, *options]) == 1
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith("sdcpp-py: error: ")
    assert output.err.count("\n") == 1
    assert says in output.err
    assert list(work.iterdir()) == []


@pytest.mark.parametrize(
    ("output", "names"),
    [
        ("cat.png", ["cat.png", "cat_2.png", "cat_3.png"]),
        ("%03d.png", ["000.png", "001.png", "002.png"]),
        ("a%d%%_%d.jpg", ["a0%_0.jpg", "a1%_1.jpg", "a2%_2.jpg"]),
        ("100%%.png", ["100%%.png", "100%%_2.png", "100%%_3.png"]),
        ("50%done.png", ["500one.png", "501one.png", "502one.png"]),
        ("%s %5x %%d.png", ["%s %5x %%d.png", "%s %5x %%d_2.png", "%s %5x %%d_3.png"]),
    ],
)
def test_several_pictures_have_several_names(output: str, names: list[str]) -> None:
    """The second picture is name_2, or where the name has %d or %03d, that is each picture's number, as in sd-cli."""
    assert output_names(f"folder/{output}", 3) == [Path("folder") / name for name in names]
    assert output_names(f"folder/{output}", 1) == [Path("folder") / names[0]]


def test_pictures_are_numbered(model: SyntheticSet, work: Path) -> None:
    """``-o %03d.png`` writes a picture for each number."""
    assert main(["generate", "cat", *model_options(model), *SMALL, "-b", "2", "-o", "%03d.png"]) == 0
    assert sorted(path.name for path in work.iterdir()) == ["000.png", "001.png"]


def test_a_folder_in_the_place_of_a_later_picture_is_seen_first(
    model: SyntheticSet, work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """No picture is drawn where a later one of the same command has no place."""
    Path("cat_2.png").mkdir()
    assert main(["generate", "cat", *model_options(model), *SMALL, "-b", "2", "-o", "cat.png"]) == 1
    assert "cat_2.png is a folder" in capsys.readouterr().err
    assert [path.name for path in work.iterdir()] == ["cat_2.png"]


@pytest.mark.parametrize("command", ["plan", "fit", "bench"])
def test_no_place_for_temporary_files_is_one_plain_line(
    command: str, work: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where the system has no folder for temporary files, an error says how to name one."""

    def fail(*_: object, **__: object) -> None:
        raise FileNotFoundError(2, "No usable temporary directory found")

    monkeypatch.setattr("tempfile.mkdtemp", fail)
    assert main([command, *([] if command == "fit" else ["klein-4b"])]) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert "No usable temporary directory found" in error
    assert "TMPDIR" in error


def test_a_contact_sheet_has_a_format_that_can_be_written(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """``demo`` refuses a format that cannot hold its sheet before it draws."""
    assert main(["demo", "-o", "sheet.blp", "--device", "cpu"]) == 1
    assert "no picture format" in capsys.readouterr().err
    assert list(work.iterdir()) == []


def test_wrong_usage_is_2(model: SyntheticSet, capsys: pytest.CaptureFixture[str]) -> None:
    """Wrong usage ends with 2 and one line that names the help."""
    for arguments in ([], ["generate", "cat", "--steps", "four"], ["paint"]):
        with pytest.raises(SystemExit) as caught:
            main(arguments)
        assert caught.value.code == 2
        error = capsys.readouterr().err
        assert error.startswith("sdcpp-py")
        assert error.endswith(" --help)\n")
        assert error.count("\n") == 1


def test_no_prompt_is_said(model: SyntheticSet, work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a prompt the command says how to give one."""
    for options in ([], model_options(model)):
        assert main(["generate", *options]) == 1
        assert "there is no prompt" in capsys.readouterr().err


def test_prompts_that_are_no_text(model: SyntheticSet, work: Path) -> None:
    """Bytes that are no UTF-8 on the command line are an error in one line, not a traceback."""
    command: list[str | bytes] = [sys.executable, "-m", "sdcpp_py", "generate", b"caf\xe9", *model_options(model)]
    result = subprocess.run(command, capture_output=True, timeout=PATIENCE, env={**os.environ, "LC_ALL": "C.UTF-8"})
    assert result.returncode == 1
    assert b"lone surrogate" in result.stderr
    assert result.stderr.count(b"\n") == 1


# As ``python -m sdcpp_py``, with a file that is there once the engine is at work.
BEGINS = """
import sys
from pathlib import Path
from sdcpp_py.cli import main
from sdcpp_py.pipeline.progress_meter import Meter
listen = Meter.listen
def told(self, report):
    Path("begun").touch()
    listen(self, report)
Meter.listen = told
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.timing
def test_ctrl_c_is_130(model: SyntheticSet, work: Path) -> None:
    """Ctrl-C ends the program with 130, quickly and in one line."""
    command = [sys.executable, "-c", BEGINS, "generate", "cat", *model_options(model), "-W", "768", "-H", "768"]
    process = subprocess.Popen(
        [*command, "--steps", "1000", "--device", "cpu", SILENT],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell's background jobs, and with them these tests, may have been started deaf to it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert until(lambda: Path("begun").exists() or process.poll() is not None)
    pressed = time.perf_counter()
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=PATIENCE)
    assert time.perf_counter() - pressed < 5
    assert process.returncode == 130, errors
    assert errors.strip() == "sdcpp-py: interrupted"
    assert output == ""


def test_info_shows_settings(model: SyntheticSet, work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """``info`` prints the settings of a picture, as text and as JSON."""
    main(["generate", "a red circle", *model_options(model), *SMALL, "-s", "7", "-o", "out.png"])
    capsys.readouterr()
    assert main(["info", "out.png"]) == 0
    text = capsys.readouterr().out
    assert "prompt           a red circle" in text
    assert "seed             7" in text
    assert main(["info", "out.png", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["settings"]["seed"] == 7
    assert main(["info", "missing.png"]) == 1


def test_doctor_knows_the_machine(capsys: pytest.CaptureFixture[str]) -> None:
    """``doctor`` tells version, engine, CPU module, devices, memory and watchdog, as text and as JSON."""
    assert main(["doctor"]) == 0
    text = capsys.readouterr().out
    for word in (
        sdcpp_py.__version__,
        "90e87bc8",
        "module",
        "features",
        "RAM",
        "device    cpu",
        "watchdog",
        "backends",
    ):
        assert word in text
    assert main(["doctor", "--json"]) == 0
    machine = json.loads(capsys.readouterr().out)
    assert machine["cpu"]["module"] in machine["cpu"]["modules_built"]
    assert machine["memory"]["total"] >= machine["memory"]["available"] > 0
    assert machine["devices"][-1]["name"] == "cpu"


def test_synth_writes_a_model(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """``synth`` writes a file of random weights and lists what it can write."""
    assert main(["synth", "tiny-flux2-vae", "."]) == 0
    assert Path("tiny-flux2-vae.safetensors").exists()
    capsys.readouterr()
    assert main(["synth", "list"]) == 0
    assert "klein-4b" in capsys.readouterr().out.split()
    assert main(["synth", "nonsense", "."]) == 1
    assert main(["synth", "tiny-klein", ".", "--quant", "Q9"]) == 1
    assert "Q9" in capsys.readouterr().err
    assert main(["synth", "tiny-klein", "missing"]) == 1
    assert "does not exist" in capsys.readouterr().err
    Path("models").mkdir()
    assert main(["synth", "tiny-klein", "--quant", "Q8_0", "models"]) == 0
    assert [file.suffix for file in Path("models").iterdir()] == [".gguf"]


def test_info_shows_any_prompt_on_any_terminal(work: Path) -> None:
    """A prompt that the terminal's encoding lacks is shown with escapes."""
    picture = GeneratedImage(Image.new("RGB", (64, 64)), GenerationSettings("猫"), {}, {}, "abc")
    picture.save("cat.png")
    command = [sys.executable, "-m", "sdcpp_py", "info", "cat.png"]
    result = subprocess.run(command, capture_output=True, env={**os.environ, "PYTHONIOENCODING": "latin-1"})
    assert result.returncode == 0, result.stderr
    assert b"\\u732b" in result.stdout


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """``--version`` prints the version."""
    with pytest.raises(SystemExit) as caught:
        main(["--version"])
    assert caught.value.code == 0
    assert capsys.readouterr().out.strip() == f"sdcpp_py {sdcpp_py.__version__}"


def test_warnings_of_the_engine_are_for_the_log(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Warnings of the library are shown; the engine's, some of which come with every good model, with ``--verbose``."""

    def run(options: argparse.Namespace) -> None:
        logging.getLogger("sdcpp_py").warning("ours")
        logging.getLogger("sdcpp_py.engine").warning("the engine's")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sdcpp_py.cli.doctor.run", run)
        assert main(["doctor"]) == 0
        assert capsys.readouterr().err == "sdcpp-py: warning: ours\n"
        assert main(["doctor", "--verbose"]) == 0
        assert capsys.readouterr().err == "ours\nthe engine's\n"
        assert main(["doctor"]) == 0
        assert capsys.readouterr().err == "sdcpp-py: warning: ours\n"
