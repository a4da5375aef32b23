"""sd-cli's options and command lines: what becomes of each."""

from __future__ import annotations

import argparse
import json
import re
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from sdcpp_py import GenerationSettings
from sdcpp_py.cli import main
from sdcpp_py.cli.parser import build_parser, parse
from sdcpp_py.cli.sd_cli.arguments import check_refused, notes
from sdcpp_py.cli.sd_cli.command_line import sd_cli_arguments, split
from sdcpp_py.cli.sd_cli.option import Outcome
from sdcpp_py.cli.sd_cli.table import BY_NAME, TABLE
from sdcpp_py.cli.sd_cli.translation import translate
from sdcpp_py.errors import SettingsError
from sdcpp_py.synth import SyntheticSet
from tests.support import sd_cli_table

RECORD = json.loads((Path(__file__).parents[1] / "data/sd_cli.json").read_text(encoding="utf-8"))
COMMANDS = [pytest.param(one["command"], id=f"{one['page']}:{one['line']}") for one in RECORD["commands"]]
VIDEO = "no video"


def outcome(command: str) -> str:
    """What ``generate`` does with a command: "drawn", or why it is refused."""
    arguments = sd_cli_arguments([command])
    if "-h" in arguments:
        return "help"
    try:
        check_refused(parse(["generate", *arguments]))
    except SettingsError as error:
        return str(error)
    return "drawn"


def test_every_option_is_in_the_table() -> None:
    """The table has each option of sd-cli's help, once, under all of its names, and knows whether a value follows."""
    rows = [" ".join(option.names) + " VALUE" * option.takes_value for option in TABLE]
    assert sorted(rows) == sorted(RECORD["options"])


def test_the_parser_knows_every_option() -> None:
    """``generate`` has each name of the table; those that are the same are its own."""
    generate = parse(["generate"]).command
    own = {name for action in generate._actions if action.dest != "_foreign" for name in action.option_strings}
    assert set(BY_NAME) <= set(generate._option_string_actions)
    assert {name for option in TABLE if option.outcome is Outcome.SAME for name in option.names} <= own


@pytest.mark.sample(60)
@pytest.mark.parametrize("command", COMMANDS)
def test_documented_commands_are_understood(command: str) -> None:
    """A command of sd-cli's documentation parses: it is drawn, or refused by a sentence that names each reason."""
    arguments = sd_cli_arguments([command])
    found = outcome(command)
    if found in ("drawn", "help"):
        return
    mode = next((arguments[place + 1] for place, word in enumerate(arguments) if word in ("-M", "--mode")), "img_gen")
    if mode != "img_gen":
        assert found.startswith(f"-M {mode}: ")
        return
    for name in arguments:
        if name in BY_NAME and BY_NAME[name].outcome is Outcome.REFUSED:
            assert name in found
    assert len(found) > 40
    assert "\n" not in found


def test_most_documented_commands_draw() -> None:
    """Of the documented commands, that many are drawn, and the others refused, most of them for video."""
    kinds = Counter(
        "drawn" if found in ("drawn", "help") else "video" if VIDEO in found else "refused"
        for found in (outcome(one["command"]) for one in RECORD["commands"])
    )
    assert kinds == {"drawn": 61, "video": 31, "refused": 38}


