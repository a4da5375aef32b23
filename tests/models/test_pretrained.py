"""Models by name: what a name means, which weight type is chosen, and that everything comes."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sdcpp_py import Generator
from sdcpp_py.cli import catalogue as commands
from sdcpp_py.errors import DownloadError, ModelMismatchError, ModelNotFoundError, SdcppError, SettingsError
from sdcpp_py.models import hub as hub_module
from sdcpp_py.models.catalogue import BUILT_IN, read_catalogues
from sdcpp_py.models.catalogue.entries import CatalogueModel
from sdcpp_py.models.downloads import downloaded
from sdcpp_py.models.hub import Access, Wanted
from sdcpp_py.models.pretrained import Request, choose, parse_name, resolve
from sdcpp_py.models.quantization import choose_quant, find_quant

from ..support.hub_server import Hub, in_place_of_the_hub, serve

GIB = 2**30
BUILT_IN_CATALOGUE = read_catalogues([BUILT_IN])

CATALOGUE = """
schema = 1
{files}
[models.small]
title = "Small"
family = "z-image"
licence = "mit"
parts = ["encoder", "decoder"]

[models.small.defaults]
steps = 4
cfg_scale = 1.0
sampler = "euler"
scheduler = "reference"
width = 512
height = 512

[models.small.quantizations]
Q2_K = {{ repository = "maker/small", file = "small-Q2_K.gguf", bytes = 2000 }}
Q4_K_M = {{ repository = "maker/small", file = "small-Q4_K_M.gguf", bytes = 4000 }}
Q8_0 = {{ repository = "maker/small", file = "small-Q8_0.gguf", bytes = 8000 }}

[models.sibling]
title = "Sibling"
family = "flux2-klein"
licence = "mit"
parts = ["encoder"]
defaults = {{ steps = 4, cfg_scale = 1.0, sampler = "euler", scheduler = "reference", width = 512, height = 512 }}
quantizations.Q4_0 = {{ repository = "maker/sibling", file = "sibling-Q4_0.gguf", bytes = 1000 }}
"""
FILES = {"encoder": ("llm", 3000), "decoder": ("vae", 500), "tiny-decoder": ("tae", 50), "upscaler": ("upscaler", 70)}


MODELS = {"small-Q2_K": 2000, "small-Q4_K_M": 4000, "small-Q8_0": 8000, "sibling-Q4_0": 1000}


@pytest.fixture
def server() -> Iterator[Hub]:
    """One for each test: a request that was given up in one may be taken in during the next."""
    with serve() as running:
        yield running


@pytest.fixture
def hub(server: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """The server with the files of a small catalogue, which is the user's own."""
    monkeypatch.setattr(hub_module, "_PAUSE", 0)
    tables = []
    for name, (role, size) in FILES.items():
        digest = server.add("maker/parts", f"{name}.gguf", name[:1].encode() * size)
        tables.append(
            f'[files.{name}]\nrole = "{role}"\nrepository = "maker/parts"\nfile = "{name}.gguf"\nlicence = "mit"\n'
            f'bytes = {size}\nsha256 = "{digest}"\n'
        )
    for name, size in MODELS.items():
        server.add(f"maker/{name.partition('-')[0]}", f"{name}.gguf", b"x" * size)
    (tmp_path / "sdcpp_py").mkdir()
    (tmp_path / "sdcpp_py" / "catalogue.toml").write_text(CATALOGUE.format(files="\n".join(tables)))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("APPDATA", str(tmp_path))
    monkeypatch.delenv("SDCPP_PY_CATALOGUE", raising=False)
    with in_place_of_the_hub(server, tmp_path / "cache", monkeypatch):
        yield server


def names_of(found: dict[str, Path]) -> dict[str, str]:
    return {role: path.name for role, path in found.items()}


def test_a_model_comes_with_all_of_its_parts(hub: Hub) -> None:
    """``resolve`` fetches the denoiser of the weight type that was asked for, the encoder and the autoencoder."""
    found = resolve("small:Q8_0")
    assert (found.name, found.quant) == ("small", "Q8_0")
    assert found.model is not None
    assert found.model.defaults.steps == 4
    assert names_of(dict(found.files)) == {
        "diffusion_model": "small-Q8_0.gguf",
        "llm": "encoder.gguf",
        "vae": "decoder.gguf",
    }
    assert [path.stat().st_size for path in found.files.values()] == [8000, 3000, 500]


