"""The options of the command line. Where sd-cli has a name for a thing, that name works here too."""

from __future__ import annotations

import argparse
import difflib
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from sdcpp_py.cli import catalogue, completion, inspect, recommendation_options
from sdcpp_py.cli.defaults import say_defaults
from sdcpp_py.cli.later import later
from sdcpp_py.cli.sd_cli import arguments as sd_cli_options
from sdcpp_py.cli.sd_cli import command as from_sd_cli
from sdcpp_py.cli.sd_cli.values import form_of, text_of
from sdcpp_py.cli.shared_options import (
    add_device,
    add_downloads,
    add_files,
    add_loras,
    add_machine,
    add_memory,
    add_named_model,
    add_old_cache_folder,
    add_places,
    add_quant,
    add_size,
)
from sdcpp_py.settings import OPTIONS
from sdcpp_py.version import __version__

# What an option is called by the functions that its value goes to, where that is not its own name.
_ARGUMENTS = {
    "text_encoders": ("text_encoder",),
    "references": ("reference_images",),
    "prompt_cache": ("cache_dir",),
    "size": ("width", "height"),
}


class _Parser(argparse.ArgumentParser):
    """Options are not abbreviated: half a name that one version understands may mean another thing in the next."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"allow_abbrev": False, **options})

    def error(self, message: str) -> NoReturn:
        """Ends the process with 2 and one line; all that may be given is a question away."""
        self.exit(2, f"{self.prog}: error: {message} (see {self.prog} --help)\n")

    def unknown(self, words: Sequence[str]) -> NoReturn:
        """Ends the process over words that mean nothing, with the option that was meant."""
        name = next((word for word in words if word.startswith("-")), words[0]).partition("=")[0]
        close = difflib.get_close_matches(name, self._option_string_actions, n=1)
        hint = f"; did you mean {close[0]}?" if close else ""
        self.error(f"unrecognized arguments: {' '.join(words)}{hint}")


def _as_typed(options: argparse.Namespace, words: Sequence[str]) -> dict[str, str]:
    """The options for messages: each by the name that was typed, where one was and it is the only one."""
    typed: dict[str, set[str]] = {}
    for word in words:
        action = options.command._option_string_actions.get(word.partition("=")[0])
        if action is not None and action.dest != "text_encoders":  # whose names each mean another file
            typed.setdefault(action.dest, set()).update([word.partition("=")[0]])
    for dest, name in (getattr(options, "typed", None) or {}).items():
        typed.setdefault(dest, set()).add(name)
    names = dict(options.option_names)
    for dest, spellings in typed.items():
        for argument in _ARGUMENTS.get(dest, (dest,)):
            if argument in names and len(spellings) == 1:
                names[argument] = next(iter(spellings))
    return names


def _option_names(command: argparse.ArgumentParser) -> dict[str, str]:
    """The long option for each argument of the functions that do a command."""
    found = {}
    for action in command._actions:
        long = [name for name in action.option_strings if name.startswith("--")]
        for argument in _ARGUMENTS.get(action.dest, (action.dest,)):
            if long and action.help != argparse.SUPPRESS:
                found[argument] = long[0]
    return found


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The options of a command line. Ends the process with 2 where it is wrong, as argparse does."""
    parser = build_parser()
    words = sys.argv[1:] if arguments is None else list(arguments)
    if words[:1] in (["generate"], ["plan"]):
        say_defaults(commands_of(parser)[words[0]], words[1:])
    options, rest = parser.parse_known_args(words)
    # argparse fills an optional positional with nothing as soon as an option comes before it, and then does not know
    # what to do with it: `synth NAME --quant Q4_K DIR`, `plan --size 512 NAME`.
    for name in ("directory", "prompt", "name"):
        if rest and not rest[0].startswith("-") and getattr(options, name, "") is None:
            setattr(options, name, rest.pop(0))
    for name in ("names", "words"):
        if getattr(options, name, None) == [] and not any(word.startswith("-") for word in rest):
            setattr(options, name, rest)
            rest = []
    if rest:
        options.command.unknown(rest)
    options.option_names = _as_typed(options, words)
    return options


