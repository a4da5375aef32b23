"""Paths: that they mean the same file for as long as they are kept, and what is done where there is no home folder."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from sdcpp_py import (
    DownloadError,
    EncodedPrompt,
    GeneratedImage,
    GenerationSettings,
    Generator,
    TextEncoder,
    inspect,
    read_png,
    synth,
)
from sdcpp_py.cli import main
from sdcpp_py.images.loading import to_mask, to_pixels
from sdcpp_py.models.bundled import TINY, bundled_files
from sdcpp_py.models.catalogue import catalogue_files
from sdcpp_py.models.hub.cache import cache_folder
from sdcpp_py.system.paths import absolute, config_folder
from tests.support.patience import PATIENCE

FILES = bundled_files(TINY)
SMALL = ["a red circle", "--steps", "1", "-W", "64", "-H", "64"]
OPTIONS = ["--diffusion-model", "{}/denoiser.gguf", "--llm", "{}/qwen3.gguf", "--vae", "{}/autoencoder.safetensors"]


@pytest.fixture
def home(work: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, which is also the home folder, with the tiny model, a picture and a prompt in it."""
    monkeypatch.setenv("HOME", str(work))
    monkeypatch.setenv("USERPROFILE", str(work))
    shutil.copytree(FILES.vae.parent, work / "tiny")
    settings = GenerationSettings("a red circle", width=64, height=64, steps=1)
    picture = GeneratedImage(Image.new("RGB", (64, 64), "red"), settings, {}, {}, "abc")
    picture.save(work / "red.png")
    EncodedPrompt("a cat", "z-image", {"crossattn": np.zeros((3, 4), np.float32)}).save(work / "cat.npz")
    (work / "elsewhere").mkdir()
    monkeypatch.setattr("sdcpp_py.cli.demo.PROMPTS", ("a red circle",))
    return work


def opened(folder: str, **arguments: object) -> Generator:
    files = [f"{folder}/{path.name}" for path in (FILES.diffusion_model, FILES.text_encoder, FILES.vae)]
    return Generator(*files, device="cpu", **arguments)  # type: ignore[arg-type]


def drawn(generator: Generator) -> bytes:
    return generator.generate("a red circle", seed=1, steps=1, width=64, height=64).image.tobytes()


@given(st.text() | st.text("~/.\\\0x", max_size=6))
def test_a_path_becomes_absolute_once(text: str) -> None:
    """Whatever a path is, it becomes an absolute one, stays that when it is made so again, and nothing is raised."""
    path = absolute(text)
    assert path.is_absolute()
    assert absolute(path) == path


def test_absolute_paths_stay_as_they_are(tmp_path: Path) -> None:
    """Neither links nor ``..`` are resolved: what a path says is what the system opens."""
    for path in (tmp_path, tmp_path / ".." / "x", Path("/~") / "x"):
        assert absolute(path) == path


def test_a_removed_current_folder_is_left_to_whoever_opens(run_python: Callable[..., object]) -> None:
    """Where the current folder is gone, a relative path stays relative, and opening it says that it is not there."""
    code = (
        "import os, tempfile; folder = tempfile.mkdtemp(); os.chdir(folder); os.rmdir(folder)\n"
        "from sdcpp_py import Generator, ModelNotFoundError\n"
        "try: Generator('a.gguf', 'b.gguf', 'c.gguf')\n"
        "except ModelNotFoundError as error: print(error)\n"
    )
    assert "a.gguf" in run_python(code).stdout  # type: ignore[attr-defined]


@pytest.mark.sample(1)
@pytest.mark.parametrize("folder", ["tiny", "~/tiny"])
def test_a_generator_draws_after_the_folder_was_changed(folder: str, home: Path) -> None:
    """Under a limit of memory, where weights are read again for each phase, and with prompts kept in a folder."""
    kept = "~/kept" if folder.startswith("~") else "kept"
    with opened(folder, memory="all", cache_dir=kept) as roomy:
        least = roomy.plan(width=64, height=64).least("cpu")
        expected = drawn(roomy)
    with opened(folder, memory=least, cache_dir=kept) as tight:
        os.chdir("elsewhere")
        assert drawn(tight) == expected
        tight.encode("a blue square")
    assert list(Path().iterdir()) == []
    assert len(list((home / "kept").iterdir())) == 2


def test_a_text_encoder_is_found_after_the_folder_was_changed(home: Path) -> None:
    """A shared text encoder, given before the change, is read by a generator that is opened after it."""
    with TextEncoder("tiny/qwen3.gguf") as encoder:
        os.chdir("elsewhere")
        with Generator(FILES.diffusion_model, encoder, FILES.vae, device="cpu") as generator:
            assert drawn(generator)


def _kept_prompts(path: str) -> object:
    with opened("tiny", cache_dir=path) as generator:
        generator.encode("a cat")
    return [file.name for file in absolute(path).iterdir()]


