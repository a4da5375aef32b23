"""The catalogue: what stands in it, and what is said of one that is wrong."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdcpp_py import SAMPLERS, SCHEDULERS
from sdcpp_py.errors import CatalogueError, ModelNotFoundError, SdcppError, SettingsError
from sdcpp_py.models.catalogue import (
    BUILT_IN,
    VARIABLE,
    Catalogue,
    catalogue_files,
    open_catalogue,
    read_catalogues,
)
from sdcpp_py.models.catalogue.entries import AUTOENCODERS, CHECKPOINT, DENOISER
from sdcpp_py.models.families import FAMILIES, FAMILIES_BY_NAME, Family
from sdcpp_py.parts import ENCODERS
from sdcpp_py.settings import GenerationSettings
from sdcpp_py.system.paths import config_folder

GOOD = """
schema = 1

[files.encoder]
role = "llm"
repository = "maker/encoder"
file = "encoder.gguf"
bytes = 1000
licence = "mit"

[models.mine]
title = "Mine"
family = "z-image"
licence = "mit"
aliases = ["my-own"]
parts = ["encoder"]

[models.mine.defaults]
steps = 4
cfg_scale = 1.0
sampler = "euler"
scheduler = "reference"
width = 512
height = 512

[models.mine.quantizations]
Q4_K = { repository = "maker/mine", file = "folder/mine-Q4_K.gguf", about = 2000 }
"""


def written(folder: Path, text: str = GOOD, name: str = "catalogue.toml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def built_in() -> Catalogue:
    return read_catalogues([BUILT_IN])


WANTED_MODELS = (
    "z-image-turbo", "twinflow-z-image-turbo", "z-image", "flux2-klein-4b", "flux2-klein-base-4b", "flux2-klein-9b",
    "flux2-klein-base-9b", "flux1-schnell", "flux1-dev", "flux1-fill-dev", "flux1-kontext-dev", "sd1.5", "sd-turbo",
    "sdxl", "sdxl-turbo", "ssd-1b", "sdxs-512", "sd3.5-medium", "chroma", "qwen-image",
)  # fmt: skip


def test_the_promised_models_are_there(built_in: Catalogue) -> None:
    """All models and tiny autoencoders that are promised have an entry."""
    assert set(WANTED_MODELS) <= set(built_in.models)
    assert {"taesd", "taesdxl", "taef1", "taef2", "flux2-small-decoder"} <= set(built_in.files)
    assert [file for file in built_in.files.values() if file.role == "upscaler"]


@pytest.mark.parametrize("name", WANTED_MODELS)
def test_an_entry_is_whole(built_in: Catalogue, name: str) -> None:
    """A model has all the parts that its kind needs, sizes that are known, and defaults that can be drawn with."""
    model = built_in.models[name]
    whole = model.main_role == CHECKPOINT
    assert whole or model.main_role == DENOISER
    if not whole:
        assert any(role in AUTOENCODERS for role in model.parts)
        assert any(role in ENCODERS for role in model.parts)
    for file in [*model.quantizations.values(), *model.parts.values()]:
        assert file.size > 10**6, file.name
        assert file.licence, file.name
        assert file.file.endswith((".gguf", ".safetensors"))
    sizes = [file.size for file in model.quantizations.values()]
    assert sizes == sorted(sizes)
    defaults = model.defaults
    assert defaults.sampler in SAMPLERS
    assert defaults.scheduler in SCHEDULERS
    assert defaults.width % 64 == defaults.height % 64 == 0
    assert defaults.edges[0] <= defaults.width <= defaults.edges[1]
    assert defaults.native
    assert model.page


def test_a_file_on_the_hub_has_one_entry(built_in: Catalogue) -> None:
    """No file of a repository is listed twice under different names: it would be described in two places."""
    places = [(file.repository, file.file) for file in built_in.files.values()]
    places += [
        (file.repository, file.file) for model in built_in.models.values() for file in model.quantizations.values()
    ]
    assert len(places) == len(set(places))


def test_flow_families_follow_their_reference(built_in: Catalogue) -> None:
    """Models have their reference pipeline's schedule where their family knows it, and else one of the engine's."""
    for model in built_in.models.values():
        if not model.name.startswith("twinflow"):
            known = FAMILIES_BY_NAME[model.family].sigmas is not None
            assert (model.defaults.scheduler == "reference") is known, model.name


def test_a_name_is_found_in_any_case_and_by_its_aliases(built_in: Catalogue) -> None:
    """Capital letters do not count, and other names that people know lead to the same entry."""
    assert built_in.model("Z-Image-Turbo") is built_in.models["z-image-turbo"]
    assert built_in.model("klein-4b").name == "flux2-klein-4b"


def test_a_name_that_is_not_there_is_an_error_that_helps(built_in: Catalogue) -> None:
    """The names that are spelt like it are said, and how to list all of them."""
    with pytest.raises(ModelNotFoundError, match="did you mean z-image-turbo") as caught:
        built_in.model("z-imag-turbo")
    assert isinstance(caught.value, FileNotFoundError)
    assert "sdcpp-py models" in str(caught.value)
    with pytest.raises(ModelNotFoundError, match="taesd"):
        built_in.file("taesdd")


def test_users_add_entries(tmp_path: Path) -> None:
    """A user's catalogue adds models, which may use files of the package's own."""
    text = GOOD.replace('parts = ["encoder"]', 'parts = ["encoder", "flux1-vae"]')
    catalogue = read_catalogues([BUILT_IN, written(tmp_path, text)])
    mine = catalogue.model("my-own")
    assert mine.name == "mine"
    assert mine.files("Q4_K")["vae"] is catalogue.files["flux1-vae"]
    assert mine.quantizations["Q4_K"].size == 2000
    assert list(catalogue.models)[-1] == "mine"


def test_users_catalogues_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The config folder's catalogue and those that the environment variable names count, in this order."""
    monkeypatch.delenv("APPDATA", raising=False)
    own = tmp_path / "sdcpp_py" / "catalogue.toml"
    own.parent.mkdir()
    own.write_text(GOOD)
    other = written(tmp_path, GOOD.replace("mine", "other").replace("my-own", "x").replace("encoder", "part"), "o.toml")
    environment = {"XDG_CONFIG_HOME": str(tmp_path), VARIABLE: f"{other}{os.pathsep}"}
    assert catalogue_files(environment) == [BUILT_IN, own, other]
    assert {"mine", "other", "z-image"} <= set(open_catalogue(environment).models)
    with pytest.raises(CatalogueError, match=VARIABLE):
        catalogue_files({**environment, VARIABLE: str(tmp_path / "missing.toml")})


