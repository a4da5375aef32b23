"""One set of names: of models in every command and function, and of arguments in what callers are told."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from pathlib import Path
from threading import Thread

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdcpp_py import Generator, ModelNotFoundError, OutOfMemoryError, SdcppError, SettingsError, TextEncoder
from sdcpp_py.cli import main
from sdcpp_py.cli.parser import build_parser, parse
from sdcpp_py.errors import DownloadError
from sdcpp_py.models.catalogue import BUILT_IN, read_catalogues
from sdcpp_py.models.downloads import Places
from sdcpp_py.models.hub.errors import not_on_disk
from sdcpp_py.models.pretrained import resolve
from sdcpp_py.naming import named, naming
from sdcpp_py.preflight.named_files import files_named, written_file
from sdcpp_py.signatures import checked_names, refuse_unknown
from sdcpp_py.synth import FAMILIES, SyntheticSet

CATALOGUE = read_catalogues([BUILT_IN])
NAMES = sorted({*CATALOGUE.models, *CATALOGUE.aliases})


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """No catalogue but the package's own, and an empty cache of downloads."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("APPDATA", str(tmp_path))
    monkeypatch.delenv("SDCPP_PY_CATALOGUE", raising=False)
    return tmp_path


def said(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one line that a command ends with."""
    assert main(arguments) == 1
    return capsys.readouterr().err.strip().splitlines()[-1].removeprefix("sdcpp-py: error: ")


@pytest.mark.parametrize("name", ["TINY", "Tiny", "tiny"])
def test_the_model_in_the_package_is_found_in_any_case(name: str) -> None:
    """As every other name is: capital letters do not count, and nobody is asked for it."""
    assert resolve(name, local_files_only=True).name == "tiny"
    with files_named(name, hollow=True) as found:
        assert found.files.vae_is_tiny


@pytest.mark.parametrize(
    ("name", "arguments", "says"),
    [
        ("tiny", {"quant": "Q4_0"}, "quant (Q4_0)"),
        ("Tiny:q4_0", {}, "quant (Q4_0)"),
        ("tiny", {"revision": "main"}, "revision (main)"),
    ],
)
def test_arguments_that_mean_nothing_are_refused(name: str, arguments: dict[str, str], says: str) -> None:
    """The model in the package is as it is: a quantization or a revision of it is an error that names the argument."""
    with pytest.raises(SettingsError, match=re.escape(says)):
        Generator.from_pretrained(name, **arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["generate", "x", "--quant", "Q8_0"], "--quant (Q8_0)"),
        (["generate", "x", "-m", "tiny", "--revision", "main"], "--revision (main)"),
        (["generate", "x", "--vae", "x.gguf", "--revision", "main"], "--revision (main) is for models by their names"),
        (["generate", "x", "-m", "z-image:Q4_0", "--quant", "Q8_0"], "--quant says Q8_0"),
        (["plan", "tiny", "--quant", "Q4_K"], "--quant (Q4_K)"),
        (["plan", "klein-4b", "--vae", "x.gguf"], "one of the two"),
        (["plan", "--vae", "x.gguf", "--quant", "Q4_K"], "--quant (Q4_K) is for models by their names"),
        (["bench", "tiny:Q8_0"], "--quant (Q8_0)"),
        (["fit", "tiny:Q8_0"], "quant (Q8_0)"),
        (["pull", "tiny", "--quant", "Q8_0"], "--quant (Q8_0)"),
        (["pull", "tiny", "--part", "vae=taef1"], "part"),
        (["synth", "klein-4b:Q4_0", "--quant", "Q8_0"], "--quant says Q8_0"),
        (["plan", "klein-4b:Q9_K"], "--quant is 'Q9_K'"),
    ],
)
def test_options_that_mean_nothing_are_refused(
    arguments: list[str], says: str, alone: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """On the command line too, by the option's name."""
    assert says in said(arguments, capsys)


@pytest.mark.parametrize("name", sorted(CATALOGUE.models))
def test_every_model_of_the_catalogue_has_a_shape(name: str) -> None:
    """In which it can be planned and timed before it is fetched: with files for each of its roles."""
    model = CATALOGUE.models[name]
    shape = FAMILIES[model.shape]
    assert {model.main_role} <= set(shape)
    assert set(model.parts) - {"vae"} <= set(shape)


@given(st.sampled_from(NAMES), st.sampled_from([str.lower, str.upper, str.title]))
def test_names_of_the_catalogue_mean_one_thing_everywhere(name: str, written: Callable[[str], str]) -> None:
    """In any case: what ``synth`` writes for a name is the denoiser, or the checkpoint, of what ``generate`` opens."""
    model = CATALOGUE.model(written(name))
    file, quant = written_file(written(name))
    if name not in FAMILIES:
        assert file == FAMILIES[model.shape][model.main_role]
    assert any(known.startswith(quant) for known in model.quantizations) or quant == "Q4_K"


def test_a_plan_by_the_catalogues_name(alone: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """``plan flux2-klein-base-4b`` is ``plan klein-4b`` but for the name, and ``:QUANT`` is ``--quant``."""
    command = ["--size", "256", "--memory", "3GiB", "--device", "cpu"]
    plans = []
    for how in (["flux2-klein-base-4b:Q4_K_M"], ["FLUX2-klein-4b", "--quant", "q4_k"], ["klein-4b"]):
        assert main(["plan", *how, *command]) == 0
        plans.append(capsys.readouterr().out)
    assert plans[0] == plans[1] == plans[2]


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (["plan", "--size", "64", "klein-4b"], ("name", "klein-4b")),
        (["bench", "--json", "klein-4b"], ("name", "klein-4b")),
        (["plan", "--json"], ("name", None)),
        (["fit", "--memory", "1GiB", "tiny", "klein-4b"], ("names", ["tiny", "klein-4b"])),
        (["fit", "--json"], ("names", [])),
        (["generate", "--steps", "1", "a cat"], ("prompt", "a cat")),
    ],
)
def test_names_may_stand_after_options(arguments: list[str], found: tuple[str, object]) -> None:
    """As before them."""
    assert getattr(parse(arguments), found[0]) == found[1]


