"""sd-cli's options in ``generate``: the parser's entries, made from the table."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from sdcpp_py.cli.sd_cli.option import Outcome, SdOption
from sdcpp_py.cli.sd_cli.table import BY_NAME, TABLE
from sdcpp_py.errors import SettingsError


class _Foreign(argparse.Action):
    """Does what the table says, once for each option on the command line."""

    option: SdOption

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        option, typed = self.option, option_string or self.option.name
        if option.outcome is Outcome.NO_EFFECT:
            _kept(namespace, "foreign_notes")[typed] = option.why
        elif option.outcome is Outcome.REFUSED:
            _kept(namespace, "foreign_refusals")[typed] = option.why
        else:
            self._translate(parser, namespace, values, typed)

    def _translate(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, value: str, typed: str
    ) -> None:
        given = _kept(namespace, "foreign_values")
        joined = self.option.joined and self.option.name in given
        given[self.option.name] = f"{given[self.option.name]},{value}" if joined else value
        try:
            words = self.option.words(given[self.option.name])
        except SettingsError as error:
            _kept(namespace, "foreign_refusals")[f"{typed} {value}"] = str(error)
            return
        for name, text in words:
            action = parser._option_string_actions[name]
            action(parser, namespace, parser._get_value(action, text or ""), name)
            _kept(namespace, "typed")[action.dest] = typed


def _kept(namespace: argparse.Namespace, name: str) -> dict[str, str]:
    if getattr(namespace, name, None) is None:
        setattr(namespace, name, {})
    kept: dict[str, str] = getattr(namespace, name)
    return kept


def add_options(command: argparse.ArgumentParser) -> None:
    """Adds those options of sd-cli that the command does not have by itself. Its help leaves them out."""
    known = command._option_string_actions
    for option in TABLE:
        names = [name for name in option.names if name not in known]
        if names:
            nargs = None if option.takes_value else 0
            action = command.add_argument(
                *names, action=_Foreign, nargs=nargs, dest="_foreign", default=argparse.SUPPRESS, help=argparse.SUPPRESS
            )
            action.option = option  # type: ignore[attr-defined]


def notes(options: argparse.Namespace) -> list[str]:
    """What to say of options that were given and have no effect, each in a line."""
    given: Mapping[str, str] = getattr(options, "foreign_notes", None) or {}
    return [f"{name} has no effect: {why}" for name, why in given.items()]


def check_refused(options: argparse.Namespace) -> None:
    """Raises SettingsError where an option was given that is refused: each with its reason, the mode's alone."""
    given: Mapping[str, str] = getattr(options, "foreign_refusals", None) or {}
    refuse(given)


def refuse(given: Mapping[str, str]) -> None:
    """Raises SettingsError over options, given with the reasons why they are refused; not where there are none."""
    modes = {name: why for name, why in given.items() if name.partition(" ")[0] in BY_NAME["--mode"].names}
    by_reason: dict[str, list[str]] = {}
    for name, why in (modes or given).items():
        by_reason.setdefault(why, []).append(name)
    if by_reason:
        raise SettingsError(". ".join(f"{', '.join(names)}: {why}" for why, names in by_reason.items()))