def test_a_shared_part_is_downloaded_once(hub: Hub) -> None:
    """The encoder that two models need comes with the first, and the second takes the same file."""
    first = resolve("small:Q2_K")
    second = resolve("sibling")
    assert first.files["llm"] == second.files["llm"]
    assert len(hub.downloads("encoder.gguf")) == 1


def test_another_part_can_be_chosen(hub: Hub) -> None:
    """A part is replaced by another file of the catalogue: a tiny autoencoder in the full one's place, for one."""
    found = resolve("small:Q2_K", parts={"vae": "tiny-decoder"})
    assert found.files["vae"].name == "tiny-decoder.gguf"
    assert hub.downloads("/decoder.gguf") == []
    for wrong in ({"vae": "encoder"}, {"diffusion_model": "upscaler"}):
        with pytest.raises(ModelMismatchError, match="cannot be the"):
            resolve("small:Q2_K", parts=wrong)
    with pytest.raises(ModelMismatchError, match="for sdxl"):
        resolve("small:Q2_K", parts={"vae": "taesdxl"})


def test_a_hub_file_that_the_catalogue_knows(hub: Hub) -> None:
    """A repository and file, in either form, take the parts of the entry that has them."""
    for name in ("maker/small/small-Q4_K_M.gguf", ("maker/small", "small-Q4_K_M.gguf")):
        found = resolve(name)
        assert (found.name, found.quant) == ("maker/small", "Q4_K_M")
        assert list(found.files) == ["diffusion_model", "llm", "vae"]


def test_a_hub_file_of_a_known_repository(hub: Hub) -> None:
    """A further file of a repository that one entry is of is taken for that model."""
    hub.add("maker/small", "finetuned/small-Q5_K.gguf", b"x" * 5000)
    found = resolve("maker/small/finetuned/small-Q5_K.gguf")
    assert found.model is not None
    assert found.model.name == "small"
    assert found.quant == ""
    assert found.files["diffusion_model"].name == "small-Q5_K.gguf"
    assert found.files["llm"].name == "encoder.gguf"


def test_a_hub_file_that_nobody_knows(hub: Hub) -> None:
    """A file of a repository that no entry is of comes alone, and the caller has to look into it."""
    hub.add("somebody/else", "a.gguf", b"x" * 100)
    found = resolve("somebody/else/a.gguf")
    assert found.model is None
    assert list(found.files) == ["diffusion_model"]
    with_vae = resolve(("somebody/else", "a.gguf"), parts={"vae": "decoder"})
    assert list(with_vae.files) == ["diffusion_model", "vae"]


def test_a_repository_of_the_catalogue_will_do(hub: Hub) -> None:
    """A repository without a file means the entry whose files it has."""
    assert resolve("maker/small:q4_k").files["diffusion_model"].name == "small-Q4_K_M.gguf"
    with pytest.raises(ModelNotFoundError, match="name the file too"):
        resolve("somebody/else")


def test_a_revision_is_the_denoisers(hub: Hub) -> None:
    """``revision`` counts for the repository that was named, not for those of the parts."""
    hub.commit = "e" * 40
    resolve("small:Q2_K", revision="v1")
    asked = {request.path for request in hub.requests}
    assert "/maker/small/resolve/v1/small-Q2_K.gguf" in asked
    assert "/maker/parts/resolve/main/encoder.gguf" in asked


def test_without_downloads_what_is_on_disk_is_chosen(hub: Hub) -> None:
    """Without downloads and a weight type named, one that is on disk is taken, though another would suit better."""
    assert resolve("small", memory_bytes=64 * GIB).quant == "Q8_0"
    resolve("small:Q2_K")
    (Path(resolve("small:Q8_0").files["diffusion_model"])).unlink()
    assert resolve("small", memory_bytes=64 * GIB, local_files_only=True).quant == "Q2_K"
    with pytest.raises(DownloadError, match="switched off"):
        resolve("small:Q4_K_M", local_files_only=True)


