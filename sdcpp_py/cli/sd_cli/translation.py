"""A command line of sd-cli in the words of ``sdcpp-py``."""

from __future__ import annotations

import difflib
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field

from sdcpp_py.cli.sd_cli.arguments import refuse
from sdcpp_py.cli.sd_cli.option import Outcome, SdOption
from sdcpp_py.cli.sd_cli.table import BY_NAME
from sdcpp_py.errors import SettingsError

# What sd-cli takes where nothing is given, and what is taken here.
_OTHER_DEFAULTS = {
    "--seed": ("42", "a random one, which is printed"),
    "--steps": ("20", "the model's own"),
    "--cfg-scale": ("7", "the model's own"),
    "--guidance": ("3.5", "the model's own"),
    "--width": ("512", "the model's own"),
    "--height": ("512", "the model's own"),
    "--sampling-method": ("euler or euler_a", "the model's own"),
    "--scheduler": ("discrete or the model's", "that of the model's reference pipeline"),
}

_LORA_DIR = "--lora-model-dir"


@dataclass
class Translation:
    """A command of ``sdcpp-py``.

    Attributes:
        command: its name.
        words: its arguments.
        notes: what has to be said of it, in lines.
    """

    command: str = "generate"
    words: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def line(self) -> str:
        """The command line, for a shell."""
        return shlex.join(["sdcpp-py", self.command, *self.words])


@dataclass
class _Given:
    """An option of a command line, by the name that was typed, with each value that was given for it."""

    typed: str
    values: list[str] = field(default_factory=list)


def translate(arguments: Sequence[str]) -> Translation:
    """What does here what sd-cli does with these arguments.

    Raises SettingsError over what sd-cli does not know either, and over what is refused here.
    """
    given = _read(arguments)
    if "--help" in given:
        return Translation(words=["--help"])
    if "--list-devices" in given:
        return Translation("doctor")
    if "--mode" in given and given["--mode"].values[-1] == "metadata":
        return _metadata(given)
    return _drawing(given)


def _read(arguments: Sequence[str]) -> dict[str, _Given]:
    """The options that are given, by their long names, as sd-cli reads them. Raises SettingsError."""
    given: dict[str, _Given] = {}
    rest = list(arguments)
    while rest:
        name = rest.pop(0)
        option = BY_NAME.get(name)
        if option is None:
            close = difflib.get_close_matches(name, BY_NAME, n=1)
            hint = f"; did you mean {close[0]}?" if close else ""
            raise SettingsError(f"sd-cli has no option {name}{hint}")
        if option.takes_value and not rest:
            raise SettingsError(f"{name} is the last word, and its value is missing")
        one = given.setdefault(option.name, _Given(name))
        one.typed = name
        one.values.append(rest.pop(0) if option.takes_value else "")
    return given


def _metadata(given: dict[str, _Given]) -> Translation:
    if "--image" not in given:
        raise SettingsError("-M metadata reads the picture that --image names; give it")
    form = given.get("--metadata-format")
    words = ["--json"] if form is not None and form.values[-1] == "json" else []
    return Translation("info", [given["--image"].values[-1], *words])


def _drawing(given: dict[str, _Given]) -> Translation:
    found = Translation()
    refused: dict[str, str] = {}
    for long, one in given.items():
        option, name = BY_NAME[long], one.typed
        if option.outcome is Outcome.NO_EFFECT:
            found.notes.append(f"{name} has no effect here: {option.why}")
        elif option.outcome is Outcome.REFUSED:
            refused[name] = option.why
        else:
            try:
                found.words += _words(option, one.values)
            except SettingsError as error:
                refused[f"{name} {one.values[-1]}"] = str(error)
            if option.outcome is Outcome.RENAMED and long != "--mode":
                found.notes.append(f"{name}: {option.why}")
    refuse(refused)
    if "<lora:" in "".join(given["--prompt"].values[-1:] if "--prompt" in given else []) and _LORA_DIR not in given:
        found.words += [_LORA_DIR, "."]  # where sd-cli looks for them by itself
    found.notes += _defaults(given)
    found.notes.append(
        "The command keeps files that are there and appends numbers to the names (--overwrite replaces them); the "
        "Python replaces them"
    )
    return found


def _words(option: SdOption, values: list[str]) -> list[str]:
    if option.name != "--ref-image":  # the one that may be given several times
        values = [",".join(values)] if option.joined else values[-1:]
    words: list[str] = []
    for value in values:
        for name, text in option.words(value):
            if text is None:
                words.append(name)
            elif text.startswith("-"):  # else it would be taken for an option
                words.append(f"{name}={text}")
            else:
                words += [name, text]
    return words


def _defaults(given: dict[str, _Given]) -> list[str]:
    left = {name: default for name, default in _OTHER_DEFAULTS.items() if name not in given}
    if not left:
        return []
    texts = [f"{name} {theirs} (here: {ours})" for name, (theirs, ours) in left.items()]
    return [f"Not given, and another default in sd-cli: {', '.join(texts)}"]
