"""The model inside the package: what it draws is what was asked for."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tiny_model.lora.scores import rewritten
from tiny_model.scores import drawn_scores, held_out_prompts, share_right
from tiny_model.world.scoring import read_picture

from sdcpp_py import Generator, ModelMismatchError, ModelNotFoundError, SettingsError
from sdcpp_py.cli import main
from sdcpp_py.models.bundled import TINY, bundled_files
from sdcpp_py.models.detect.headers import read_header
from sdcpp_py.models.files import check_files
from sdcpp_py.settings.metadata import read_png
from sdcpp_py.synth import SyntheticSet
from tests.support.seconds import quickest, slower_than_usual

PROMPTS = held_out_prompts(24, seed=11)


@pytest.fixture(scope="module")
def tiny() -> Iterator[Generator]:
    """The model in the package."""
    with Generator.from_pretrained("tiny", device="cpu") as generator:
        yield generator


def right(generator: Generator, count: int) -> float:
    """The share of all that the first prompts ask for which the pictures show."""
    return share_right(drawn_scores(generator, PROMPTS[:count]))


@pytest.mark.parametrize("count", [5, pytest.param(len(PROMPTS), marks=pytest.mark.slow)])
def test_the_picture_shows_what_the_prompt_says(tiny: Generator, count: int) -> None:
    """Background, colour, shape, place and size are read back from pictures of prompts that were never trained on."""
    assert right(tiny, count) > 0.9


def test_the_readme_prompt_gives_a_red_circle(tiny: Generator) -> None:
    """The first picture that a user draws is the one they asked for, in the model's own size."""
    picture = tiny.generate("a red circle on a white background", seed=1)
    reading = read_picture(picture.image)
    assert picture.image.size == (128, 128)
    assert reading.background == "white"
    assert [(shape.kind, shape.color) for shape in reading.shapes] == [("circle", "red")]


@pytest.mark.slow
def test_seeds_move_the_shapes(tiny: Generator) -> None:
    """Seeds choose what the caption leaves open: where exactly the shape lies, not what it is."""
    shapes = [
        read_picture(tiny.generate("a blue square on a yellow background", seed=seed).image).shapes
        for seed in range(12)
    ]
    assert all(len(found) == 1 and found[0].color == "blue" for found in shapes)
    assert np.ptp([found[0].x for found in shapes]) > 0.05


@pytest.mark.sample(1)
@pytest.mark.parametrize("size", [(96, 96), (192, 128), (128, 160)])
def test_other_sizes_and_shapes_of_pictures(tiny: Generator, size: tuple[int, int]) -> None:
    """Sizes that it was trained on besides 128 x 128 are drawn right too."""
    picture = tiny.generate("a green circle on a black background", width=size[0], height=size[1], seed=3)
    reading = read_picture(picture.image)
    assert picture.image.size == size
    assert reading.background == "black"
    assert [shape.color for shape in reading.shapes] == ["green"]


@pytest.mark.sample(1)
@pytest.mark.parametrize("prompt", ["", "quetzalcoatlus 🦖 no known word", "word " * 480])
def test_any_prompt_gives_a_picture(tiny: Generator, prompt: str) -> None:
    """Words that it does not know, none at all, or more than a caption has: a picture comes out, without an error."""
    assert tiny.generate(prompt, seed=0).image.size == (128, 128)


def test_files_are_as_small_as_promised() -> None:
    """All three files together have no more than 20 MB."""
    files = bundled_files(TINY)
    assert sum(file.stat().st_size for file in (files.diffusion_model, files.text_encoder, files.vae)) < 20e6


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    """A name that no model has is a FileNotFoundError that says which names there are."""
    with pytest.raises(ModelNotFoundError, match=r"'tinny'.*tiny"):
        Generator.from_pretrained("tinny")


def test_a_tiny_autoencoder_of_another_family_is_refused(model: SyntheticSet) -> None:
    """FLUX.2's tiny autoencoder with a Z-Image denoiser is refused before any weight is read."""
    with pytest.raises(ModelMismatchError, match=r"32 latent channels.*16"):
        check_files(model.diffusion_model, model.text_encoder, bundled_files(TINY).vae)


def test_a_tiny_autoencoder_given_as_denoiser_is_put_right() -> None:
    """A file in the wrong place is named, with the argument that it belongs to."""
    files = bundled_files(TINY)
    with pytest.raises(ModelMismatchError, match="give it as vae"):
        check_files(files.vae, files.text_encoder, files.vae)


def test_the_full_vae_class_still_serves(klein: SyntheticSet) -> None:
    """The tiny denoiser decodes with a full-format VAE too: the two kinds of files are told apart by their tensors."""
    files = bundled_files(TINY)
    checked = check_files(files.diffusion_model, files.text_encoder, klein.vae)
    assert not checked.vae_is_tiny
    assert check_files(files.diffusion_model, files.text_encoder, files.vae).vae_is_tiny


def test_the_size_in_the_file_is_the_default() -> None:
    """The denoiser's file says which size it was trained for, and the family's default gives way."""
    files = bundled_files(TINY)
    family = check_files(files.diffusion_model, files.text_encoder, files.vae).family
    assert (family.width, family.height, family.steps) == (128, 128, 4)