def test_nothing_is_downloaded_where_a_part_is_missing(hub: Hub) -> None:
    """A part that cannot be had is found out before gigabytes come."""
    del hub.files["maker/parts", "decoder.gguf"]
    with pytest.raises(DownloadError, match=r"no file 'decoder\.gguf'"):
        resolve("small:Q2_K")
    assert hub.downloads() == []


def test_weight_types_are_found_by_what_people_call_them() -> None:
    """Any case, and the "_M" that most files' names end with, may be left out; others are listed."""
    model = BUILT_IN_CATALOGUE.model("z-image")
    assert find_quant(model, "q4_k") == "Q4_K_M"
    assert find_quant(model, "q4_k_s") == "Q4_K_S"
    with pytest.raises(SettingsError, match="z-image has no Q9_Z; there are Q2_K, Q3_K_M"):
        find_quant(model, "Q9_Z")


def test_two_weight_types_are_one_too_many() -> None:
    """A name that says one and a ``quant`` that says another, or a file with either, are errors."""
    with pytest.raises(SettingsError, match="leave one of them out"):
        choose("z-image:Q4_0", quant="Q8_0", catalogue=BUILT_IN_CATALOGUE)
    with pytest.raises(SettingsError, match="is one file already"):
        choose("a/b/c.gguf", quant="Q8_0", catalogue=BUILT_IN_CATALOGUE)


@pytest.mark.parametrize(
    ("name", "memory", "quant"),
    [
        ("z-image-turbo", 4, "Q2_K"),
        ("z-image-turbo", 6, "Q4_0"),
        ("z-image-turbo", 8, "Q4_K"),
        ("z-image-turbo", 16, "Q4_K"),
        ("z-image-turbo", 32, "Q8_0"),
        ("flux2-klein-4b", 8, "Q4_K_M"),
        ("flux2-klein-4b", 32, "Q8_0"),
        ("flux1-dev", 8, "Q3_K_S"),
        ("flux1-dev", 16, "Q4_K_S"),
        ("qwen-image", 16, "Q3_K_M"),
        ("sd1.5", 4, "F16"),
        ("sd1.5", 64, "F16"),
        ("sdxl", 2, "F16"),
        ("z-image-turbo", 0, "Q2_K"),
    ],
)
def test_the_weight_type_suits_the_memory(name: str, memory: int, quant: str) -> None:
    """Laptops of 8 to 16 GiB get four bits, larger machines eight, small ones what goes."""
    assert choose_quant(BUILT_IN_CATALOGUE.model(name), memory * GIB) == quant


@given(st.sampled_from(sorted(BUILT_IN_CATALOGUE.models)), st.integers(0, 2**40))
@example("sdxs-512", 2_608_438_590)
def test_more_memory_never_means_fewer_bits(name: str, memory: int) -> None:
    """There is always a weight type, and a machine with twice the memory gets no smaller one, but for equal bits."""
    model = BUILT_IN_CATALOGUE.model(name)
    less, more = choose_quant(model, memory), choose_quant(model, 2 * memory)
    assert less in model.quantizations
    if less[:2] != more[:2]:
        assert model.quantizations[less].size <= model.quantizations[more].size


@pytest.mark.parametrize(
    ("memory", "limit", "quant"),
    [
        (32, 4, "Q3_K"),
        (32, 5, "Q4_K"),
        (32, 9, "Q4_K"),
        (32, 12, "Q8_0"),
        (8, 12, "Q4_K"),
        (4, 32, "Q2_K"),
        (64, 1, "Q2_K"),
    ],
)
def test_the_weight_type_suits_the_limit(memory: int, limit: int, quant: str) -> None:
    """Of a machine's memory, what was given for the model decides; more than the machine has helps nobody."""
    assert choose_quant(BUILT_IN_CATALOGUE.model("z-image-turbo"), memory * GIB, limit * GIB) == quant


@given(st.sampled_from(sorted(BUILT_IN_CATALOGUE.models)), st.integers(1, 2**37), st.integers(1, 2**37))
def test_a_higher_limit_never_means_fewer_bits(name: str, memory: int, limit: int) -> None:
    """Nor does any limit bring what does not fit into it, where another weight type does."""
    model = BUILT_IN_CATALOGUE.model(name)
    sizes = {quant: file.size for quant, file in model.quantizations.items()}
    less, more = choose_quant(model, memory, limit), choose_quant(model, memory, 2 * limit)
    if less[:2] != more[:2]:
        assert sizes[less] <= sizes[more]
    assert sizes[less] + GIB <= limit or sizes[less] == min(size for quant, size in sizes.items() if quant != "F32")


