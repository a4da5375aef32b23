"""``sdcpp-py completion``: what a shell needs to complete options, and names of models, samplers and devices."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Iterable
from typing import Any, get_args

from sdcpp_py.errors import NativeLibraryError, SettingsError

SHELLS = ("bash", "zsh")


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser], common: argparse.ArgumentParser) -> None:
    """Adds the command."""
    command = commands.add_parser(
        "completion",
        parents=[common],
        help="print what a shell needs to complete options and names",
        epilog='in ~/.bashrc: eval "$(sdcpp-py completion bash)"; the same with zsh in ~/.zshrc, after compinit',
    )
    command.set_defaults(run=run)
    command.add_argument("shell", choices=SHELLS, help="the shell")


def run(options: argparse.Namespace) -> None:
    """Prints the script. Raises SettingsError where shtab, which writes it, is not installed."""
    try:
        import shtab
    except ImportError:
        raise SettingsError("completion needs shtab: pip install 'sdcpp_py[completion]'") from None
    from sdcpp_py.cli.parser import build_parser, commands_of

    parser = build_parser()
    names = _names()
    for command in commands_of(parser).values():
        for action in command._actions:
            _tell(action, names, shtab)
    functions = _functions(names, options.shell)
    print(shtab.complete(parser, shell=options.shell, root_prefix="sdcpp_py", preamble=functions))


def _names() -> dict[str, list[str]]:
    """What may stand behind an option, by what the option is called in the parser."""
    from sdcpp_py import SAMPLERS, SCHEDULERS, devices
    from sdcpp_py.images.resizing import Resize
    from sdcpp_py.models.bundled import TINY
    from sdcpp_py.models.catalogue import open_catalogue

    catalogue = open_catalogue()
    models = sorted([*catalogue.models, *catalogue.aliases, TINY])
    quants = sorted({quant for model in catalogue.models.values() for quant in model.quantizations})
    try:
        machine = [device.name for device in devices()]
    except NativeLibraryError:
        machine = ["cpu"]
    return {
        "model": models,
        "name": models,
        "names": models,
        "words": models,
        "quant": quants,
        "sampler": list(SAMPLERS),
        "scheduler": list(SCHEDULERS),
        "resize": list(get_args(Resize)),
        "device": ["auto", *machine],
    }


def _tell(action: argparse.Action, names: dict[str, list[str]], shtab: Any) -> None:
    """Says what completes an option's value, as shtab reads it."""
    if action.dest in names and action.nargs != 0:
        action.complete = {"bash": f"_complete_{action.dest}", "zsh": f"_complete_{action.dest}"}  # type: ignore[attr-defined]
    elif action.metavar in ("FILE", "FILE[:WEIGHT]", "DIR"):
        action.complete = shtab.DIRECTORY if action.metavar == "DIR" else shtab.FILE  # type: ignore[attr-defined]


def _functions(names: dict[str, list[str]], shell: str) -> str:
    """A function for each kind of name; where a model is wanted, a file may be one too."""
    lines = []
    for dest, words in names.items():
        bash, zsh = f'compgen -W "{_joined(words)}" -- "$1"', f"compadd -- {_joined(words)}"
        if dest == "model":
            bash, zsh = f'{bash}; compgen -f -- "$1"', f"{zsh}; _files"
        lines.append(f"_complete_{dest}() {{ {bash if shell == 'bash' else zsh}; }}")
    return "\n".join(lines)


def _joined(words: Iterable[str]) -> str:
    return " ".join(map(shlex.quote, words))