def test_a_name_brings_its_defaults(alone: Path) -> None:
    """What is planned and timed has the steps and the size of the entry, not those of its family."""
    with files_named("flux2-klein-base-4b", hollow=True) as base, files_named("klein-4b", hollow=True) as distilled:
        assert base.files.family.steps == CATALOGUE.model("flux2-klein-base-4b").defaults.steps
        assert base.files.family.steps > distilled.files.family.steps


def test_fit_takes_names(alone: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """``fit NAME:QUANT NAME``: a line for each, as it is."""
    command = ["fit", "tiny-klein:Q8_0", "Tiny", "--sizes", "64", "--memory", "1GiB", "--device", "cpu"]
    assert main(command) == 0
    lines = capsys.readouterr().out.splitlines()[1:]
    assert [line.split()[0] for line in lines] == ["tiny-klein:Q8_0", "tiny"]


def test_a_model_of_the_users_own_is_planned_from_disk(alone: Path, model: SyntheticSet) -> None:
    """An entry without a shape has to be there; one with a shape need not, and an unknown shape is named."""
    entry = """
schema = 1
[models.{name}]
title = "Mine"
family = "z-image"
licence = "mit"
{shape}
defaults = {{ steps = 3, cfg_scale = 1.0, sampler = "euler", scheduler = "reference", width = 64, height = 64 }}
quantizations.Q4_0 = {{ repository = "maker/{name}", file = "{name}.gguf" }}
"""
    (alone / "sdcpp_py").mkdir()
    (alone / "sdcpp_py" / "catalogue.toml").write_text(
        entry.format(name="mine", shape="")
        + entry.format(name="shaped", shape='shape = "tiny-z-image"').replace("schema = 1", "")
    )
    with files_named("shaped", hollow=True) as found:
        assert (found.quant, found.files.family.steps) == ("Q4_0", 3)
    with (
        pytest.raises(DownloadError, match=r"mine.gguf of maker/mine is not on disk"),
        files_named("mine", hollow=True, places=Places(alone)),
    ):
        pass


def test_a_shape_is_no_model(alone: Path) -> None:
    """A name that only plans and benchmarks know is said to be that, where a model is to be drawn with."""
    with pytest.raises(ModelNotFoundError, match="klein-4b-short is no model but a shape"):
        Generator.from_pretrained("klein-4b-short")
    with pytest.raises(ModelNotFoundError, match=r"did you mean .*flux2-klein-4b"):
        Generator.from_pretrained("flux-klein-4b")


def test_pull_knows_the_model_in_the_package(alone: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """``pull tiny`` says where its files are."""
    assert main(["pull", "Tiny"]) == 0
    assert capsys.readouterr().out.count("tiny") == 3


# ---- Arguments -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (
            lambda: Generator("a", memry="6GiB"),  # type: ignore[call-arg]
            r"Generator\(\) got .* 'memry'; did you mean 'memory'\?",
        ),
        (
            lambda: Generator.from_pretrained("tiny", devise="cpu"),  # type: ignore[call-arg]
            r"Generator\.from_pretrained\(\) .* mean 'device'",
        ),
        (
            lambda: TextEncoder("a", something="6GiB"),  # type: ignore[call-arg]
            r"TextEncoder\(\) got .* 'something'; there are path",
        ),
    ],
)
def test_a_misspelt_argument_is_named_with_what_was_meant(call: Callable[[], object], says: str) -> None:
    """Before any file is looked at, by the name of what was called."""
    with pytest.raises(TypeError, match=says):
        call()


