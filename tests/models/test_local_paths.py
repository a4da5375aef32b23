"""A path that leads to nothing is said to be one, and is not looked for on the Hub."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdcpp_py import Generator, ModelError, ModelNotFoundError, SettingsError, TextEncoder
from sdcpp_py.cli import main
from sdcpp_py.models.catalogue import BUILT_IN, read_catalogues
from sdcpp_py.models.files import check_files
from sdcpp_py.models.inspection import inspect
from sdcpp_py.models.local_paths import MODEL_ENDINGS, is_path
from sdcpp_py.models.pretrained import parse_name
from sdcpp_py.preflight.bench import benchmark
from sdcpp_py.preflight.plan_files import plan_files
from sdcpp_py.system.paths import absolute

PATHS = (
    "./missing.safetensors",
    "missing.gguf",
    "Missing.GGUF",
    "sd/v1-5.safetensors",
    "models/sd/v1-5.safetensors",
    "../models/v1-5.safetensors",
    "/data/models/missing.gguf",
    "~/missing.gguf",
    "C:\\models\\missing.gguf",
    "C:/models/missing.gguf",
    "folder\\missing",
    "./folder",
    "data/models/x.safetensors",
)


# Nothing that a file can be called; no file in folders that are there.
LONG = (f"{'a' * 300}.gguf", f"/{'a' * 300}/b")


@pytest.fixture
def here(work: Path) -> Path:
    """The current folder, with a model in a folder."""
    (work / "data/models").mkdir(parents=True)
    (work / "data/models/xl.safetensors").touch()
    return work


OPENERS: dict[str, Callable[[str], object]] = {
    "diffusion_model": lambda path: Generator(path),
    "text_encoder": lambda path: TextEncoder(path),
    "model": lambda path: Generator(model=path),
    "vae": lambda path: check_files("a.gguf" if Path("a.gguf").exists() else path, None, path),
    "name": lambda path: Generator.from_pretrained(path),
    "plan": lambda path: plan_files({"model": Path(path)}),
    "bench": lambda path: benchmark(path),
    "inspect": lambda path: inspect(path),
}


@pytest.mark.parametrize("opener", OPENERS)
@pytest.mark.parametrize("path", PATHS)
def test_a_path_to_nothing_is_a_missing_file(here: Path, opener: str, path: str) -> None:
    """Wherever a model's file or name is taken: an error that says so, and no question to anybody."""
    with pytest.raises(ModelNotFoundError, match="there is no file") as caught:
        OPENERS[opener](path)
    assert str(absolute(path)) in str(caught.value)


@pytest.mark.parametrize("command", ["generate a -m", "plan", "plan --vae", "bench", "pull", "inspect"])
@pytest.mark.parametrize("path", PATHS)
def test_the_command_line_says_so(here: Path, capsys: pytest.CaptureFixture[str], command: str, path: str) -> None:
    """One line on standard error, and no picture."""
    arguments = [*command.split(), path, *(["--diffusion-model", path] if "--vae" in command else [])]
    assert main(arguments) == 1
    assert "there is no file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("data/models/x.safetensors", "there is no file data/models/x.safetensors; data/models has xl.safetensors"),
        ("data/modls/xl.safetensors", "data has no folder modls (but models)"),
        ("data/models/deep/er/a.gguf", "data/models has no folder deep (but xl.safetensors)"),
        ("missing.gguf", "no model file is in this folder"),
    ],
)
def test_the_nearest_names_are_told(here: Path, path: str, says: str) -> None:
    """What is spelt like it in the nearest folder that is there, or else the models in it."""
    with pytest.raises(ModelNotFoundError) as caught:
        inspect(path)
    assert says in str(caught.value).replace(f"{here}/", "").replace(str(here), "this folder")


@pytest.mark.parametrize("path", LONG)
def test_a_name_that_no_file_can_have_is_an_error_of_ours(
    here: Path, capsys: pytest.CaptureFixture[str], path: str
) -> None:
    """The system refuses it before it looks."""
    for opener in OPENERS.values():
        with pytest.raises(ModelError):
            opener(path)
    assert main(["generate", "a", "-m", path]) == 1
    assert "error:" in capsys.readouterr().err


def test_a_file_that_is_there_is_no_name(here: Path) -> None:
    """Asked for as a name, a file is not looked for on the Hub either."""
    for opener in ("name", "bench"):
        with pytest.raises(SettingsError, match=r"data/models/xl\.safetensors is a file and no name"):
            OPENERS[opener]("data/models/xl.safetensors")


@given(st.from_regex(r"[\w.-]{1,8}(/[\w.-]{1,8}){0,3}", fullmatch=True), st.sampled_from(("", *MODEL_ENDINGS)))
def test_every_name_is_a_path_or_one_of_the_hub(stem: str, ending: str) -> None:
    """Every text is either; a file of a repository, with an owner before it, is none on this disk."""
    try:
        parse_name(stem + ending)
    except ModelNotFoundError:
        assert is_path(stem + ending)
    except SettingsError:
        pass
    assert not is_path(f"owner-of-no-folder/{stem.strip('./') or 'a'}/file{ending}")


def test_no_name_of_the_catalogue_is_a_path() -> None:
    """Models, their weight types, repositories and files in these."""
    built_in = read_catalogues([BUILT_IN])
    for name, model in built_in.models.items():
        for quant, file in model.quantizations.items():
            names = (name, f"{name}:{quant}", file.repository, f"{file.repository}/{file.file}")
            assert not any(map(is_path, names))
