"""Models by the names of their files in folders that other programs filled."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
from pathlib import Path

import pytest

from sdcpp_py import Generator, ModelLoadError, ModelMismatchError, ModelNotFoundError, SettingsError, inspect_folder
from sdcpp_py.cli import main
from sdcpp_py.models.catalogue import BUILT_IN, Catalogue, read_catalogues
from sdcpp_py.models.folders.searching import open_folders
from sdcpp_py.models.pretrained import resolve
from sdcpp_py.synth import SyntheticSet

SMALL = ["--width", "64", "--height", "64", "--steps", "1", "--device", "cpu", "--no-progress", "-o", "a.png"]
FOLDERS = {"diffusion_model": "diffusion_models/mine", "llm": "text_encoders", "vae": "vae"}


@pytest.fixture
def comfyui(klein: SyntheticSet, work: Path) -> Path:
    """ComfyUI's folder with a Klein in it, whose denoiser is called "My Film v1.gguf"."""
    for role, path in klein.files.items():
        place = work / "ComfyUI" / "models" / FOLDERS[role]
        place.mkdir(parents=True)
        (place / ("My Film v1.gguf" if role == "diffusion_model" else path.name)).symlink_to(path)
    return work / "ComfyUI"


@pytest.fixture
def own_catalogue(klein: SyntheticSet, comfyui: Path, monkeypatch: pytest.MonkeyPatch) -> Catalogue:
    """A catalogue with a model whose files are those of the folder, under the names that they have on the Hub."""
    entries = []
    for role in ("llm", "vae"):
        path = klein.files[role]
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        entries.append(
            f'[files.my-{role}]\nrole = "{role}"\nrepository = "maker/parts"\nfile = "on-the-hub/{role}.gguf"\n'
            f'licence = "mit"\nbytes = {path.stat().st_size}\nsha256 = "{digest}"\n'
        )
    size = klein.diffusion_model.stat().st_size
    text = (
        "schema = 1\n"
        + "\n".join(entries)
        + '[models.film]\ntitle = "Film"\nfamily = "flux2-klein"\nlicence = "mit"\nparts = ["my-llm", "my-vae"]\n'
        'defaults = { steps = 7, cfg_scale = 2.0, sampler = "euler", scheduler = "reference", width = 64, '
        "height = 64 }\n"
        f'quantizations.Q4_0 = {{ repository = "maker/film", file = "other.gguf", bytes = {size + 1} }}\n'
        f'quantizations.Q8_0 = {{ repository = "maker/film", file = "My Film v1.gguf", bytes = {size} }}\n'
    )
    path = comfyui.parent / "own.toml"
    path.write_text(text)
    monkeypatch.setenv("SDCPP_PY_CATALOGUE", str(path))
    return read_catalogues([BUILT_IN, path])


@pytest.mark.parametrize(
    "name",
    ["My Film v1", "My Film v1.gguf", "my film V1", "mine/My Film v1.gguf", "diffusion_models/mine/My Film v1"],
)
def test_a_file_is_found_by_its_name(name: str, comfyui: Path, klein: SyntheticSet) -> None:
    """A model is found by its file's name or its path's end, with its ending or without, and with it its parts."""
    found = resolve(name, models_dir=comfyui)
    assert found.files["diffusion_model"].name == "My Film v1.gguf"
    assert found.files["llm"].name == klein.text_encoder.name
    assert found.files["vae"].name == klein.vae.name