def test_a_catalogue_that_changes_is_read_again(tmp_path: Path) -> None:
    """A catalogue is read once, and again when it is another one."""
    environment = {"XDG_CONFIG_HOME": str(tmp_path), VARIABLE: str(written(tmp_path))}
    first = open_catalogue(environment)
    assert open_catalogue(environment) is first
    written(tmp_path, GOOD.replace("Mine", "Yours and mine"))
    assert open_catalogue(environment).model("mine").title == "Yours and mine"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has a folder of its own for settings")
def test_the_config_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is under XDG_CONFIG_HOME where that is a whole path, else under ~/.config; on Windows under APPDATA."""
    monkeypatch.setenv("HOME", "/home/somebody")
    assert config_folder({}) == Path("/home/somebody/.config/sdcpp_py")
    assert config_folder({"XDG_CONFIG_HOME": "relative"}) == Path("/home/somebody/.config/sdcpp_py")
    assert config_folder({"XDG_CONFIG_HOME": "/etc/mine"}) == Path("/etc/mine/sdcpp_py")
    monkeypatch.setattr(sys, "platform", "win32")
    assert config_folder({"APPDATA": "/appdata"}) == Path("/appdata/sdcpp_py")


def _without(line: str) -> str:
    assert line in GOOD
    return re.sub(rf"^{re.escape(line)}.*\n", "", GOOD, count=1, flags=re.MULTILINE)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (_without("schema"), "schema is missing"),
        (GOOD.replace("schema = 1", "schema = 2"), "schema is 2"),
        (_without("role"), "files.encoder: role is missing"),
        (_without("repository"), "files.encoder: repository is missing"),
        (_without("file ="), "files.encoder: file is missing"),
        (_without("title"), "models.mine: title is missing"),
        (_without("family"), "models.mine: family is missing"),
        (_without("steps"), "models.mine.defaults: steps is missing"),
        (_without("[models.mine.quantizations]").replace("Q4_K =", "# "), "models.mine: quantizations is missing"),
        (GOOD.replace("Q4_K =", "# "), "quantizations is empty"),
        (GOOD.replace('role = "llm"', 'role = "brain"'), "role is 'brain'; it must be one of: model"),
        (GOOD.replace('"z-image"', '"dall-e"'), "family is 'dall-e'"),
        (GOOD.replace('"euler"', '"eular"'), "sampler is 'eular'"),
        (GOOD.replace("steps = 4", "steps = 0"), "steps is 0; it must be from 1"),
        (GOOD.replace("steps = 4", "steps = true"), "steps must be a whole number"),
        (GOOD.replace("steps = 4", "steps = 4\nstepz = 5"), "stepz is no field"),
        (GOOD.replace("cfg_scale = 1.0", "cfg_scale = nan"), "cfg_scale is nan"),
        (GOOD.replace("width = 512", "width = 8192"), "width must be from 64 to 4096 pixels, not 8192"),
        (GOOD.replace("height = 512", "height = 500"), "height must be a multiple of 16 pixels, not 500"),
        (GOOD.replace("height = 512", "height = 512\nedges = [64, 8192]"), "edges must be"),
        (GOOD.replace("height = 512", "height = 512\nnative = 8192"), "native is 8192"),
        (GOOD.replace('"maker/encoder"', '"maker"'), "must be a Hub repository"),
        (GOOD.replace('"maker/encoder"', '"https://example.com/x"'), "must be a Hub repository"),
        (GOOD.replace('"encoder.gguf"', '"../../etc/passwd"'), "path of a file in the repository"),
        (GOOD.replace('"encoder.gguf"', '"/etc/passwd"'), "path of a file in the repository"),
        (GOOD.replace("bytes = 1000", "bytes = -1"), "bytes is -1"),
        (GOOD.replace("bytes = 1000", "bytes = 1000\nabout = 1000"), "must be left out"),
        (GOOD.replace("bytes = 1000", 'sha256 = "ABC"'), "64 lower-case hexadecimal digits"),
        (GOOD.replace('parts = ["encoder"]', 'parts = ["decoder"]'), "names 'decoder', which is no file"),
        (GOOD.replace('parts = ["encoder"]', 'parts = "encoder"'), "parts must be a list"),
        (GOOD.replace("[models.mine]", "[models.'Mine!']"), "the name must be of lower-case letters"),
        (GOOD.replace("[files.encoder]", "[files.encoder]\nfamilies = ['sdxl']"), "which is not for z-image but sdxl"),
        (GOOD + "\n[extras]\n", "extras is no field"),
        (GOOD + GOOD.replace("schema = 1", ""), "is no TOML"),
        (GOOD + 'files = "all"', "is no TOML|must be a table"),
        ("schema = 1\nmodels = 3", "models must be a table"),
        ("schema = 1\n[models]\nmine = 3", "models.mine must be a table"),
        ("schema = [", "is no TOML"),
        ("schema = " + "[" * 5000, "is no TOML"),
    ],
)
def test_a_wrong_catalogue_is_named(tmp_path: Path, text: str, says: str) -> None:
    """What is wrong is said with file, entry and field, as an error that is a ValueError too."""
    path = written(tmp_path, text)
    with pytest.raises(CatalogueError, match=says) as caught:
        read_catalogues([path])
    assert isinstance(caught.value, SdcppError)
    assert isinstance(caught.value, ValueError)
    assert str(path) in str(caught.value)


@given(
    st.sampled_from(FAMILIES),
    st.integers(-1, 9000) | st.sampled_from((64, 512, 4096)),
    st.integers(1, 200).map(lambda edge: 64 * edge),
    st.integers(-1, 1500),
    st.floats(allow_nan=False),
)
def test_what_a_catalogue_may_say_can_be_drawn(
    tmp_path_factory: pytest.TempPathFactory, family: Family, width: int, height: int, steps: int, scale: float
) -> None:
    """An entry's defaults are settings of its family, or the catalogue is refused: never a picture later."""
    values = {"width": width, "height": height, "steps": steps, "cfg_scale": scale}
    text = GOOD.replace('"z-image"', f'"{family.name}"')
    for name, value in values.items():
        text = re.sub(rf"{name} = .*", f"{name} = {value}", text)
    path = written(tmp_path_factory.getbasetemp(), text)
    try:
        GenerationSettings.for_family(family, "", **values)
    except SettingsError:
        with pytest.raises(CatalogueError):
            read_catalogues([path])
    else:
        assert read_catalogues([path]).model("mine").defaults.width == width


