"""Opening the model that the options of a command name."""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from typing import Any

from sdcpp_py.errors import SettingsError
from sdcpp_py.generator import Generator
from sdcpp_py.models.bundled import TINY

# All control characters but line break and tab, and those that turn the direction of writing.
_COMMANDS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def open_named(name: str, options: argparse.Namespace) -> Generator:
    """The model of that name, on the machine that the options describe."""
    return Generator.from_pretrained(name, **_machine(options))


def open_model(options: argparse.Namespace) -> Generator:
    """The generator over the model that the options name: by files, by a name, or not at all."""
    files = files_given(options)
    checkpoint = options.model is not None and Path(options.model).is_file()
    if checkpoint:
        files["model"] = options.model
    elif options.model is not None and files:
        raise SettingsError("--model names a whole model; leave out its files, or leave out --model")
    if files:
        return Generator(**files, **_machine(options))
    if options.model is None:
        print(
            "sdcpp-py: no model named: drawing with the one in the package, which knows simple shapes (--model tiny)",
            file=sys.stderr,
        )
    return open_named(options.model or TINY, options)


def files_given(options: argparse.Namespace) -> dict[str, Any]:
    """The files that the options name, as arguments of ``Generator``; empty where none is."""
    given = {
        "diffusion_model": options.diffusion_model,
        "text_encoder": options.text_encoders,
        "vae": options.vae,
    }
    return {name: value for name, value in given.items() if value}


def device_choice(text: str) -> str | dict[str, str]:
    """A device's name, or "part=name,..." by part. Raises SettingsError."""
    if "=" not in text:
        return text
    choice = {}
    for item in text.split(","):
        part, equals, name = item.partition("=")
        if not equals or not part.strip() or not name.strip():
            raise SettingsError(f"--device is {text!r}; give a name, or part=name,... as in vae=cpu")
        choice[part.strip()] = name.strip()
    return choice


def sizes_of(text: str) -> list[int]:
    """The numbers of ``--sizes``. Raises SettingsError."""
    try:
        return [int(size) for size in text.split(",")]
    except ValueError:
        raise SettingsError(f"--sizes is {text!r}; give numbers of pixels, as in 256,512") from None


def harmless(text: object) -> str:
    """Text from a file, to be shown: what would command the terminal is shown as an escape."""
    return _COMMANDS.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), str(text))


def _machine(options: argparse.Namespace) -> dict[str, Any]:
    given = {"memory": getattr(options, "memory", None), "cache_dir": getattr(options, "cache_dir", None)}
    return {
        **{name: value for name, value in given.items() if value is not None},
        "device": device_choice(options.device),
        "threads": options.threads,
        "progress_bar": not options.no_progress and sys.stderr.isatty(),
    }
