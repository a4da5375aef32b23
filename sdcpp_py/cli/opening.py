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


def _machine(options: argparse.Namespace) -> dict[str, Any]:
    return {
        "device": options.device,
        "threads": options.threads,
        "progress_bar": not options.no_progress and sys.stderr.isatty(),
    }
