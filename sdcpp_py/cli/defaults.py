"""Defaults in the help of ``generate`` and ``plan``: the model's own, and which they are where a model is named."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, NoReturn

from sdcpp_py.errors import SdcppError
from sdcpp_py.models.bundled import TINY, bundled_files
from sdcpp_py.models.catalogue import open_catalogue
from sdcpp_py.models.families import FAMILIES_BY_NAME, Family
from sdcpp_py.models.inspection import inspect
from sdcpp_py.models.local_paths import is_file
from sdcpp_py.models.pretrained import parse_name
from sdcpp_py.settings import FAMILY_DEFAULTS
from sdcpp_py.system.paths import absolute

_HELP = ("-h", "--help")


class _Listener(argparse.ArgumentParser):
    """Reads words that may be incomplete: help is wanted all the more."""

    def error(self, message: str) -> NoReturn:
        raise argparse.ArgumentError(None, message)


def say_defaults(command: argparse.ArgumentParser, words: Sequence[str]) -> None:
    """Completes a command's help by the defaults of the model that the words name, where they ask for help."""
    if not set(_HELP) & set(words):
        return
    name = _model_named(command, words)
    family = None if name is None else _family_of(name)
    for action in command._actions:
        if action.dest in FAMILY_DEFAULTS and action.help != argparse.SUPPRESS:
            value = "the model's own" if family is None else _shown(family, action.dest)
            action.help = f"{action.help or ''} (default: {value})".lstrip().replace("%", "%%")
    if family is not None:
        for action in command._actions:
            if action.dest == "size" and action.help:
                action.help = action.help.replace("the model's own", f"{family.width}x{family.height}")
        command.description = f"The defaults below are those of {name}, of the family {family.title}."


def _model_named(command: argparse.ArgumentParser, words: Sequence[str]) -> str | None:
    """The name or file of the model, wherever among the words of a command it is."""
    parser = _Listener(parents=[command], add_help=False, allow_abbrev=False, conflict_handler="resolve")
    try:
        found, _ = parser.parse_known_args([word for word in words if word not in _HELP])
    except argparse.ArgumentError:
        return None
    named: str | None = found.model or found.diffusion_model or getattr(found, "name", None)
    return named


def _family_of(name: str) -> Family | None:
    """The model's family, with the defaults of its entry in the catalogue; None where it is not known here."""
    try:
        if name.lower() == TINY:
            return FAMILIES_BY_NAME.get(inspect(bundled_files(TINY).diffusion_model).family)
        if is_file(absolute(name)):
            return FAMILIES_BY_NAME.get(inspect(name).family)
        model = open_catalogue().model(parse_name(name).name)
    except SdcppError:  # the help comes all the same
        return None
    defaults: Mapping[str, Any] = asdict(model.defaults)
    return FAMILIES_BY_NAME[model.family].with_defaults(defaults)


def _shown(family: Family, option: str) -> str:
    value = getattr(family, option)
    if option == "guidance" and not value:
        return "none, the model reads none"
    return f"{value:g}" if isinstance(value, float) else str(value)