def test_an_autoencoder_in_other_names_is_refused(tmp_path: Path) -> None:
    """TAESD files in the names of its author's code are told from those that are read."""
    from safetensors.numpy import save_file

    file = tmp_path / "taef2_decoder.safetensors"
    save_file({"decoder.1.weight": np.zeros((64, 32, 3, 3), np.float32)}, file)
    files = bundled_files(TINY)
    with pytest.raises(ModelMismatchError, match="other names than diffusers'"):
        check_files(files.diffusion_model, files.text_encoder, file)


@pytest.mark.timing
def test_from_import_to_file_in_two_seconds(run_python: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    """A new process imports the library, draws 128 x 128 in 4 steps and writes the file in 2 s, the best of five.

    Of the clock; or of the CPU, which for all threads together are more where nothing else keeps it busy.
    """
    code = """
import time
began = time.perf_counter()
from sdcpp_py import Generator
with Generator.from_pretrained("tiny", device="cpu", threads=2) as generator:
    generator.generate("a red circle on a white background", seed=1).save("out.png")
print(min(time.perf_counter() - began, time.process_time()))
"""
    most = 2.0 * slower_than_usual()
    assert quickest(lambda: float(run_python(code).stdout), most) < most


@pytest.mark.slow
@pytest.mark.parametrize("quant", ["Q4_0", "F16"])
def test_quantizing_the_denoiser_keeps_the_meaning(tiny: Generator, quant: str, tmp_path: Path) -> None:
    """With the blocks of the denoiser in another type than the package's Q8_0, the score moves by 3 points at most."""
    files = bundled_files(TINY)
    other = tmp_path / f"denoiser-{quant}.gguf"
    rewritten(files.diffusion_model, other, quant)
    assert quant in {tensor.dtype for tensor in read_header(other).tensors.values()}
    with Generator(other, files.text_encoder, files.vae, device="cpu") as generator:
        assert abs(right(generator, len(PROMPTS)) - right(tiny, len(PROMPTS))) <= 0.03


def test_the_command_line_draws_with_it_when_no_model_is_named(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """``sdcpp-py generate PROMPT -o FILE`` draws with the model in the package, and says so in one line on stderr."""
    assert main(["generate", "a red circle on a white background", "-o", "out.png", "-s", "1", "--no-progress"]) == 0
    said = capsys.readouterr()
    assert said.err.count("\n") == 1
    assert "no model named" in said.err
    assert said.out.startswith("out.png: 128x128")
    assert read_picture(Image.open("out.png")).shapes[0].color == "red"


def test_the_command_line_is_silent_when_it_is_named(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Who names the model is not told about it."""
    assert main(["generate", "a red circle", "--model", "tiny", "-s", "1", "--no-progress"]) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--model", "nope"], "'nope'"),
        (["--model", "tiny", "--vae", "x"], "names a whole model"),
        (["--vae", "x"], "no denoiser was given"),
    ],
)
def test_half_a_model_is_refused(
    options: list[str], words: str, work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An unknown name, a name beside files, or too few files end with 1 and one line that says what to do."""
    assert main(["generate", "a red circle", *options]) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert words in said


@pytest.mark.slow
@pytest.mark.parametrize("tile", [128, 64])
@pytest.mark.parametrize("prompt", ["a red circle on a white background", "a blue square on a pink background"])
def test_tiles_leave_no_seam(tiny: Generator, tile: int, prompt: str) -> None:
    """Decoded in tiles, a picture is off by less than half a grey level; no row and no column steps by a whole one."""
    settings: dict[str, Any] = {"width": 256, "height": 256, "seed": 1}
    whole, tiled = (np.asarray(tiny.generate(prompt, **settings, vae_tile_size=size)).astype(int) for size in (0, tile))
    change = tiled - whole
    assert 0 < np.abs(change).mean() < 0.5
    for axis in (0, 1):
        assert np.abs(np.diff(change, axis=axis)).mean(axis=(1 - axis, 2)).max() < 1


@pytest.mark.slow
def test_demo_draws_a_contact_sheet(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """``sdcpp-py demo`` writes a sheet of pictures that are not blank, each above its caption."""
    assert main(["demo", "-o", "sheet.png", "--no-progress"]) == 0
    sheet = np.asarray(Image.open("sheet.png"))
    assert sheet.shape[0] > 300
    assert sheet.shape[1] > 500
    reading = read_picture(sheet[12:140, 12:140])
    assert (reading.background, reading.shapes[0].color, reading.shapes[0].kind) == ("white", "red", "circle")


def test_demo_refuses_a_place_that_cannot_be_written(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder that does not exist is noticed before anything is drawn."""
    assert main(["demo", "-o", "nowhere/sheet.png"]) == 1
    assert "nowhere" in capsys.readouterr().err


def test_settings_are_checked_as_for_any_model(tiny: Generator) -> None:
    """Width and height must be multiples of 16, as for every FLUX.2."""
    with pytest.raises(SettingsError, match="multiple"):
        tiny.generate("a red circle", width=100)


def test_it_serves_as_a_model_in_memory_only_as_long_as_it_is_open() -> None:
    """Closing frees it; its repr says which model it was."""
    generator = Generator.from_pretrained("tiny", device="cpu")
    assert "FLUX.2 Klein" in repr(generator)
    generator.close()
    assert "closed" in repr(generator)


def test_pictures_remember_it(tiny: Generator, tmp_path: Path) -> None:
    """A picture's file names the model's files."""
    file = tiny.generate("a red circle", seed=5).save(tmp_path / "circle.png")
    assert read_png(file).model["diffusion_model"] == "denoiser.gguf"