def commands_of(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """The parsers of the commands, by their names."""
    return {
        name: command
        for action in parser._actions
        if isinstance(action, argparse._SubParsersAction)
        for name, command in action.choices.items()
    }


def build_parser() -> argparse.ArgumentParser:
    """The parser; ``run`` of what it gives is the function that does the command.

    ``option_names`` of it are the command's options by arguments, for messages.
    """
    parser: argparse.ArgumentParser = _Parser(
        prog="sdcpp-py", description="Generates pictures from prompts, on CPUs and GPUs."
    )
    parser.add_argument("--version", action="version", version=f"sdcpp_py {__version__}")
    common = _Parser(add_help=False)
    common.add_argument("-v", "--verbose", action="store_true", help="also show what the engine says")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _add_generate(commands, common)
    catalogue.add_to(commands, common)
    recommendation_options.add_to(commands, common)
    inspect.add_to(commands, common)
    _add_demo(commands, common)
    _add_info(commands, common)
    _add_doctor(commands, common)
    _add_synth(commands, common)
    _add_bench(commands, common)
    _add_plan(commands, common)
    _add_fit(commands, common)
    from_sd_cli.add_to(commands, common)
    completion.add_to(commands, common)
    for command in commands.choices.values():
        command.set_defaults(option_names=_option_names(command), command=command)
    return parser


_Commands = argparse._SubParsersAction  # argparse has no public name for it


_OUTPUT = (
    "where to, - for standard output; {seed}, {prompt:.40}, {number}, ... in the name stand for what the picture has, "
    "%%03d for its number (default: %(default)s)"
)
_SD_CLI = "sd-cli's other options are understood too, or refused with what to do instead: see `sdcpp-py from-sd-cli`"


def _add_generate(commands: _Commands[argparse.ArgumentParser], common: argparse.ArgumentParser) -> None:
    command = commands.add_parser("generate", parents=[common], help="generate a picture", epilog=_SD_CLI)
    command.set_defaults(run=later("generation"))
    command.add_argument("prompt", nargs="?", metavar="PROMPT", help="what to generate")
    command.add_argument("-p", "--prompt", dest="prompt_option", metavar="PROMPT", help=argparse.SUPPRESS)
    command.add_argument(
        "--prompt-file", dest="prompt_option", type=text_of, metavar="FILE", help="take the prompt from this file"
    )
    files = command.add_argument_group("the model: a name, or files")
    files.add_argument(
        "-m",
        "--model",
        metavar="NAME[:QUANT]",
        help="a model by its name (see `sdcpp-py models`; default: tiny, which needs no file), or a whole checkpoint",
    )
    add_quant(files, "what suits --memory, or this machine's")
    add_files(files)
    add_loras(files)
    _add_picture(command.add_argument_group("the picture"))
    pictures = command.add_argument_group("init image, mask and reference images")
    pictures.add_argument("-i", "--image", "--init-img", metavar="FILE", help="the init image (image to image)")
    pictures.add_argument("--mask", metavar="FILE", help="white where the init image is generated anew")
    _add_options(pictures, "images")
    pictures.add_argument(
        "-r", "--reference", "--ref-image", dest="references", action="append", metavar="FILE",
        help="a reference image, to edit or combine; may be given several times",
    )  # fmt: skip
    pictures.add_argument("--resize", metavar="HOW", help="cover, pad or fit, where the init image has another size")
    sampling = command.add_argument_group("sampling")
    _add_options(sampling, "sampling")
    sampling.add_argument("--vae-tiling", action="store_true", help="decode in tiles of 256 pixels")
    caches = command.add_argument_group("downloads and caches")
    add_downloads(caches)
    caches.add_argument("--prompt-cache", metavar="DIR", help="where prompt embeddings are kept (default: in memory)")
    add_old_cache_folder(command)
    add_memory(command)
    add_machine(command, draws=True)
    sd_cli_options.add_options(command)


def _add_picture(picture: argparse._ArgumentGroup) -> None:
    picture.add_argument("-o", "--output", default="output.png", metavar="FILE", help=_OUTPUT)
    _add_overwrite(picture)
    picture.add_argument("--format", metavar="NAME", help="PNG, JPEG, WEBP, ... (default: by the suffix, PNG for -)")
    _add_options(picture, "picture")
    picture.add_argument(
        "--negative-prompt-file", dest="negative_prompt", type=text_of, metavar="FILE", help="the same from this file"
    )
    picture.add_argument("-b", "--count", "--batch-count", type=int, default=1, metavar="N", help="how many pictures")
    picture.add_argument(
        "--no-overlap", dest="overlap", action="store_false",
        help="one thing after the other (default: the CPU decodes and encodes for other pictures while a GPU denoises)",
    )  # fmt: skip
    picture.add_argument(
        "--settings-from", metavar="FILE", help="take the settings of this picture; options change them"
    )


def _add_options(arguments: argparse._ArgumentGroup, group: str) -> None:
    """The options of settings that stand together."""
    for name, option in OPTIONS.items():
        if option.group == group and option.flags:
            arguments.add_argument(
                *option.flags, dest=name, type=form_of(name), metavar=option.metavar, help=option.help
            )


def _add_overwrite(command: argparse._ActionsContainer) -> None:
    command.add_argument("--overwrite", action="store_true", help="replace a file that is there (else: name-2.png)")


def _add_plan(commands: _Commands[argparse.ArgumentParser], common: argparse.ArgumentParser) -> None:
    command = commands.add_parser(
        "plan", parents=[common], help="say what a picture takes of each device's memory, before anything is loaded"
    )
    command.set_defaults(run=later("planning", "run_plan"))
    add_named_model(command)
    add_files(command.add_argument_group("or files"))
    add_size(command, "the model's own")
    command.add_argument("-p", "--prompt", metavar="TEXT", help="(default: one of the greatest length)")
    command.add_argument("--vae-tile-size", type=int, metavar="PIXELS", help="decode in tiles of this edge")
    command.add_argument("--json", action="store_true", help="as JSON")
    add_memory(command)
    add_machine(command)


def _add_fit(commands: _Commands[argparse.ArgumentParser], common: argparse.ArgumentParser) -> None:
    command = commands.add_parser("fit", parents=[common], help="say which models fit into memory, and how")
    command.set_defaults(run=later("planning", "run_fit"))
    command.add_argument(
        "names", metavar="NAME[:QUANT]", nargs="*", help="all quantizations of models with this in their name or family"
    )
    command.add_argument("--all", action="store_true", help="all quantizations of all models")
    add_places(command)
    command.add_argument("--sizes", default="512,1024", metavar="PIXELS,...", help="(default: %(default)s)")
    add_device(command)
    command.add_argument("--json", action="store_true", help="as JSON")
    add_memory(command)


def _add_demo(commands: _Commands[argparse.ArgumentParser], common: argparse.ArgumentParser) -> None:
    command = commands.add_parser(
        "demo", parents=[common], help="generate a contact sheet with the model that lies in the package"
    )
    command.set_defaults(run=later("demo"))
    command.add_argument("-o", "--output", default="demo.png", metavar="FILE", help="where to (default: %(default)s)")
    _add_overwrite(command)
    command.add_argument("-s", "--seed", type=int, default=0, help="of the first picture (default: %(default)s)")
    add_machine(command, draws=True)


def _add_info(commands: _Commands[argparse.ArgumentParser], common: argparse.ArgumentParser) -> None:
    command = commands.add_parser("info", parents=[common], help="show what a picture was generated with")
    command.set_defaults(run=later("info"))
    command.add_argument("file", metavar="FILE")
    command.add_argument("--json", action="store_true", help="as JSON")


def _add_doctor(commands: _Commands[argparse.ArgumentParser], common: argparse.ArgumentParser) -> None:
    command = commands.add_parser("doctor", parents=[common], help="show what this machine offers and what was built")
    command.set_defaults(run=later("doctor"))
    command.add_argument("--json", action="store_true", help="as JSON")
    what = command.add_mutually_exclusive_group()
    what.add_argument(
        "--test", nargs="?", const="", metavar="DEVICE",
        help="test what a device computes, or all GPUs; ends with 1 where one is wrong",
    )  # fmt: skip
    what.add_argument("--report", action="store_true", help="a text for a report of a fault, without personal details")


def _add_synth(commands: _Commands[argparse.ArgumentParser], common: argparse.ArgumentParser) -> None:
    command = commands.add_parser(
        "synth", parents=[common], help="write model files of random weights, to time a model before downloading it"
    )
    command.set_defaults(run=later("synthesis"))
    command.add_argument("name", metavar="NAME[:QUANT]", help="a model by its name, a file's, or `list`")
    command.add_argument("directory", metavar="DIR", nargs="?", default=None, help="where to (default: here)")
    add_quant(command, "Q4_K, or what the model has")
    command.add_argument("--seed", type=int, default=0, help="the same seed writes the same bytes")


def _add_bench(commands: _Commands[argparse.ArgumentParser], common: argparse.ArgumentParser) -> None:
    command = commands.add_parser(
        "bench", parents=[common], help="say how long pictures will take on this machine, before downloading a model"
    )
    command.set_defaults(run=later("benchmark"))
    add_named_model(command)
    command.add_argument("--sizes", default="256,512,768,1024", metavar="PIXELS,...", help="(default: %(default)s)")
    add_size(command, "those of --sizes")
    command.add_argument("--repeat", type=int, default=3, metavar="N", help="times to measure (default: %(default)s)")
    command.add_argument("--folder", metavar="DIR", help="keep the files of random weights here, for the next time")
    command.add_argument("--json", action="store_true", help="as JSON")
    add_machine(command)
