"""Folders of models: what lies in them, what belongs together, and that what is printed generates."""

from __future__ import annotations

import json
import os
import shlex
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest
from huggingface_hub import constants as hub_constants
from PIL import Image

from sdcpp_py import Generator, ModelLoadError, ModelNotFoundError, inspect_folder
from sdcpp_py.cli import main
from sdcpp_py.models.files import arguments_of, check_files
from sdcpp_py.models.folders import walking
from sdcpp_py.models.folders.inspecting import FolderInspection
from sdcpp_py.models.folders.layouts import Layout
from sdcpp_py.models.folders.scan import FolderFile
from sdcpp_py.synth import FAMILIES, MODELS, SyntheticSet, write, write_hollow_set
from sdcpp_py.synth.formats import write_safetensors

from ..support.hollow_files import safetensors as hollow_safetensors

COMFYUI = {"diffusion_model": "diffusion_models", "encoder": "text_encoders", "vae": "vae"}
A1111 = {"diffusion_model": "Stable-diffusion/mine", "encoder": "text_encoder", "vae": "VAE"}
SMALL = ["--width", "64", "--height", "64", "--steps", "1", "--device", "cpu", "--no-progress"]


def lay_out(root: Path, files: SyntheticSet, folders: Mapping[str, str]) -> None:
    """Puts links to a model's files where a program keeps such."""
    for role, path in files.files.items():
        place = root / "models" / folders.get(role, folders["encoder"])
        place.mkdir(parents=True, exist_ok=True)
        (place / path.name).symlink_to(path)


def hollow(folder: Path, model: str) -> Path:
    """A file of the true shape of a model, without weights."""
    folder.mkdir()
    path = folder / f"{model}.safetensors"
    write_safetensors(path, MODELS[model], "F16", None, lambda _: None)
    return path


def told(found: FolderInspection) -> dict[str, FolderFile]:
    return {file.name: file for file in found.files}


