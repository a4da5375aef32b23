"""Opening the model that the options of a command name."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from sdcpp_py.bundled import TINY
from sdcpp_py.errors import SettingsError
from sdcpp_py.generator import Generator


def open_named(name: str, options: argparse.Namespace) -> Generator:
    """The model of that name, on the machine that the options describe."""
    return Generator.from_pretrained(name, **_machine(options))


def open_model(options: argparse.Namespace) -> Generator:
    """The generator over the model that the options name: by three files, by a name, or not at all."""
    files = {
        "--diffusion-model": options.diffusion_model,
        "--text-encoder": options.text_encoder,
        "--vae": options.vae,
    }
    missing = [name for name, file in files.items() if file is None]
    if not missing and options.model is None:
        return Generator(*files.values(), **_machine(options))
    if options.model is not None and len(missing) < len(files):
        raise SettingsError("--model names a whole model; leave out its files, or leave out --model")
    if 0 < len(missing) < len(files):
        raise SettingsError(f"three files make a model; {' and '.join(missing)} is missing")
    if options.model is None:
        print(
            "sdcpp-py: no model named: drawing with the one in the package, which knows simple shapes (--model tiny)",
            file=sys.stderr,
        )
    return open_named(options.model or TINY, options)


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


def _machine(options: argparse.Namespace) -> dict[str, Any]:
    given = {"memory": getattr(options, "memory", None), "cache_dir": getattr(options, "cache_dir", None)}
    return {
        **{name: value for name, value in given.items() if value is not None},
        "device": device_choice(options.device),
        "threads": options.threads,
        "progress_bar": not options.no_progress and sys.stderr.isatty(),
    }