@pytest.mark.parametrize(
    ("method", "arguments", "meant"),
    [
        ("generate", {"widht": 64}, "width"),
        ("generate_batch", {"step": 1}, "steps"),
        ("generate_batch", {"cuont": 2}, "count"),
        ("encode", {"hieght": 64}, "height"),
        ("plan", {"promt": "x"}, "prompt"),
    ],
)
def test_methods_name_what_was_meant(
    generator: Generator, method: str, arguments: dict[str, object], meant: str
) -> None:
    """Every method that takes keywords does so."""
    with pytest.raises(TypeError, match=rf"Generator\.{method}\(\) .*did you mean '{meant}'"):
        getattr(generator, method)("x" if method != "plan" else 64, **arguments)


@pytest.mark.parametrize("function", [Generator, Generator.from_pretrained, TextEncoder])
def test_arguments_are_spelt_out(function: Callable[..., object]) -> None:
    """What ``help`` shows names every argument: nothing is taken as ``**options``."""
    parameters = inspect.signature(function).parameters
    assert all(one.kind is not one.VAR_KEYWORD for one in parameters.values())
    if function is not TextEncoder:
        wanted = {"device", "threads", "memory", "cache_prompts", "cache_dir", "on_progress", "progress_bar"}
        assert wanted <= set(parameters)


@given(st.sets(st.sampled_from("abcdef")), st.sets(st.sampled_from("abcdef")))
def test_names_are_refused_exactly_where_python_would(given: set[str], known: set[str]) -> None:
    """A name that is known passes, any other is a TypeError."""
    if given <= known:
        refuse_unknown("f", given, known)
    else:
        with pytest.raises(TypeError, match=r"f\(\) got an unexpected keyword argument"):
            refuse_unknown("f", given, known)


def test_a_checked_function_stays_itself() -> None:
    """Name, docstring, signature, defaults and positional arguments are those of the function."""

    class Thing:
        @checked_names
        def method(self, a: int, *, b: int = 2) -> int:
            """Adds."""
            return a + b

    assert Thing.method.__doc__ == "Adds."
    assert list(inspect.signature(Thing.method).parameters) == ["self", "a", "b"]
    assert (Thing().method(1), Thing().method(a=1, b=3)) == (3, 4)
    with pytest.raises(TypeError, match="self"):
        Thing().method(1, self=2)  # type: ignore[call-arg]


# ---- What callers call them ------------------------------------------------------------------------------------------


def test_arguments_are_called_as_the_caller_calls_them() -> None:
    """By their names in Python, by their options on the command line, by their words where there is no option."""
    assert (named("vae_tile_size"), named("vae_tile_size", 256)) == ("vae_tile_size", "vae_tile_size=256")
    assert named("resize", "cover") == 'resize="cover"'
    with naming({"resize": "--resize"}):
        assert (named("resize", "cover"), named("vae_tile_size", 256)) == ("--resize cover", "vae tile size 256")
        found: list[str] = []
        thread = Thread(target=lambda: found.append(named("resize")))
        thread.start()
        thread.join()
        with naming(None):
            found.append(named("resize"))
    assert found == ["resize", "resize"]
    assert named("resize") == "resize"


Z_IMAGE = ["generate", "x", "--diffusion-model", "{denoiser}", "--llm", "{llm}", "--vae", "{vae}"]
ADVICE = [
    (["generate", "x", "--steps", "0"], "--steps must be"),
    (["generate", "x", "--cfg-scale", "nan"], "--cfg-scale must be"),
    (
        ["generate", "x", "--strength", "0.5"],
        "--strength is the denoising strength of an init image; give that one as --image",
    ),
    (["generate", "x", "--mask", "red.png"], "give that one as --image"),
    (["generate", "x", "-i", "red.png", "-W", "128"], "--resize cover"),
    (["generate", "x", "-i", "odd.png"], "give --resize or a size"),
    ([*Z_IMAGE, "-r", "red.png"], "every model takes an init image (--image)"),
    (["generate", "x", "--threads", "0"], "--threads must be"),
    (["generate", "x", "--memory", "lots"], "--memory must be"),
    (["generate", "x", "--device", "decoder=cpu"], "--device names"),
    (["generate", "x", "-m", "z-image:Q4_0", "--local-files-only", "--hub-cache", "no"], "(--local-files-only or HF_"),
    (["generate", "x", "--vae", "{vae}"], "give a denoiser as --diffusion-model, or a whole checkpoint as --model"),
    (["generate", "x", "-m", "{denoiser}"], "give it as --diffusion-model"),
    (["generate", "x", "--memory", "70MiB", "-W", "1024", "-H", "1024"], "(--vae-tile-size 256)"),
    (["plan", "--size", "100"], "--size must be a multiple"),
    (["bench", "--repeat", "0"], "--repeat is 0"),
    (["generate", "x", "--seed", str(2**63 - 1), "--count", "2"], "--seed plus --count"),
]