@pytest.mark.slow
@pytest.mark.parametrize(("folders", "layout"), [(COMFYUI, Layout.COMFYUI), (A1111, Layout.A1111)])
def test_what_is_printed_generates(
    folders: dict[str, str],
    layout: Layout,
    klein: SyntheticSet,
    z_image: SyntheticSet,
    work: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Of a folder with two families, each printed command line and each printed expression gives a picture."""
    root = work / "it's a folder"
    lay_out(root, klein, folders)
    lay_out(root, z_image, folders)
    assert inspect_folder(root).layout is layout
    assert main(["inspect", str(root)]) == 0
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    commands = [shlex.split(line) for line in lines if line.startswith("sdcpp-py generate")]
    expressions = [line for line in lines if line.startswith("Generator(")]
    assert len(commands) == len(expressions) == 2
    for number, (_, *words) in enumerate(commands):
        assert main([*words, *SMALL, "-o", f"{number}.png"]) == 0
        with Image.open(f"{number}.png") as picture:
            assert picture.size == (64, 64)
    for expression in expressions:
        with eval(expression, {"Generator": Generator}) as generator:
            assert generator.generate("a cat", width=64, height=64, steps=1).image.size == (64, 64)


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_every_family_is_put_together(family: str, tmp_path: Path) -> None:
    """A set of every family is one complete group of just its files, which the generator's own checks let pass."""
    files = write_hollow_set(family, tmp_path, quant="Q8_0")
    [group] = inspect_folder(tmp_path).groups
    assert group.complete
    assert set(group.files.values()) == set(files)
    assert check_files(**arguments_of(group.files)).family == group.family


def test_all_families_in_one_folder(tmp_path: Path) -> None:
    """With every set in one folder, what is put together for each denoiser passes the generator's own checks."""
    for family in FAMILIES:
        write_hollow_set(family, tmp_path, quant="Q8_0")
    found = inspect_folder(tmp_path)
    assert len(found.groups) == len({next(iter(files.values())) for files in FAMILIES.values()})
    for group in found.groups:
        assert group.complete, group
        assert check_files(**arguments_of(group.files)).family == group.family


def test_what_is_missing_is_named_with_its_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A denoiser alone is told with each part that it needs, and the command that fetches it."""
    monkeypatch.setattr(hub_constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    files = write_hollow_set("klein-9b", tmp_path)
    files.files["llm"].unlink()
    files.files["vae"].unlink()
    [group] = inspect_folder(tmp_path).groups
    assert {part.role: part.pull for part in group.missing} == {
        "llm": "sdcpp-py pull qwen3-8b",
        "vae": "sdcpp-py pull flux2-vae",
    }
    assert not group.complete
    assert group.command == group.python == ""
    assert main(["inspect", str(tmp_path)]) == 0
    assert "is missing: Qwen3-8B (unsloth/Qwen3-8B-GGUF): sdcpp-py pull qwen3-8b" in capsys.readouterr().out


def test_what_was_downloaded_fills_the_gap(tmp_path: Path) -> None:
    """A part that the folder lacks and the Hub's cache has is taken from there, as after the `pull` that was named."""
    models, cache = tmp_path / "models", tmp_path / "cache"
    vae = write_hollow_set("klein-9b", models).files["vae"]
    state = cache / "models--Comfy-Org--flux2-dev" / "snapshots" / "1234" / "split_files" / "vae"
    state.mkdir(parents=True)
    vae.rename(state / "flux2-vae.safetensors")
    [group] = inspect_folder(models, hub_cache=cache).groups
    assert group.complete
    assert group.files["vae"] == state / "flux2-vae.safetensors"


@pytest.mark.parametrize(("memory", "quant"), [(16, "Q4_K"), (32, "Q8_0"), (128, "BF16")])
def test_the_encoder_that_suits_the_memory_is_taken(memory: int, quant: str, tmp_path: Path) -> None:
    """Of several encoders the largest is taken that leaves half of the memory, else four bits; the others are named."""
    write_hollow_set("klein-9b", tmp_path)
    for other in ("Q2_K", "Q4_K", "Q8_0", "BF16", "F32"):
        write_hollow_set("klein-9b", tmp_path / other, quant=other)
    for path in tmp_path.glob("*/klein*"):
        path.unlink()
    [group] = inspect_folder(tmp_path, memory_bytes=memory * 2**30).groups
    assert group.files["llm"].name == f"qwen3-8b-{quant}.gguf"
    assert len(group.others["llm"]) == 4


def test_a_full_vae_is_taken_before_a_tiny_one(klein: SyntheticSet, tmp_path: Path) -> None:
    """A tiny autoencoder is taken only where there is no full one."""
    for path in klein:
        shutil.copy(path, tmp_path)
    tiny = next(name for name in MODELS if name.startswith("taesd-32"))
    small = write(tiny, tmp_path)
    [group] = inspect_folder(tmp_path).groups
    assert group.files["vae"].name == klein.vae.name
    assert group.others["vae"] == (small,)
    (tmp_path / klein.vae.name).unlink()
    [group] = inspect_folder(tmp_path).groups
    assert group.files["tae"] == small
    assert f"--vae {small}" in group.command


def test_what_does_not_generate_is_told(klein: SyntheticSet, tmp_path: Path) -> None:
    """A LoRA, an upscaler, half a model, damaged files, pickles, text and unfinished downloads are each named."""
    hollow(tmp_path / "loras", "klein-4b-lora")
    hollow(tmp_path / "upscale_models", "esrgan-anime")
    (tmp_path / "half-00001-of-00003.safetensors").write_bytes(klein.vae.read_bytes())
    (tmp_path / "half-00003-of-00003.safetensors").write_bytes(klein.vae.read_bytes())
    (tmp_path / "cut.gguf").write_bytes(klein.diffusion_model.read_bytes()[:5000])
    (tmp_path / "old.ckpt").write_bytes(b"\x80\x02}q\x00.")
    (tmp_path / "zipped.pt").write_bytes(b"PK\x03\x04" + bytes(100))
    (tmp_path / "words.safetensors").write_text("these are words and no model at all")
    (tmp_path / "read me.txt").write_text("words")
    (tmp_path / "coming.gguf.partial").write_bytes(b"GGUF")
    (tmp_path / "empty.safetensors").touch()
    found = inspect_folder(tmp_path)
    files = told(found)
    titles = {file.inspection.title for file in found.files if file.inspection is not None}
    assert titles == {"a LoRA for FLUX.2 Klein", "an upscaler (ESRGAN, 6 blocks, 4 times)"}
    half = files["half-00001-of-00003.safetensors"]
    assert half.problem == "is 2 of the 3 files of a model; 2 is missing"
    assert "half-00003-of-00003.safetensors" not in files
    assert "truncated" in files["cut.gguf"].problem
    assert "pickle" in files["old.ckpt"].problem
    assert "pickle" in files["zipped.pt"].problem
    assert "no model" in files["words.safetensors"].problem
    assert files["coming.gguf.partial"].problem == "is a download that is not done"
    assert "empty" in files["empty.safetensors"].problem
    assert found.others == 1
    assert found.groups == ()


def test_a_pickle_is_never_run(work: Path) -> None:
    """A pickle that would write a file when it is opened has not done so after the folder was looked through."""
    code = b"cos\nsystem\n(S'touch was-run'\ntR."
    for ending in ("ckpt", "pt", "pth", "bin"):
        Path(f"evil.{ending}").write_bytes(code)
    assert all("pickle" in file.problem for file in inspect_folder(work).files)
    assert not Path("was-run").exists()


def test_a_model_in_several_files_is_one(tmp_path: Path) -> None:
    """All files of a model in several are one line, which says in how many it is."""
    for number in (1, 2):
        hollow_safetensors(tmp_path / f"m-0000{number}-of-00002.safetensors", {f"t{number}": (4, 4)})
    [file] = inspect_folder(tmp_path).files
    assert file.inspection is not None
    assert "it is in 2 files, from m-00001-of-00002.safetensors on" in file.inspection.notes


def test_copies_are_told_and_used_once(klein: SyntheticSet, tmp_path: Path) -> None:
    """Equal files, by links or by their bytes, are copies of the first; the model is listed once."""
    for path in klein:
        shutil.copy(path, tmp_path)
    (tmp_path / "z").mkdir()
    shutil.copy(klein.diffusion_model, tmp_path / "z" / "again.gguf")
    (tmp_path / "z" / "link.safetensors").symlink_to(tmp_path / klein.vae.name)
    found = inspect_folder(tmp_path)
    assert told(found)["z/again.gguf"].copy_of == klein.diffusion_model.name
    assert told(found)["z/link.safetensors"].copy_of == klein.vae.name
    assert len(found.groups) == 1


def test_files_of_one_size_are_no_copies(klein: SyntheticSet, tmp_path: Path) -> None:
    """Two denoisers of the same size and header with other weights are two models."""
    write("tiny-klein", tmp_path / "a", quant="Q8_0", seed=1)
    write("tiny-klein", tmp_path / "b", quant="Q8_0", seed=2)
    assert len(inspect_folder(tmp_path).groups) == 2


def test_loops_pipes_and_locked_folders_do_no_harm(klein: SyntheticSet, tmp_path: Path) -> None:
    """Links in a circle end, links to nowhere and pipes are not opened, and what is denied is told."""
    shutil.copy(klein.vae, tmp_path)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "circle").symlink_to(tmp_path)
    (tmp_path / "self.gguf").symlink_to(tmp_path / "self.gguf")
    (tmp_path / "nowhere.gguf").symlink_to(tmp_path / "no")
    os.mkfifo(tmp_path / "pipe.safetensors")
    found = inspect_folder(tmp_path)
    assert [file.name for file in found.files] == [klein.vae.name]