def test_bytes_that_are_no_text_are_an_error(tmp_path: Path) -> None:
    """A file that is not UTF-8, and one that is a folder, are errors that name it."""
    path = tmp_path / "bad.toml"
    path.write_bytes(b"schema = 1 # \xff")
    with pytest.raises(CatalogueError, match=r"bad\.toml"):
        read_catalogues([path])
    with pytest.raises(CatalogueError, match="cannot be read"):
        read_catalogues([tmp_path])


OTHER_FILE = GOOD.replace("[files.encoder]", "[files.x]").replace('["encoder"]', '["x"]')


@pytest.mark.parametrize(
    "text",
    [
        GOOD,
        OTHER_FILE.replace("[models.mine", "[models.new"),
        OTHER_FILE.replace("[models.mine", "[models.my-own").replace('aliases = ["my-own"]', ""),
    ],
    ids=["entry and entry", "alias and alias", "entry and alias"],
)
def test_two_of_one_name_are_an_error(tmp_path: Path, text: str) -> None:
    """Two entries of one name, in whichever files and be it an alias, are an error that names the file of the first."""
    first, second = written(tmp_path), written(tmp_path, text, "second.toml")
    with pytest.raises(CatalogueError, match="already") as caught:
        read_catalogues([first, second])
    assert str(first) in str(caught.value)
    assert str(second) in str(caught.value)


@pytest.mark.parametrize("name", ["z-image-turbo", "klein-4b", "tiny"])
def test_names_of_the_package_cannot_be_taken(tmp_path: Path, name: str) -> None:
    """A user's entry does not silently change what a name means."""
    text = GOOD.replace("[models.mine", f"[models.{name}")
    with pytest.raises(CatalogueError, match=f"a model called '{name}'"):
        read_catalogues([BUILT_IN, written(tmp_path, text)])


def test_the_example_in_the_documentation_is_valid(tmp_path: Path) -> None:
    """The entry that docs/models.md shows is read beside the package's own."""
    page = (Path(__file__).parents[2] / "docs" / "models.md").read_text(encoding="utf-8")
    example = page.split("```toml\n")[1].split("```")[0]
    mine = tmp_path / "mine.toml"
    mine.write_text(example, encoding="utf-8")
    model = read_catalogues([BUILT_IN, mine]).model("my-klein")
    assert set(model.files("Q4_0")) == {"diffusion_model", "llm", "vae"}
