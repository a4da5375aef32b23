"""Defaults in the help."""

from __future__ import annotations

import re

import pytest

from sdcpp_py.cli import main
from sdcpp_py.models.catalogue import open_catalogue
from sdcpp_py.models.families import FAMILIES_BY_NAME
from sdcpp_py.synth import SyntheticSet


def help_of(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *words: str) -> dict[str, str]:
    """What the help says of each option, by its long name."""
    monkeypatch.setenv("COLUMNS", "400")
    with pytest.raises(SystemExit) as caught:
        main(["generate", *words])
    assert caught.value.code == 0
    found = {}
    for block in re.split(r"\n(?=  -)|\n\n", capsys.readouterr().out):
        names, _, says = block.strip().partition("  " if "  " in block.strip().partition("\n")[0] else "\n")
        found.update(dict.fromkeys(re.findall(r"--[\w-]+", names), " ".join(says.split())))
    return found


@pytest.mark.parametrize("name", [*open_catalogue().models])
@pytest.mark.parametrize("words", [["--help", "-m", "{}"], ["-m", "{}:Q4_K", "-h"], ["--model={}", "a cat", "--help"]])
def test_the_help_shows_the_named_models_defaults(
    name: str, words: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever the model stands among the words, its own defaults are shown."""
    shown = help_of(capsys, monkeypatch, *(word.format(name) for word in words))
    defaults = open_catalogue().model(name).defaults
    assert shown["--steps"].endswith(f"(default: {defaults.steps})")
    assert shown["--cfg-scale"].endswith(f"(default: {defaults.cfg_scale:g})")
    assert shown["--sampler"].endswith(f"(default: {defaults.sampler})")
    assert shown["--width"].endswith(f"(default: {defaults.width})")


def test_a_turbo_model_has_eight_steps_and_no_guidance(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Z-Image-Turbo's own page says."""
    shown = help_of(capsys, monkeypatch, "-m", "z-image-turbo", "--help")
    assert (shown["--steps"], shown["--cfg-scale"][-12:]) == ("sampling steps, 1 to 1000 (default: 8)", "(default: 1)")
    assert shown["--guidance"].endswith("(default: none, the model reads none)")


def test_a_file_is_known_by_its_family(
    model: SyntheticSet, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The header of a file that is named says which family's defaults are its own."""
    shown = help_of(capsys, monkeypatch, "--diffusion-model", str(model.diffusion_model), "--help")
    assert shown["--steps"].endswith(f"(default: {FAMILIES_BY_NAME['z-image'].steps})")


@pytest.mark.parametrize("words", [[], ["-m", "no-such-model"], ["-m"], ["-m", "owner/repository/file.gguf"]])
def test_without_a_known_model_the_help_says_so(
    words: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where no model is named, or none that is known, help comes all the same."""
    shown = help_of(capsys, monkeypatch, "--help", *words)
    assert shown["--steps"].endswith("(default: the model's own)")


@pytest.mark.parametrize(
    "words", [["z-image-turbo"], ["-m", "z-image-turbo:Q8_0"], ["--memory", "4GiB", "z-image-turbo"]]
)
def test_the_help_of_plan_shows_the_named_models_size(
    words: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The size that is planned without --size is the model's own, and without a model the help says just that."""
    monkeypatch.setenv("COLUMNS", "400")
    defaults = open_catalogue().model("z-image-turbo").defaults
    for named, size in ((words, f"{defaults.width}x{defaults.height}"), ([], "the model's own")):
        with pytest.raises(SystemExit):
            main(["plan", *named, "--help"])
        assert f"of the picture, in pixels (default: {size})" in capsys.readouterr().out
