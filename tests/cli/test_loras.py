"""LoRAs on the command line, in prompts, and in the pictures that come of them."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest
from PIL import Image

from sdcpp_py import GenerationSettings, MetadataWarning, read_metadata
from sdcpp_py.cli import main
from sdcpp_py.cli.parser import parse
from sdcpp_py.cli.sd_cli.command_line import sd_cli_arguments
from sdcpp_py.cli.sd_cli.translation import translate
from sdcpp_py.cli.shared_options import file_and_weight
from sdcpp_py.image_files import read_texts
from sdcpp_py.settings.applied_loras import AppliedLora
from sdcpp_py.synth import SyntheticSet, write


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ink.safetensors", ("ink.safetensors", 1.0)),
        ("ink.safetensors:0.8", ("ink.safetensors", 0.8)),
        ("ink.safetensors:-2", ("ink.safetensors", -2.0)),
        (r"C:\loras\ink.safetensors", (r"C:\loras\ink.safetensors", 1.0)),
        (r"C:\loras\ink.safetensors:.5", (r"C:\loras\ink.safetensors", 0.5)),
        ("a:b.safetensors:0.5", ("a:b.safetensors", 0.5)),
        ("a:b.safetensors", ("a:b.safetensors", 1.0)),
        ("ink.safetensors:", ("ink.safetensors:", 1.0)),
        ("ink.safetensors:nan", ("ink.safetensors:nan", 1.0)),
        (":0.5", (":0.5", 1.0)),
    ],
)
def test_a_weight_is_a_number_behind_the_last_colon(text: str, expected: tuple[str, float]) -> None:
    """And everything before it is the file, colons of its own included."""
    assert file_and_weight(text) == expected
    assert parse(["generate", "x", "--lora", text, "--lora", "y"]).loras == [expected, ("y", 1.0)]


def test_loras_are_applied_and_said(klein: SyntheticSet, work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By ``--lora`` and in the prompt with ``--lora-dir`` the picture is the same, and says which."""
    folder = work / "loras" / "sub"
    folder.mkdir(parents=True)
    shutil.move(write("tiny-klein-lora", work), folder / "ink.safetensors")
    digest = hashlib.sha256((folder / "ink.safetensors").read_bytes()).hexdigest()[:10]
    files = ["--diffusion-model", str(klein.diffusion_model), "--llm", str(klein.text_encoder), "--vae", str(klein.vae)]
    command = ["generate", *files, "-W", "64", "-H", "64", "--steps", "1", "-s", "3", "--device", "cpu", "-o"]
    mentioned = "a cat <lora:sub/ink:2.5>"
    assert main([*command, "plain.png", "a cat"]) == 0
    assert main([*command, "file.png", "a cat", "--lora", "loras/sub/ink.safetensors:2.5"]) == 0
    assert main([*command, "prompt.png", mentioned, "--lora-dir", "loras"]) == 0
    assert main([*command, "none.png", "a cat", "--lora", "loras/sub/ink.safetensors:0"]) == 0
    pixels = {name: Image.open(f"{name}.png").tobytes() for name in ("plain", "file", "prompt", "none")}
    assert pixels["file"] == pixels["prompt"] != pixels["plain"] == pixels["none"]
    for name in ("file.png", "prompt.png"):
        metadata = read_metadata(name)
        assert metadata.loras == (AppliedLora("ink", 2.5, digest),)
        assert metadata.settings.prompt == "a cat"
        assert f'Lora hashes: "ink: {digest}"' in read_texts(name).by_name["parameters"]
    assert read_metadata("none.png").loras == read_metadata("plain.png").loras == ()
    capsys.readouterr()

    assert main(["info", "file.png"]) == 0
    assert f"lora             ink at 2.5, sha256 {digest}\n" in capsys.readouterr().out
    assert main(["info", "file.png", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["loras"] == [{"name": "ink", "weight": 2.5, "sha256": digest}]

    assert main([*command, "again.png", "--settings-from", "file.png"]) == 0
    assert f"file.png: it was generated with LoRAs, which are not taken: ink at 2.5, sha256 {digest}" in (
        capsys.readouterr().err
    )
    assert Image.open("again.png").tobytes() == pixels["plain"]
    assert main([*command, "again.png", "--settings-from", "file.png", "--lora", "loras/sub/ink.safetensors:2.5"]) == 0
    assert "not taken" not in capsys.readouterr().err
    assert Image.open("again-2.png").tobytes() == pixels["file"]
    with pytest.warns(MetadataWarning, match="ink at 2.5"):
        GenerationSettings.from_png("file.png")

    assert main([*command, "words.png", mentioned]) == 0
    assert "read as words: give its file as --lora" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--lora", "no.safetensors"], "no.safetensors; no model file is in"),
        (["--lora", "x:101"], "the weight of a LoRA must be from -100 to 100"),
        (["--lora", "x", "--lora", "x"], "--lora has 'x' twice"),
        (["--lora-dir", "none"], "--lora-dir must be a folder of LoRAs"),
        (["--lora-model-dir", "none"], "--lora-model-dir must be a folder of LoRAs"),
        (["--lora-dir", ".", "-p", "a cat <lora:ink:1>"], "the prompt names the LoRA 'ink'"),
        (["--lora-dir", ".", "-p", "a cat <lora:../ink:1>"], "give others by --lora"),
    ],
)
def test_wrong_loras_are_said_before_a_model_is_opened(
    arguments: list[str], says: str, work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the words of the command line, and no picture is written."""
    given = arguments if "-p" in arguments else ["a cat", *arguments]
    assert main(["generate", "-m", "tiny", "-W", "64", "-H", "64", "--device", "cpu", *given]) == 1
    error = capsys.readouterr().err
    assert error.startswith("sdcpp-py: error: ")
    assert says in error
    assert error.count("\n") == 1
    assert list(work.iterdir()) == []


@pytest.mark.parametrize(
    ("command", "line"),
    [
        ("sd-cli -m a -p 'b <lora:ink:0.5>' --lora-model-dir d", "--prompt 'b <lora:ink:0.5>' --lora-model-dir d"),
        ("sd-cli -m a -p 'b <lora:ink:0.5>'", "--prompt 'b <lora:ink:0.5>' --lora-model-dir ."),
        ("sd-cli -m a -p b --lora-apply-mode at_runtime", "--prompt b"),
    ],
)
def test_sd_clis_loras_are_translated(command: str, line: str) -> None:
    """Without a folder, sd-cli looks for what a prompt names in the current one."""
    assert translate(sd_cli_arguments([command])).line == f"sdcpp-py generate --model a {line}"


def test_sd_clis_loras_are_python_too(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The code takes them out of the prompt as the command does, and is code."""
    command = "sd-cli -m x.gguf -p 'b <lora:ink:0.5>' --lora-model-dir d"
    assert main(["from-sd-cli", "--only", "python", command]) == 0
    code = capsys.readouterr().out
    assert "prompt, loras = loras_in_prompt('b <lora:ink:0.5>', 'd')\n" in code
    assert "        prompt,\n        loras=loras,\n" in code
    compile(code, "printed", "exec")