def test_bounds_are_kept_and_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No more files, names and depths than the bounds are looked at, and the notes say so."""
    deep = tmp_path / "/".join("d" * (walking.MAX_DEPTH + 1))
    deep.mkdir(parents=True)
    (deep / "a.gguf").touch()
    found = inspect_folder(tmp_path)
    assert not found.files
    assert f"more than {walking.MAX_DEPTH} folders deep" in found.notes[0]
    for number in range(20):
        (tmp_path / f"{number}.gguf").touch()
    monkeypatch.setattr(walking, "MAX_FILES", 5)
    assert len(inspect_folder(tmp_path).files) == 5
    assert "more than 5 model files" in inspect_folder(tmp_path).notes[-1]
    monkeypatch.setattr(walking, "MAX_ENTRIES", 3)
    assert len(inspect_folder(tmp_path).files) <= 3
    assert "more than 3 names" in inspect_folder(tmp_path).notes[-1]


def test_the_hubs_cache_and_diffusers_are_named(klein: SyntheticSet, tmp_path: Path) -> None:
    """In the Hub's cache each file counts once, by its name; a folder of diffusers is told as what it is."""
    repository = tmp_path / "models--maker--model"
    (repository / "blobs").mkdir(parents=True)
    blob = repository / "blobs" / ("a" * 64 + ".gguf")
    shutil.copy(klein.diffusion_model, blob)
    state = repository / "snapshots" / "1234"
    state.mkdir(parents=True)
    (state / "model.gguf").symlink_to(blob)
    (state / "model_index.json").write_text(json.dumps({"_class_name": "ZImagePipeline"}))
    found = inspect_folder(tmp_path)
    assert found.layout is Layout.HUB_CACHE
    names = [file.name for file in found.files]
    assert names == ["models--maker--model/snapshots/1234/", "models--maker--model/snapshots/1234/model.gguf"]
    assert "diffusers format" in found.files[0].problem
    assert inspect_folder(state).layout is Layout.DIFFUSERS


def test_a_folder_that_is_none(tmp_path: Path, klein: SyntheticSet) -> None:
    """What is not there, and a file, are errors; an empty folder is told as such."""
    with pytest.raises(ModelNotFoundError):
        inspect_folder(tmp_path / "no")
    with pytest.raises(ModelLoadError, match="is a file and no folder"):
        inspect_folder(klein.vae)
    assert inspect_folder(tmp_path).files == ()


def test_a_name_that_cannot_be_shown_is_not_put_into_a_command(klein: SyntheticSet, tmp_path: Path) -> None:
    """A file whose name would command the terminal is told to be renamed, and no command has it."""
    shutil.copy(klein.diffusion_model, tmp_path / "a\x1b[2J\n.gguf")
    [file] = inspect_folder(tmp_path).files
    assert "rename it" in file.problem


def test_a_folder_as_json(klein: SyntheticSet, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """``--json`` gives what ``as_dict`` gives: files, groups and their commands."""
    for path in klein:
        shutil.copy(path, tmp_path)
    assert main(["inspect", "--json", str(tmp_path)]) == 0
    [plain] = json.loads(capsys.readouterr().out)
    assert plain == inspect_folder(tmp_path).as_dict()
    assert plain["groups"][0]["command"].startswith("sdcpp-py generate")
