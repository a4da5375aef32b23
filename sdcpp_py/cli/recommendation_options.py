"""The options of ``sdcpp-py recommend``."""

from __future__ import annotations

import argparse

from sdcpp_py.cli.later import later
from sdcpp_py.cli.opening import memory_choice
from sdcpp_py.cli.shared_options import add_device, add_places, add_threads


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser], common: argparse.ArgumentParser) -> None:
    """Adds the command to the command line."""
    command = commands.add_parser(
        "recommend", parents=[common], help="say which models suit this machine, and how long their pictures will take"
    )
    command.set_defaults(run=later("recommendation"))
    command.add_argument("words", metavar="WORD", nargs="*", help="only models with this in their name or family")
    command.add_argument(
        "--memory",
        default="auto",
        type=memory_choice,
        metavar="SIZE",
        help="what a picture may take (default: what is free)",
    )
    add_device(command)
    add_threads(command)
    command.add_argument(
        "--commercial", action="store_true", help="only models that anybody may use commercially, by their licences"
    )
    command.add_argument("--patience", type=float, metavar="SECONDS", help="for a picture (default: five minutes)")
    command.add_argument("--count", type=int, default=5, metavar="N", help="at most so many (default: %(default)s)")
    add_places(command)
    command.add_argument("--json", action="store_true", help="as JSON")
