"""``sdcpp-py from-sd-cli``."""

from __future__ import annotations

import argparse

from sdcpp_py.cli.sd_cli.command_line import sd_cli_arguments
from sdcpp_py.cli.sd_cli.translation import Translation, translate
from sdcpp_py.errors import SettingsError

_Commands = argparse._SubParsersAction  # argparse has no public name for it


def add_to(commands: _Commands[argparse.ArgumentParser], common: argparse.ArgumentParser) -> None:
    """Adds the command; ``generate`` must have been added before."""
    command = commands.add_parser(
        "from-sd-cli",
        parents=[common],
        help="say what does here what a command line of sd-cli does",
        epilog="as in: sdcpp-py from-sd-cli -- sd-cli -m model.safetensors -p 'a cat' --steps 20",
    )
    command.set_defaults(run=run, generate=commands.choices["generate"])
    command.add_argument(
        "--only", choices=("command", "python"), help="print the command line alone, or the Python alone"
    )
    command.add_argument(
        "sd_cli_command", metavar="-- SD-CLI ...", nargs="+", help="the command line, behind -- or in quotes"
    )


def run(options: argparse.Namespace) -> None:
    """Prints the command line and the Python for it. Raises SdcppError."""
    found = translate(sd_cli_arguments(options.sd_cli_command))
    python = _python(found, options.generate)
    notes = "\n".join(f"# {note}" for note in found.notes)
    if options.only:
        shown = [notes, found.line if options.only == "command" else python]
    else:
        shown = [notes, found.line, python and f"\n# In Python:\n{python}"]
    print("\n".join(filter(None, shown)))


def _python(found: Translation, generate: argparse.ArgumentParser) -> str:
    # What generates pictures takes longer to import than all that the parser needs.
    from sdcpp_py.cli.sd_cli import python_code

    if found.command == "doctor":
        return python_code.of_doctor()
    if found.command == "info":
        return python_code.of_info(found.words[0])
    if found.words == ["--help"]:
        return ""
    options = generate.parse_args(found.words)
    if options.prompt_option is None:
        raise SettingsError(
            "there is no prompt in it; sd-cli would generate nothing in particular: add -p 'what to generate'"
        )
    return python_code.of_generate(options)