@pytest.mark.parametrize(
    ("memory", "limit"),
    [("4GiB", 4 * GIB), ({"cpu": "4GiB"}, 4 * GIB), (5 * GIB, 5 * GIB), ("auto", None), ("all", None)],
)
def test_a_generators_memory_decides(memory: object, limit: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """``from_pretrained(name, memory="4GiB")`` chooses by these 4 GiB, before anything is fetched."""
    monkeypatch.setattr("sdcpp_py.models.quantization.memory", lambda: (64 * GIB, 60 * GIB))
    asked: list[str] = []

    def fetch_nothing(files: list[Wanted], access: Access) -> list[Path]:
        asked.extend(wanted.file for wanted in files)
        raise DownloadError("nothing is fetched")

    monkeypatch.setattr("sdcpp_py.models.pretrained.fetch_all", fetch_nothing)
    with pytest.raises(DownloadError, match="nothing"):
        Generator.from_pretrained("z-image-turbo", memory=memory, device="cpu")  # type: ignore[arg-type]
    model = BUILT_IN_CATALOGUE.model("z-image-turbo")
    assert asked[0] == model.quantizations[choose_quant(model, 64 * GIB, limit)].file


def test_pull_chooses_for_the_memory_too(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """``pull --memory`` fetches what ``generate --memory`` will take."""
    monkeypatch.setattr("sdcpp_py.models.quantization.memory", lambda: (64 * GIB, 60 * GIB))
    run(["pull", "small", "--memory", str(GIB + 5000), "--no-progress"])
    fetched = [request.path.rpartition("/")[2] for request in hub.downloads() if "small" in request.path]
    assert fetched == ["small-Q4_K_M.gguf"]


def test_sizes_that_nobody_knows_do_not_matter() -> None:
    """A model without sizes has four bits chosen, where it has such a type."""
    model = BUILT_IN_CATALOGUE.model("z-image-turbo")
    unknown = {quant: replace(file, bytes=None, about=None) for quant, file in model.quantizations.items()}
    assert choose_quant(replace(model, quantizations=unknown), 8 * GIB) == "Q4_K"


def test_a_system_that_does_not_say_is_taken_for_a_laptop(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the size of the memory is not known, four bits are chosen, not the fewest there are."""
    monkeypatch.setattr("sdcpp_py.models.quantization.memory", lambda: (0, 0))
    assert choose("z-image-turbo", catalogue=BUILT_IN_CATALOGUE).quant == "Q4_K"


def test_a_token_is_not_shown() -> None:
    """A token does not get into logs by way of what it is a part of."""
    assert "hf_secret" not in repr(Access("hf_secret"))


@given(st.text())
def test_any_text_is_a_name_or_an_error_of_ours(text: str) -> None:
    """No text makes ``parse_name`` fail in another way, or leads out of a repository."""
    try:
        request = parse_name(text)
    except (SettingsError, ModelNotFoundError):
        return
    assert request.name
    assert ".." not in request.file.split("/")


_WORD = st.from_regex(r"[a-z0-9][a-z0-9-]{0,8}[a-z0-9]", fullmatch=True).filter(lambda text: "--" not in text)


@given(_WORD, _WORD, st.lists(_WORD, min_size=1, max_size=3))
def test_hub_files_are_parsed(owner: str, name: str, parts: list[str]) -> None:
    """Repository and file, in one text or as a pair, mean the same."""
    file = "/".join(parts)
    expected = Request(f"{owner}/{name}", file=file)
    assert parse_name(f"{owner}/{name}/{file}") == parse_name((f"{owner}/{name}", file)) == expected


@given(_WORD, st.sampled_from(["Q4_K", "q8_0", "BF16"]))
def test_names_are_parsed(name: str, quant: str) -> None:
    """A name and a weight type are told apart by the colon."""
    assert parse_name(f"{name}:{quant}") == Request(name, quant.upper())
    assert parse_name(name) == Request(name)


@pytest.mark.parametrize("name", ["", ":", "a:", "a b", "a//b", "a/../b", "a/b/", 3, None, ("a",), ("a", "b")])
def test_what_is_no_name_is_an_error(name: object) -> None:
    """What cannot be a name is said to be none, with what would be."""
    with pytest.raises(SettingsError):
        parse_name(name)  # type: ignore[arg-type]


def run(arguments: list[str]) -> None:
    """Runs one of the two commands, as the command line does."""
    parser = argparse.ArgumentParser()
    commands.add_to(parser.add_subparsers(required=True), argparse.ArgumentParser(add_help=False))
    options = parser.parse_args(arguments)
    options.run(options)


def test_models_lists_what_is_on_disk(hub: Hub, capsys: pytest.CaptureFixture[str]) -> None:
    """``models`` lists models and files with licence, size and weight types, and marks what is on disk."""
    run(["pull", "small:Q8_0", "--no-progress"])
    pulled = capsys.readouterr().out
    assert "diffusion_model" in pulled
    assert "small-Q8_0.gguf" in pulled
    run(["models"])
    text = capsys.readouterr().out
    line = next(line for line in text.splitlines() if line.startswith("small "))
    assert "Q8_0]+" in line or "Q8_0+" in line
    assert "Q2_K+" not in line
    assert "z-image-turbo" in text
    assert "apache-2.0" in text
    run(["models", "--json"])
    listed = {model["name"]: model for model in json.loads(capsys.readouterr().out)["models"]}
    assert listed["small"]["quantizations"]["Q8_0"]["on_disk"].endswith("small-Q8_0.gguf")
    assert listed["small"]["quantizations"]["Q2_K"]["on_disk"] is None
    assert listed["small"]["memory"] == {"resident": None, "least": None}, "its files are no models"
    assert listed["z-image-turbo"]["complete"] is False


def test_pull_fetches_single_files(hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """``pull`` fetches a file of the catalogue that is no model, and any file of the Hub, where it is told to."""
    run(["pull", "upscaler", "--hub-cache", str(tmp_path / "here"), "--no-progress"])
    assert str(tmp_path / "here") in capsys.readouterr().out
    run(["pull", "small", "--quant", "Q2_K", "--part", "vae=tiny-decoder", "--token", "hf_x"])
    assert "tiny-decoder.gguf" in capsys.readouterr().out
    hub.add("somebody/else", "b.gguf", b"x" * 100)
    run(["pull", "somebody/else/b.gguf"])
    assert "b.gguf" in capsys.readouterr().out
    with pytest.raises(DownloadError, match="switched off"):
        run(["pull", "small:Q8_0", "--local-files-only"])
    with pytest.raises(ModelNotFoundError, match="upscaler"):
        run(["pull", "upscale"])
    with pytest.raises(SettingsError, match="is a single file"):
        run(["pull", "upscaler:Q8_0"])
    with pytest.raises(SettingsError, match="--part is"):
        run(["pull", "small", "--part", "vae"])


def test_every_error_is_ours(hub: Hub) -> None:
    """Whatever a name is, what goes wrong is an error of this library."""
    for name in ("nothing", "small:Q9", "a/b/c.gguf", "a/b", "small:", ("a/b", "../c")):
        with pytest.raises(SdcppError):
            resolve(name)


def test_on_disk_asks_nobody(hub: Hub) -> None:
    """Whether a file is there is told from the disk alone."""
    file = choose("small:Q2_K").files["diffusion_model"]
    assert downloaded(file) is None
    resolve("small:Q2_K")
    asked = len(hub.requests)
    assert downloaded(file) is not None
    assert len(hub.requests) == asked


def test_a_choice_fetches_nothing() -> None:
    """``choose`` says what would be fetched, without fetching it."""
    chosen = choose("flux2-klein-4b", catalogue=BUILT_IN_CATALOGUE, memory_bytes=8 * GIB)
    assert isinstance(chosen.model, CatalogueModel)
    assert list(chosen.files) == ["diffusion_model", "llm", "vae"]
    assert chosen.files["llm"].name == "qwen3-4b"
