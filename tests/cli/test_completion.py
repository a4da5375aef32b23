"""What shells complete."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sdcpp_py import SAMPLERS, SCHEDULERS, devices
from sdcpp_py.cli import main
from sdcpp_py.models.catalogue import open_catalogue
from tests.support.patience import PATIENCE

# What readline does: the words of the line, and the function that `complete` was told of.
ASK = """
source ./completion
read -ra words <<< "$(complete -p sdcpp-py)"
for ((i = 0; i < ${#words[@]}; i++)); do [[ ${words[i]} == -F ]] && function=${words[i + 1]}; done
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
"$function" sdcpp-py "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture
def script(work: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """The script for bash, written by the command, with a file beside it."""
    assert main(["completion", "bash"]) == 0
    path = work / "completion"
    path.write_text(capsys.readouterr().out)
    (work / "zebra.gguf").touch()
    return path


def completed(script: Path, *words: str) -> set[str]:
    """What bash offers for the last of the words."""
    command = ["bash", "--norc", "-c", ASK, "bash", "sdcpp-py", *words]
    run = subprocess.run(command, capture_output=True, text=True, cwd=script.parent, timeout=PATIENCE, check=True)
    assert run.stderr == ""
    return set(run.stdout.split())


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_bash_completes_commands_options_and_names(script: Path) -> None:
    """Commands, options, models with aliases, samplers, schedulers, devices and files are offered where they belong."""
    catalogue = open_catalogue()
    models = {*catalogue.models, *catalogue.aliases, "tiny"}
    assert completed(script, "gen") == {"generate"}
    assert "--steps" in completed(script, "generate", "--st")
    assert completed(script, "generate", "--sampler", "") == set(SAMPLERS)
    assert completed(script, "generate", "cat", "--scheduler", "k") == {n for n in SCHEDULERS if n.startswith("k")}
    assert completed(script, "generate", "-m", "z") == {n for n in models if n.startswith("z")} | {"zebra.gguf"}
    assert completed(script, "plan", "flux") == {name for name in models if name.startswith("flux")}
    assert completed(script, "generate", "--device", "") == {"auto", *(device.name for device in devices())}
    assert completed(script, "inspect", "ze") == {"zebra.gguf"}
    assert completed(script, "generate", "--lora", "ze") == {"zebra.gguf"}
    assert completed(script, "generate", "--resize", "") == {"cover", "pad", "fit"}


def test_a_script_for_zsh_is_written(capsys: pytest.CaptureFixture[str]) -> None:
    """It begins as zsh wants it, and knows models and samplers."""
    assert main(["completion", "zsh"]) == 0
    script = capsys.readouterr().out
    assert script.startswith("#compdef sdcpp-py")
    assert "z-image-turbo" in script
    assert "_complete_sampler" in script


def test_without_shtab_the_error_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Who has not installed the extra is told its name, in one line."""
    monkeypatch.setitem(sys.modules, "shtab", None)
    assert main(["completion", "bash"]) == 1
    assert capsys.readouterr().err == "sdcpp-py: error: completion needs shtab: pip install 'sdcpp_py[completion]'\n"
