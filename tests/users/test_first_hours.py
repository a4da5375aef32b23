"""The first hour of four kinds of people, step by step; a person in Jupyter is played by ``test_notebook.py``."""

from __future__ import annotations

import io
import json
import shlex
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from sdcpp_py import GenerationCancelled, GenerationSettings, Generator, Progress, SettingsError
from sdcpp_py.cli import main
from sdcpp_py.synth import SyntheticSet


def said(capsys: pytest.CaptureFixture[str], *command: object, code: int = 0) -> str:
    """What a command prints, errors too."""
    assert main([str(word) for word in command]) == code
    captured = capsys.readouterr()
    return captured.out + captured.err


def size_of(path: str) -> tuple[int, int]:
    with Image.open(path) as image:
        width, height = image.size
        return int(width), int(height)


def pixels_of(path: str) -> bytes:
    with Image.open(path) as image:
        return bytes(image.tobytes())


def test_a_student_with_a_laptop(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Draws at once, learns what the machine offers, what fits, and what to change where a value is wrong."""
    assert "circle.png" in said(capsys, "generate", "a red circle", "-o", "circle.png", "-s", "1")
    assert size_of("circle.png") == (128, 128)
    assert "a red circle" in said(capsys, "info", "circle.png")
    assert "RAM" in said(capsys, "doctor")
    assert "z-image-turbo" in said(capsys, "models", "z-image")
    assert "resident" in said(capsys, "plan", "tiny-z-image:Q8_0", "-W", "64", "-H", "64", "--memory", "1GiB")
    assert "tiny-klein" in said(capsys, "fit", "tiny-klein:Q8_0", "--sizes", "64", "--memory", "1GiB")
    wrong = said(capsys, "generate", "a red circle", "-W", "100", code=1)
    assert "the nearest" in wrong
    assert "did you mean z-image-turbo" in said(capsys, "generate", "x", "-m", "zimage-turbo", code=1)
    assert "8GiB" in said(capsys, "generate", "x", "--memory", "8", code=1)


def test_a_developer_of_a_bot(generator: Generator) -> None:
    """Brings diffusers' words, sends bytes, reports progress, cancels from elsewhere, and generates on."""
    size: dict[str, Any] = {"width": 64, "height": 64, "steps": 2}
    with pytest.raises(TypeError, match=r"'guidance_scale'.*'cfg_scale'"):
        generator.generate("a cat", guidance_scale=3, **size)  # type: ignore[call-arg]
    with pytest.raises(SettingsError, match="generate_batch"):
        generator.generate(["a cat", "a dog"], **size)  # type: ignore[arg-type]
    seen: list[Progress] = []
    picture = generator.generate("a cat", seed=-1, on_progress=seen.append, **size)
    assert seen[-1].fraction == 1
    answer = picture.to_bytes("JPEG", quality=90)
    assert answer.startswith(b"\xff\xd8")
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG")
    again = generator.generate(GenerationSettings.from_image(buffer))
    assert np.array_equal(np.asarray(again), np.asarray(picture))

    begun, cancelled = threading.Event(), threading.Event()

    def wait(progress: Progress) -> None:
        begun.set()
        cancelled.wait()  # else the picture might be done before this thread comes to cancel it

    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(generator.generate, "a dog", on_progress=wait, **size)
        begun.wait()
        generator.cancel()
        cancelled.set()
        with pytest.raises(GenerationCancelled):
            running.result()
    assert np.array_equal(np.asarray(generator.generate(picture.settings)), np.asarray(picture))


def test_a_person_with_pictures_and_files_of_the_web_ui(
    model: SyntheticSet, work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Takes settings out of an old picture, uses the sampler's name as it is known there, and a command of sd-cli."""
    text = PngImagePlugin.PngInfo()
    text.add_text(
        "parameters",
        "a lighthouse\nNegative prompt: fog\n"
        "Steps: 2, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 4, Seed: 7, Size: 64x64, Model: old",
    )
    Image.new("RGB", (64, 64)).save("old.png", pnginfo=text)
    shown = said(capsys, "info", "old.png")
    assert "a lighthouse" in shown
    assert "dpm++2m" in shown
    files = ["--diffusion-model", model.diffusion_model, "--llm", model.text_encoder, "--vae", model.vae]
    said(capsys, "generate", *files, "--settings-from", "old.png", "-o", "new.png")
    settings = GenerationSettings.from_image("new.png")
    assert (settings.prompt, settings.negative_prompt, settings.seed) == ("a lighthouse", "fog", 7)
    assert (settings.sampler, settings.scheduler) == ("dpm++2m", "karras")
    said(
        capsys, "generate", "a lighthouse", *files, "--sampler", "DPM++ 2M Karras", "-n", "fog", "--steps", "2",
        "--cfg-scale", "4", "-s", "7", "-W", "64", "-H", "64", "-o", "typed.png",
    )  # fmt: skip
    assert pixels_of("typed.png") == pixels_of("new.png")
    theirs = shlex.join(
        ["./sd-cli", *map(str, files), "-p", "a cat", "--steps", "2", "-W", "64", "-H", "64", "--diffusion-fa"]
    )
    ours = said(capsys, "from-sd-cli", "--only", "command", "--", theirs)
    line = next(line for line in ours.splitlines() if line.startswith("sdcpp-py generate"))
    said(capsys, *shlex.split(line)[1:], "-o", "cat.png")
    assert size_of("cat.png") == (64, 64)


@pytest.mark.slow
def test_a_packager(work: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Reads what programs read: versions, JSON without anything around it, codes, and names of what is missing."""
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith("sdcpp_py ")
    assert json.loads(said(capsys, "doctor", "--json"))["cpu"]["module"]
    assert any(entry["name"] == "z-image-turbo" for entry in json.loads(said(capsys, "models", "--json"))["models"])
    with pytest.raises(SystemExit) as wrong:
        main(["generate", "x", "--no-such-option"])
    assert wrong.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    offline = said(capsys, "generate", "x", "-m", "z-image-turbo:Q2_K", "--hub-cache", work, code=1)
    assert "z_image_turbo" in offline.replace("-", "_").lower()
    assert offline.count("\n") == 1