# Everything that takes a path, and what comes of it that can be compared.
TAKERS: dict[str, tuple[str, Callable[[str], object]]] = {
    "Generator": ("tiny", lambda path: opened(path).close()),
    "Generator(model=)": ("tiny/denoiser.gguf", lambda path: _raised(lambda: Generator(model=path))),
    "Generator(cache_dir=)": ("kept", _kept_prompts),
    "TextEncoder": ("tiny/qwen3.gguf", lambda path: TextEncoder(path).path),
    "inspect": ("tiny/autoencoder.safetensors", lambda path: inspect(path).path),
    "save": ("out.png", lambda path: _picture().save(path)),
    "from_png": ("red.png", GenerationSettings.from_png),
    "read_png": ("red.png", lambda path: read_png(path).settings),
    "image": ("red.png", lambda path: to_pixels(path).tobytes()),
    "mask": ("red.png", lambda path: to_mask(path).tobytes()),
    "EncodedPrompt.load": ("cat.npz", lambda path: EncodedPrompt.load(path).prompt),
    "EncodedPrompt.save": ("new.npz", lambda path: EncodedPrompt.load("cat.npz").save(path)),
    "hub_cache": ("downloads", cache_folder),
    "SDCPP_PY_CATALOGUE": ("red.png", lambda path: catalogue_files({"SDCPP_PY_CATALOGUE": path})[-1]),
    "synth.write": ("made", lambda path: synth.write("tiny-flux2-vae", path)),
    "generate": (
        "tiny",
        lambda path: main(["generate", *SMALL, *[part.format(path) for part in OPTIONS], "-o", "o.png"]),
    ),
    "generate -i": (
        "red.png",
        lambda path: main(["generate", "--settings-from", path, "-i", path, "--prompt-cache", f"{path}s", "-o", path]),
    ),
    "info": ("red.png", lambda path: main(["info", path])),
    "inspect FILE": ("tiny/qwen3.gguf", lambda path: main(["inspect", path])),
    "synth DIR": ("elsewhere", lambda path: main(["synth", "tiny-flux2-vae", path])),
    "demo -o": ("sheet.png", lambda path: main(["demo", "-o", path])),
}


def _picture() -> GeneratedImage:
    return GeneratedImage(Image.new("RGB", (64, 64)), GenerationSettings("x"), {}, {}, "abc")


def _raised(call: Callable[[], object]) -> str:
    with pytest.raises(Exception) as caught:
        call()
    return str(caught.value)


@pytest.mark.sample(4)
@pytest.mark.parametrize("taker", TAKERS)
def test_a_home_folder_is_understood_everywhere(taker: str, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever takes a path makes of ``~/x`` what it makes of that file's absolute path, and nothing called ``~``."""
    path, take = TAKERS[taker]
    assert take(f"~/{path}") == take(str(home / path))
    assert "error" not in capsys.readouterr().err
    assert not (home / "~").exists()


@pytest.mark.parametrize("taker", ["Generator(cache_dir=)", "TextEncoder", "inspect", "save", "hub_cache"])
def test_what_is_kept_of_a_path_is_absolute(taker: str, home: Path) -> None:
    """A relative path gives what its absolute one gives, so that nothing depends on where the process stands later."""
    path, take = TAKERS[taker]
    assert take(path) == take(str(home / path))


NOBODY = """
import pwd, sys
def nobody(uid):
    raise KeyError(uid)
pwd.getpwuid = nobody
from sdcpp_py.cli import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.sample(1)
@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["models", "--json"], 0, ""),
        (["pull", "z-image-turbo:Q4_K"], 1, "set HF_HOME to a folder for them, or give one as --hub-cache"),
        (["pull", "z-image-turbo:Q4_K", "--hub-cache", "here", "--local-files-only"], 1, "is not on disk"),
        (["generate", *SMALL, "--prompt-cache", "~/x"], 0, ""),
    ],
)
def test_a_user_without_a_home(arguments: list[str], code: int, says: str, work: Path) -> None:
    """Without HOME and an entry for the user, there is no user's catalogue, and only what needs a folder says so."""
    names = ("HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE")
    environment = {name: value for name, value in os.environ.items() if name not in names}
    run = subprocess.run(
        [sys.executable, "-c", NOBODY, *arguments], env=environment, capture_output=True, text=True, timeout=PATIENCE
    )
    assert run.returncode == code, run.stderr
    assert says in run.stderr
    assert "Traceback" not in run.stderr
    if "models" in arguments:
        there = [model["name"] for model in json.loads(run.stdout)["models"] if model["complete"]]
        assert there == ["tiny"]


def test_without_a_home_the_libraries_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """The configuration folder is None then, and the cache's an error of this library that names the variable."""
    from huggingface_hub import constants

    def nothing() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", nothing)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", "~/.cache/huggingface/hub")
    assert config_folder({}) is None
    with pytest.raises(DownloadError, match="HF_HOME"):
        cache_folder(None)
    assert cache_folder("/somewhere") == Path("/somewhere")