def test_the_command_line_and_python_find_it(comfyui: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``-m NAME`` generates with ``--models-dir`` and with SDCPP_PY_MODELS, and so does ``from_pretrained``."""
    assert main(["generate", "a cat", "-m", "My Film v1", "--models-dir", str(comfyui), *SMALL]) == 0
    monkeypatch.setenv("SDCPP_PY_MODELS", os.pathsep.join([str(comfyui.parent), str(comfyui)]))
    assert main(["generate", "a cat", "-m", "My Film v1.gguf", *SMALL]) == 0
    with Generator.from_pretrained("mine/My Film v1", device="cpu") as generator:
        assert generator.generate("a cat", width=64, height=64, steps=1).image.size == (64, 64)


def test_without_folders_nothing_is_found(comfyui: Path) -> None:
    """Without either, the name is none."""
    with pytest.raises(SettingsError, match="is no name of a model"):
        resolve("My Film v1")


def test_an_existing_path_counts_first(comfyui: Path, klein: SyntheticSet, capsys: pytest.CaptureFixture[str]) -> None:
    """A file that is there under the very path is taken, though a folder has one of that name."""
    shutil.copy(klein.vae, "My Film v1.gguf")
    assert main(["generate", "a cat", "-m", "My Film v1.gguf", "--models-dir", str(comfyui), *SMALL]) == 1
    assert f"{comfyui.parent / 'My Film v1.gguf'} was given as -m, but it is a VAE" in capsys.readouterr().err


def test_a_folder_counts_before_the_catalogue_but_not_before_tiny(comfyui: Path, klein: SyntheticSet) -> None:
    """A file that is called as a model of the catalogue is taken in its place; "tiny" is always that in the package."""
    place = comfyui / "models" / "diffusion_models"
    for name in ("z-image-turbo", "tiny"):
        shutil.copy(klein.diffusion_model, place / f"{name}.gguf")
    assert resolve("z-image-turbo", models_dir=comfyui).files["diffusion_model"] == place / "z-image-turbo.gguf"
    assert place not in resolve("tiny", models_dir=comfyui).files["diffusion_model"].parents


def test_a_name_of_several_files_is_an_error(comfyui: Path, z_image: SyntheticSet, klein: SyntheticSet) -> None:
    """Two models of one name are both named; a copy, and a VAE of that name, are no second model."""
    other = comfyui / "models" / "checkpoints"
    other.mkdir()
    shutil.copy(klein.diffusion_model, other / "My Film v1.gguf")
    shutil.copy(klein.vae, comfyui / "models" / "vae" / "My Film v1.safetensors")
    assert resolve("My Film v1", models_dir=comfyui).files["diffusion_model"].name == "My Film v1.gguf"
    shutil.copy(z_image.diffusion_model, other / "My Film v1.gguf")
    with pytest.raises(SettingsError, match=r"may be 2 files: .*checkpoints.*diffusion_.*; give more of its path"):
        resolve("My Film v1", models_dir=comfyui)
    assert resolve("mine/My Film v1", models_dir=comfyui).files["diffusion_model"].parent.name == "mine"


@pytest.mark.parametrize("name", ["My Flim v1", "my-film-v1", "My Film v2.gguf"])
def test_a_name_that_is_nowhere_gets_what_is_near(name: str, comfyui: Path) -> None:
    """The error for a name that is nowhere names the files there that are called almost so."""
    with pytest.raises((ModelNotFoundError, SettingsError), match=r"in the folders of models there is My Film v1"):
        resolve(name, models_dir=comfyui)


def test_what_is_missing_is_an_error_with_its_command(comfyui: Path, klein: SyntheticSet) -> None:
    """Where the folders lack a part, the error names it, and the command that fetches it."""
    (comfyui / "models" / "vae" / klein.vae.name).unlink()
    with pytest.raises(ModelMismatchError, match=r"needs flux2-vae.*`sdcpp-py pull flux2-vae` fetches it"):
        resolve("My Film v1", models_dir=comfyui, cache_dir=comfyui / "cache")


def test_a_part_is_refused_as_a_model(comfyui: Path, klein: SyntheticSet) -> None:
    """The name of a text encoder is an error that says what the file is."""
    with pytest.raises(ModelMismatchError, match="but it is the text encoder"):
        resolve(klein.text_encoder.stem, models_dir=comfyui)


def test_a_folder_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that does not exist is an error, with the argument's or the variable's name."""
    with pytest.raises(ModelNotFoundError, match=r"models_dir names .*no, and there is no such folder"):
        open_folders(tmp_path / "no")
    monkeypatch.setenv("SDCPP_PY_MODELS", str(tmp_path / "no"))
    with pytest.raises(ModelNotFoundError, match="SDCPP_PY_MODELS names"):
        open_folders()


def test_the_catalogues_files_are_taken_from_there(
    comfyui: Path, own_catalogue: Catalogue, caplog: pytest.LogCaptureFixture
) -> None:
    """A model of the catalogue whose files are there, one by its name and others by their hashes, is not downloaded.

    The quantization is the one that is there, and the log says where each file comes from.
    """
    with caplog.at_level(logging.INFO, logger="sdcpp_py"):
        found = resolve("film", models_dir=comfyui, local_files_only=True)
    assert found.quant == "Q8_0"
    assert all(comfyui in path.parents for path in found.files.values())
    assert sum("film is taken from" in message for message in caplog.messages) == 3
    with Generator.from_pretrained("film", models_dir=comfyui, device="cpu") as generator:
        assert generator.family.steps == 7


def test_a_file_of_the_catalogue_by_its_own_name_has_its_defaults(comfyui: Path, own_catalogue: Catalogue) -> None:
    """A file that the catalogue knows has the catalogue's defaults, and the command printed for it says them."""
    found = resolve("My Film v1", models_dir=comfyui)
    assert found.model is not None
    assert found.model.name == "film"
    [group] = inspect_folder(comfyui).groups
    assert group.catalogue == "film:Q8_0"
    assert "--steps 7 --cfg-scale 2.0" in group.command


def test_parts_in_the_folders_count_before_downloads(
    comfyui: Path, own_catalogue: Catalogue, klein: SyntheticSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where both the folders and the Hub's cache have a text encoder and a VAE, those of the folders are taken."""
    downloads = {role: tmp_path / f"downloaded-{klein.files[role].name}" for role in ("llm", "vae")}
    for role, path in downloads.items():
        path.symlink_to(klein.files[role])
    # A tiny Klein's encoder is in no catalogue under the repository that errors name.
    monkeypatch.setattr("sdcpp_py.models.folders.groups._file_for", lambda role, *_: own_catalogue.files[f"my-{role}"])
    folders = open_folders(comfyui)
    film = folders.find("My Film v1")
    assert film is not None
    group = folders.complete(film, own_catalogue, 8 * 2**30, lambda file: downloads.get(file.role))
    assert {role: group.files[role].parent.parent.name for role in downloads} == {"llm": "models", "vae": "models"}


def test_wrong_sizes_and_hashes_are_not_taken(comfyui: Path, own_catalogue: Catalogue, klein: SyntheticSet) -> None:
    """A file of the right name and another size, or of the right size with other bytes, is not the catalogue's."""
    vae = comfyui / "models" / "vae" / klein.vae.name
    data = bytearray(vae.read_bytes())
    data[-1] ^= 1
    vae.unlink()
    vae.write_bytes(data)
    folders = open_folders(comfyui)
    assert folders.of_catalogue(own_catalogue.file("my-vae")) is None
    assert folders.of_catalogue(own_catalogue.file("my-llm")) is not None
    assert folders.of_catalogue(own_catalogue.model("film").quantizations["Q4_0"]) is None


def test_models_shows_what_is_there(
    comfyui: Path, own_catalogue: Catalogue, capsys: pytest.CaptureFixture[str]
) -> None:
    """``sdcpp-py models`` counts the files in the folders as on disk."""
    assert main(["models", "film", "--json", "--models-dir", str(comfyui)]) == 0
    [model] = json.loads(capsys.readouterr().out)["models"]
    assert model["quantizations"]["Q8_0"]["on_disk"].endswith("My Film v1.gguf")
    assert model["quantizations"]["Q4_0"]["on_disk"] is None


@pytest.mark.slow
def test_plan_bench_and_fit_find_it_too(comfyui: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file in a folder of models can be planned and timed by its name, as it can be generated with."""
    where = ["--models-dir", str(comfyui), "--device", "cpu"]
    assert main(["plan", "My Film v1", *where, "--size", "64"]) == 0
    assert "64x64" in capsys.readouterr().out
    assert main(["fit", "mine/My Film v1", *where, "--sizes", "64"]) == 0
    assert "mine/My Film v1" in capsys.readouterr().out
    assert main(["bench", "my film v1", *where, "--sizes", "256", "--repeat", "1", "--no-progress"]) == 0
    assert "256x256" in capsys.readouterr().out
    assert main(["plan", "My Flim v1", *where]) == 1
    assert "My Film v1.gguf" in capsys.readouterr().err


def test_single_files_are_found_by_name(comfyui: Path, klein: SyntheticSet, capsys: pytest.CaptureFixture[str]) -> None:
    """A denoiser, text encoder and VAE may each be named as they are called in the folders of models."""
    parts = ["--diffusion-model", "My Film v1", "--llm", klein.text_encoder.name, "--vae", klein.vae.stem]
    assert main(["generate", "a cat", *parts, "--models-dir", str(comfyui), *SMALL]) == 0
    assert main(["plan", *parts, "--models-dir", str(comfyui), "--size", "64", "--device", "cpu"]) == 0
    capsys.readouterr()
    assert main(["generate", "a cat", *parts, *SMALL]) == 1
    assert f"there is no file {comfyui.parent / 'My Film v1'}" in capsys.readouterr().err


def moved(comfyui: Path, text: str) -> Path:
    """ComfyUI's folder, whose models have moved, and whose extra_model_paths.yaml has a text."""
    (comfyui / "models").rename(comfyui.parent / "shelf")
    (comfyui / "models" / "checkpoints").mkdir(parents=True)
    path = comfyui / "extra_model_paths.yaml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("given", ["the folder", "the file"])
@pytest.mark.parametrize(
    "text",
    [
        "mine:\n    base_path: {shelf}\n    is_default: true\n    diffusion_models: diffusion_models/mine/\n"
        "    text_encoders: |\n        clip/\n        text_encoders/\n    vae: vae\n    loras: no/such/folder\n",
        "mine:\n    base_path: ../shelf\n    diffusion_models: |\n        ./diffusion_models\n    clip: text_encoders\n"
        "    vae: $VAES\n",
        "a:\nb:\n    unet: {shelf}/diffusion_models\n    clip: {shelf}/text_encoders\n    vae: {shelf}/vae\n",
    ],
)
def test_comfyuis_extra_paths(text: str, given: str, comfyui: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Models in folders that ComfyUI's extra_model_paths.yaml names are found, by the file or by ComfyUI's folder."""
    shelf = comfyui.parent / "shelf"
    monkeypatch.setenv("VAES", str(shelf / "vae"))
    path = moved(comfyui, text.format(shelf=shelf))
    found = resolve("My Film v1", models_dir=comfyui if given == "the folder" else path)
    assert all(file.is_relative_to(shelf) for file in found.files.values())


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("- a\n- b\n", "names no folders"),
        ("a: b\n", "names no folders"),
        ("a: [", "is no YAML"),
        ("[" * 100_000, "is no YAML"),
        ("!!python/object/apply:os.system ['touch broken']", "is no YAML"),
        ("\0", "is no YAML"),
    ],
)
def test_extra_paths_that_are_none(text: str, says: str, comfyui: Path) -> None:
    """A file that is no such list is an error with its name; nothing in it is run."""
    path = moved(comfyui, text)
    with pytest.raises(ModelLoadError, match=f"extra_model_paths.yaml.* {says}"):
        open_folders(comfyui)
    path.write_bytes(b"\xff\xfe a")
    with pytest.raises(ModelLoadError, match="is no YAML"):
        open_folders(path)
    path.write_text("#" * (2**20 + 1))
    with pytest.raises(ModelLoadError, match="too large"):
        open_folders(path)
    assert not Path("broken").exists()


def test_extra_paths_may_be_empty(comfyui: Path) -> None:
    """A file of comments, as ComfyUI ships it, adds nothing; nor do values that are no paths."""
    path = moved(comfyui, "# nothing\n")
    assert open_folders(path).folders == ()
    path.write_text("a:\n    base_path: 3\n    vae: [1, 2]\n    checkpoints: 5\n    is_default: maybe\n")
    assert open_folders(path).folders == ()