@pytest.mark.parametrize("option", [one for one in TABLE if one.outcome is Outcome.REFUSED], ids=lambda one: one.name)
def test_a_refusal_names_what_was_typed(option: Any, work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An option that is refused ends the command with 1 and one line that names it and says what to do."""
    assert main(["generate", "a cat", option.name, *["1"] * option.takes_value]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"sdcpp-py: error: {option.name}: ")
    assert error.count("\n") == 1
    assert list(work.iterdir()) == []


def test_the_mode_is_the_reason(capsys: pytest.CaptureFixture[str]) -> None:
    """Over a command for video one reason is said, and not one for each of its options."""
    assert main(["generate", "--video-frames", "33", "-M", "vid_gen", "--lora-model-dir", "x", "-p", "a cat"]) == 1
    error = capsys.readouterr().err
    assert error.startswith("sdcpp-py: error: -M vid_gen: ")
    assert "lora" not in error


def drawn_with(arguments: list[str]) -> argparse.Namespace:
    options = parse(["generate", "a cat", *arguments])
    check_refused(options)
    return options


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["-M", "img_gen"], {}),
        (["--taesd", "x.safetensors"], {"vae": "x.safetensors"}),
        (["--qwen2vl", "x.gguf", "--clip_l", "y"], {"text_encoders": ["x.gguf", "y"]}),
        (["--backend", "cpu"], {"device": "cpu"}),
        (["--backend", "cuda0"], {"device": "auto"}),
        (["--backend", "te=cpu,vae=cuda0,diffusion=vulkan0"],
         {"device": "text_encoder=cpu,vae=auto,diffusion_model=vulkan0"}),
        (["--backend", "te=cpu", "--backend", "vae=cpu"], {"device": "text_encoder=cpu,vae=cpu"}),
        (["--backend", "all=vulkan0,clip=cpu,control-net=cpu"],
         {"device": "text_encoder=cpu,diffusion_model=vulkan0,vae=vulkan0"}),
        (["--max-vram", "6"], {"memory": "6GiB"}),
        (["--max-vram", "0"], {"memory": "all"}),
        (["--max-vram", "-1"], {"memory": "auto"}),
        (["--max-vram", "cpu=6,cuda0=2.5"], {"memory": {"cpu": "6GiB", "auto": "2.5GiB"}}),
        (["--vae-tile-size", "32x48"], {"vae_tile_size": 256}),
        (["--vae-tile-size", "256"], {"vae_tile_size": 256}),
        (["-t", "-1", "--clip-skip", "-1"], {"threads": None, "clip_skip": 0}),
        (["--sampling-method", "DPM++ 2M", "--scheduler", "normal"], {"sampler": "dpm++2m", "scheduler": "discrete"}),
    ],
)  # fmt: skip
def test_values_are_translated(arguments: list[str], expected: dict[str, object]) -> None:
    """What has another name or form in sd-cli is what it is called here."""
    options = drawn_with(arguments)
    assert {name: getattr(options, name) for name in expected} == expected
    assert notes(options) == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--backend", "diffusion=cuda0&cuda1"], "--backend diffusion=cuda0&cuda1: a part computes on one device"),
        (["--backend", "RPC0"], "no other machine"),
        (["--max-vram", "much"], "'much' is no number of GiB"),
        (["--max-vram", "cuda0=6,cuda1=6"], "one GPU is taken"),
        (["--mode", "paint"], "there is no mode 'paint'"),
    ],
)
def test_values_that_mean_nothing_here_are_refused(arguments: list[str], words: str) -> None:
    """A value that cannot be had here is refused with what to do."""
    with pytest.raises(SettingsError, match=re.escape(words)):
        drawn_with(arguments)


def test_what_has_no_effect_is_said_and_the_picture_drawn(
    model: SyntheticSet, work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Options that are not needed get a line each on standard error, and the picture is the same."""
    common = ["generate", "a cat", "--diffusion-model", str(model.diffusion_model), "--llm", str(model.text_encoder)]
    common += ["--vae", str(model.vae), "-W", "64", "-H", "64", "--steps", "1", "-s", "3", "--no-progress"]
    assert main([*common, "--device", "cpu", "-o", "plain.png"]) == 0
    capsys.readouterr()
    more = ["--backend", "cpu", "--diffusion-fa", "--offload-to-cpu", "--mmap", "--rng", "cuda", "-M", "img_gen"]
    assert main([*common, *more, "-o", "foreign.png"]) == 0
    said = capsys.readouterr().err.splitlines()
    assert [line.split(" has no effect")[0] for line in said] == [
        f"sdcpp-py: {name}" for name in ("--diffusion-fa", "--offload-to-cpu", "--mmap", "--rng")
    ]
    assert Image.open("plain.png").tobytes() == Image.open("foreign.png").tobytes()


def test_a_prompt_comes_from_a_file(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """``--prompt-file`` reads the prompt, and says of a file that is not there that it cannot."""
    (work / "prompt.txt").write_text("eine Grüne Wiese", encoding="utf-8")
    assert parse(["generate", "--prompt-file", "prompt.txt"]).prompt_option == "eine Grüne Wiese"
    (work / "prompt.txt").write_bytes(b"\xff\xfe")
    for name in ("prompt.txt", "no.txt"):
        with pytest.raises(SystemExit) as caught:
            parse(["generate", "--negative-prompt-file", name])
        assert caught.value.code == 2
        assert f"--negative-prompt-file: {name}" in capsys.readouterr().err


@given(st.lists(st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1), min_size=1))
def test_quoted_words_are_read_back(words: list[str]) -> None:
    """What a shell's quotes hold is what was put into them."""
    quoted = ["'" + word.replace("'", "'\"'\"'") + "'" for word in words]
    assert split(" ".join(quoted)) == words


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("sd-cli -m a.gguf -p 'a \"b\"'", ["-m", "a.gguf", "-p", 'a "b"']),
        (
            r'.\bin\Release\sd-cli.exe -m ..\models\a.gguf -p "say \"hi\""',
            ["-m", r"..\models\a.gguf", "-p", 'say "hi"'],
        ),
        ("./bin/sd -m a\\ b.gguf \\\n  -p cat", ["-m", "a b.gguf", "-p", "cat"]),
        ("sd.exe -m a.gguf ^\r\n  -p cat", ["-m", "a.gguf", "-p", "cat"]),
        ("sd -m a.gguf `\n -p 'two\nlines' -n ''", ["-m", "a.gguf", "-p", "two\nlines", "-n", ""]),
        ("-m a.gguf -p cat", ["-m", "a.gguf", "-p", "cat"]),
    ],
)
def test_commands_of_any_shell_are_split(command: str, words: list[str]) -> None:
    """A command in one word is split as its shell would, whatever the program is called."""
    assert sd_cli_arguments([command]) == words


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["sd-cli -p 'a cat"], "a quote (') in the command is not closed"),
        (["sd-cli"], "there are no options"),
        (
            ["sd-cli", "--diffusion-modle", "x"],
            "sd-cli has no option --diffusion-modle; did you mean --diffusion-model?",
        ),
        (["sd-cli", "-m"], "-m is the last word"),
        (["sd-cli", "-m", "x.gguf"], "there is no prompt in it"),
        (["sd-cli", "-m", "x.gguf", "-p", "a", "--hires"], "--hires: there is no second pass yet"),
        (["sd-cli", "-M", "metadata"], "reads the picture that --image names"),
    ],
)
def test_commands_that_cannot_be_translated(command: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    """``from-sd-cli`` prints nothing that would draw something else, and says what is wrong in one line."""
    assert main(["from-sd-cli", "--", *command]) == 1
    output = capsys.readouterr()
    assert words in output.err
    assert output.out == ""


@pytest.mark.parametrize(
    ("command", "line"),
    [
        ("sd-cli -M metadata --image a.png --metadata-format json", "sdcpp-py info a.png --json"),
        ("sd-cli --list-devices", "sdcpp-py doctor"),
        ("sd-cli -h", "sdcpp-py generate --help"),
        ("sd-cli -m a -p b -s -7 -b 1", "sdcpp-py generate --model a --prompt b --seed=-1 --batch-count 1"),
    ],
)
def test_other_tasks_are_other_commands(command: str, line: str) -> None:
    """What sd-cli does beside drawing is another command here, where there is one."""
    assert translate(sd_cli_arguments([command])).line == line


def test_other_defaults_are_said() -> None:
    """Of what a command leaves open, that is named which sd-cli takes another default for."""
    [said, kept] = translate(["-m", "x.gguf", "-p", "cat", "--steps", "4", "-W", "512"]).notes
    assert "--seed 42" in said
    assert "--cfg-scale 7" in said
    assert "--steps" not in said
    assert "--width" not in said
    assert "--overwrite" in kept


@pytest.mark.sample(60)
@pytest.mark.parametrize("command", COMMANDS)
def test_documented_commands_are_translated(command: str) -> None:
    """What ``from-sd-cli`` prints of a documented command is a command of ours, which has no foreign options left."""
    drawn = outcome(command)
    if drawn not in ("drawn", "help") and not re.search("^-M metadata|--list-devices", drawn):
        with pytest.raises(SettingsError, match=f"^{re.escape(drawn)}$"):
            translate(sd_cli_arguments([command]))
        return
    found = translate(sd_cli_arguments([command]))
    if found.words == ["--help"]:
        return
    options = parse([found.command, *found.words])
    assert not hasattr(options, "foreign_notes")
    assert not hasattr(options, "foreign_values")


@pytest.mark.slow
@pytest.mark.parametrize(
    "more",
    [
        ["-s", "5", "--cfg-scale", "2", "-n", "dog", "--sampling-method", "heun", "--vae-tiling", "--clip-on-cpu"],
        ["-s", "6", "-b", "2", "--scheduler", "normal", "-o", "p_%03d.png", "--vae-tile-size", "16x16", "-t", "2"],
        ["-s", "7", "-i", "init it.png", "--strength", "0.5", "--max-vram", "4"],
    ],
)
def test_the_printed_command_and_code_draw_the_same(
    model: SyntheticSet, work: Path, more: list[str], capsys: pytest.CaptureFixture[str],
    run_python: Callable[..., subprocess.CompletedProcess[str]],
) -> None:  # fmt: skip
    """The command and the Python that ``from-sd-cli`` prints run as they are, and draw the same pictures."""
    Image.new("RGB", (64, 64), (200, 40, 40)).save("init it.png")
    files = ["--diffusion-model", str(model.diffusion_model), "--qwen2vl", str(model.text_encoder)]
    common = ["sd-cli", *files, "--vae", str(model.vae), "-p", 'a "red" circle', "-W", "64", "-H", "64"]
    common += ["--steps", "2", "--backend", "cpu", "--diffusion-fa", *more]
    assert main(["from-sd-cli", "--", *common]) == 0
    command, python = capsys.readouterr().out.split("# In Python:\n")
    assert "self_test" not in python
    assert "fallback" not in python
    [line] = [line for line in command.splitlines() if line and not line.startswith("#")]
    assert line.startswith("sdcpp-py ")
    assert main(sd_cli_arguments([line])) == 0
    by_command = drawings(work)
    assert len(by_command) == (2 if "-b" in more else 1)
    done = run_python(python)
    assert done.returncode == 0, done.stderr
    assert drawings(work) == by_command
    assert main(["generate", *common[1:]]) == 0
    assert drawings(work) == by_command


def drawings(folder: Path) -> dict[str, tuple[bytes, GenerationSettings]]:
    """The pictures that were drawn there, which are then taken away."""
    found = {}
    for path in sorted(folder.glob("*.png")):
        if not path.name.startswith("init"):
            with Image.open(path) as picture:
                found[path.name] = (picture.tobytes(), GenerationSettings.from_png(path))
            path.unlink()
    return found


def test_the_page_is_made_from_the_table() -> None:
    """docs/coming-from/sd-cli.md has the table as it is (`python -m tests.support.sd_cli_table`)."""
    text = sd_cli_table.PAGE.read_text(encoding="utf-8")
    assert sd_cli_table.page(text) == text


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["generate", "x", "--diffusion-modle", "y"],
         "sdcpp-py generate: error: unrecognized arguments: --diffusion-modle y; did you mean --diffusion-model? "
         "(see sdcpp-py generate --help)"),
        (["generate", "x", "--steps", "four"],
         "sdcpp-py generate: error: argument --steps: invalid int value: 'four' (see sdcpp-py generate --help)"),
        (["plan", "--jsn"],
         "sdcpp-py plan: error: unrecognized arguments: --jsn; did you mean --json? (see sdcpp-py plan --help)"),
    ],
)  # fmt: skip
def test_wrong_usage_is_one_line(arguments: list[str], line: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Wrong usage is one line that names the command's help, with the option that was meant."""
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert capsys.readouterr().err == f"{line}\n"


def test_no_parser_takes_abbreviations() -> None:
    """Half an option's name is no option, in no command."""
    [commands] = [one for one in build_parser()._actions if isinstance(one, argparse._SubParsersAction)]
    for parser in [build_parser(), *commands.choices.values()]:
        assert not parser.allow_abbrev, parser.prog


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (["--diffusion-model", "{vae}", "--llm", "{llm}", "--vae", "{vae}"], "was given as --diffusion-model"),
        (["--diffusion-model", "{model}", "--llm", "{llm}", "--taesd", "{llm}"], "was given as --taesd"),
        (["-m", "{model}"], "was given as -m"),
        (["--sampling-method", "dpm"], "--sampling-method must be one of"),
        (["-i", "{model}", "-m", "tiny"], "{model}"),
        (["--strength", "0.5", "-m", "tiny"], "--strength is"),
    ],
)
def test_messages_name_what_was_typed(
    arguments: list[str], name: str, model: SyntheticSet, work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An error over an argument calls it as it was typed, and never by its name in Python."""
    paths = {"model": str(model.diffusion_model), "llm": str(model.text_encoder), "vae": str(model.vae)}
    given = [word.format(**paths) for word in arguments]
    assert main(["generate", "x", "-W", "64", "-H", "64", "--backend", "cpu", *given]) == 1
    error = capsys.readouterr().err
    assert name.format(**paths) in error
    assert not re.search(r"\b(diffusion_model|text_encoder|reference_images)\b", error)
    assert error.startswith("sdcpp-py: error: ")