@pytest.mark.parametrize(("arguments", "says"), ADVICE, ids=lambda value: value[:30] if isinstance(value, str) else "")
def test_advice_names_options(
    arguments: list[str],
    says: str,
    alone: Path,
    work: Path,
    model: SyntheticSet,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What a command complains of names its own options, and no argument of a function."""
    from PIL import Image

    Image.new("RGB", (64, 64), "red").save("red.png")
    Image.new("RGB", (70, 64), "red").save("odd.png")
    files = {"vae": str(model.vae), "denoiser": str(model.diffusion_model), "llm": str(model.text_encoder)}
    line = said([part.format(**files) for part in arguments], capsys)
    assert says in line
    assert not re.search(
        r"\b[a-z]+_[a-z_]+\b(?!\.)", re.sub(r"\S*/\S*|HF_\w+|text_encoder, diffusion_model, vae", "", line)
    ), line


def test_advice_in_python_names_arguments(generator: Generator) -> None:
    """The same complaints, to whoever called a function."""
    with pytest.raises(SettingsError, match=r"^strength is .* as image$"):
        generator.generate("x", strength=0.5)
    with pytest.raises(OutOfMemoryError, match=r"\(vae_tile_size=256\)"), tiny_with("70MiB") as tight:
        tight.generate("x", width=1024, height=1024)
    assert "(local_files_only or HF_HUB_OFFLINE)" in not_on_disk("a/b", "c")


def tiny_with(memory: str) -> Generator:
    return Generator.from_pretrained("tiny", device="cpu", memory=memory)


def test_settings_in_a_picture_keep_their_names(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is wrong in a file's settings is called by its name there, not by an option that nobody gave."""
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    info.add_text("parameters", "a cat\nSteps: 0, Sampler: Euler, Size: 64x64")
    Image.new("RGB", (64, 64)).save("a.png", pnginfo=info)
    assert main(["generate", "--settings-from", "a.png", "-o", "b.png", "--device", "cpu"]) == 0
    line = capsys.readouterr().err
    assert "steps must be" in line
    assert "--steps" not in line


def options_of(command: str) -> set[str]:
    parser = build_parser()
    [commands] = [action.choices for action in parser._actions if isinstance(action.choices, dict)]
    return {name for action in commands[command]._actions for name in action.option_strings}


@pytest.mark.parametrize(
    ("option", "commands"),
    [
        ("--hub-cache", {"generate", "models", "pull", "plan", "fit", "bench"}),
        ("--prompt-cache", {"generate"}),
        ("--token", {"generate", "pull"}),
        ("--revision", {"generate", "pull"}),
        ("--local-files-only", {"generate", "pull"}),
        ("--quant", {"generate", "pull", "plan", "bench", "synth"}),
        ("--memory", {"generate", "pull", "plan", "fit"}),
    ],
)
def test_an_option_is_called_one_thing_in_all_commands(option: str, commands: set[str]) -> None:
    """Every command that may download takes the options of downloads, under the same names."""
    every = ("generate", "models", "pull", "inspect", "demo", "info", "doctor", "synth", "bench", "plan", "fit")
    assert {command for command in every if option in options_of(command)} == commands


def test_the_old_cache_option(alone: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """``--cache-dir`` still works where it can mean one folder alone, with a word, and is refused where it cannot."""
    assert main(["models", "tiny", "--json", "--cache-dir", str(alone)]) == 0
    assert "--cache-dir is called --hub-cache now" in capsys.readouterr().err
    with pytest.raises(SystemExit) as caught:
        main(["generate", "x", "--cache-dir", str(alone)])
    assert caught.value.code == 2
    assert "say --prompt-cache (of prompts) or --hub-cache (of downloads)" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["generate", "x", "--vae-til"], ["plan", "--js"], ["fit", "--size", "1"]])
def test_options_are_not_abbreviated(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Half an option is no option: ``--vae-til`` is not taken for ``--vae-tiling``."""
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "unrecognized arguments" in capsys.readouterr().err


def test_a_wrong_wish_is_known_before_a_download(alone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``from_pretrained`` looks at how the model is to be opened before it fetches gigabytes."""
    monkeypatch.setattr("sdcpp_py.pipeline.open.resolve", lambda *_, **__: pytest.fail("it was fetched"))
    for wish in (
        {"memory": "6 apples"},
        {"threads": 0},
        {"device": "vulkan77"},
        {"cache_prompts": False, "cache_dir": "x"},
    ):
        with pytest.raises(SdcppError):
            Generator.from_pretrained("z-image-turbo", **wish)
