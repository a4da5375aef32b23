"""Opening the model that the options of a command name."""

from __future__ import annotations

import argparse
import sys
from functools import cache, partial
from typing import TYPE_CHECKING, Any

import sdcpp_py
from sdcpp_py.errors import SettingsError
from sdcpp_py.models.bundled import TINY
from sdcpp_py.models.folders.searching import open_folders
from sdcpp_py.models.local_paths import is_file, is_path, may_be_below
from sdcpp_py.naming import named
from sdcpp_py.progress import ProgressCallback
from sdcpp_py.system.paths import StrPath, absolute

if TYPE_CHECKING:
    from sdcpp_py.generator import Generator


_OF_NAMES = ("quant", "revision", "token", "hub_cache", "models_dir")


def open_named(name: str, options: argparse.Namespace, on_progress: ProgressCallback | None) -> Generator:
    """The model of that name, on the machine that the options describe."""
    given: dict[str, Any] = {name: getattr(options, name, None) for name in _OF_NAMES}
    only = getattr(options, "local_files_only", False)
    return sdcpp_py.Generator.from_pretrained(
        name, **given, local_files_only=only, **machine_given(options), on_progress=on_progress
    )


def open_model(options: argparse.Namespace, on_progress: ProgressCallback | None) -> Generator:
    """The generator over the model that the options name: by files, by a name, or not at all."""
    files, name = model_given(options)
    if files:
        return sdcpp_py.Generator(**files, **machine_given(options), on_progress=on_progress)
    if name is None:
        print(
            "sdcpp-py: no model named: the one in the package is taken, which knows simple shapes (--model tiny)",
            file=sys.stderr,
        )
    return open_named(name or TINY, options, on_progress)


def model_given(options: argparse.Namespace) -> tuple[dict[str, Any], str | None]:
    """The files that the options name, as arguments of ``Generator``, or a model's name; or neither.

    Raises SettingsError where both are given.
    """
    files = files_given(options)
    # A path that leads nowhere is refused as a file, with what lies beside it; no name is looked for on the Hub then.
    if options.model is not None and names_a_path(options.model, options.models_dir):
        files["model"] = options.model
    elif files and options.model is not None and (found := open_folders(options.models_dir).find(options.model)):
        files["model"] = found
    elif options.model is not None and files:
        raise SettingsError("--model names a whole model; leave out its files, or leave out --model")
    if files:
        refuse_with_files(options, "quant", "revision")
        return files, None
    return {}, options.model


def names_a_path(name: str, models_dir: list[str] | None) -> bool:
    """Whether a model's name is the path of a file, and no file in the folders of models."""
    if is_file(absolute(name)):
        return True
    return is_path(name) and not (may_be_below(name) and open_folders(models_dir))


def files_given(options: argparse.Namespace) -> dict[str, Any]:
    """The files that the options name, as arguments of ``Generator``; empty where none is."""
    folders = cache(partial(open_folders, options.models_dir))  # which are looked through once, where they must be

    def find(file: str) -> StrPath:
        """A file's path; of one that is not here, its place in the folders of models, where it lies in one of them."""
        if is_file(absolute(file)) or not may_be_below(file):
            return file
        return (folders().find(file) if folders() else None) or file

    given = {
        "diffusion_model": options.diffusion_model and find(options.diffusion_model),
        "text_encoder": [find(file) for file in options.text_encoders or ()],
        "vae": options.vae and find(options.vae),
    }
    return {name: value for name, value in given.items() if value}


def name_asked_for(options: argparse.Namespace) -> str | None:
    """The model's name, which is given by itself or as ``--model``; None where it is not. Raises SettingsError."""
    if options.name is not None and options.model is not None:
        raise SettingsError(f"the model is named twice, {options.name} and {options.model}; leave one of them out")
    name: str | None = options.model if options.name is None else options.name
    return name


def size_asked_for(options: argparse.Namespace) -> tuple[int | None, int | None]:
    """Width and height in pixels, of ``--size WxH`` or of ``--width`` and ``--height``. Raises SettingsError."""
    if options.size is None:
        return options.width, options.height
    if options.width is not None or options.height is not None:
        raise SettingsError(f"--size is {options.size!r}, and width or height are given too; leave one of the two out")
    width, _, height = options.size.lower().partition("x")
    if not width.isdecimal() or not (height or width).isdecimal():
        raise SettingsError(f"--size is {options.size!r}; give pixels, as in 512x768")
    return int(width), int(height or width)


def refuse_with_files(options: argparse.Namespace, *arguments: str) -> None:
    """Raises SettingsError for an argument that was given and means nothing where a model is named by its files."""
    for argument in arguments:
        value = getattr(options, argument)
        if value:
            raise SettingsError(
                f"{named(argument)} ({value}) is for models by their names, and this one is named by its files; leave "
                "one of the two out"
            )


def device_choice(text: str) -> str | dict[str, str]:
    """A device's name, or "part=name,..." by part. Raises SettingsError."""
    return _by_name("--device", text, "a name, or part=name,... as in vae=cpu")


def _by_name(option: str, text: str, advice: str) -> str | dict[str, str]:
    if "=" not in text:
        return text
    choice = {}
    for item in text.split(","):
        part, equals, name = item.partition("=")
        if not equals or not part.strip() or not name.strip():
            raise SettingsError(f"{option} is {text!r}; give {advice}")
        choice[part.strip()] = name.strip()
    return choice


def memory_choice(text: str) -> str | dict[str, str]:
    """A limit of memory, or "device=size,..." by device; for the parser."""
    try:
        return _by_name("--memory", text, "6GiB or cpu=8GiB,vulkan0=4GiB")
    except SettingsError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def sizes_of(text: str) -> list[int]:
    """The numbers of ``--sizes``. Raises SettingsError."""
    try:
        return [int(size) for size in text.split(",")]
    except ValueError:
        raise SettingsError(f"--sizes is {text!r}; give numbers of pixels, as in 256,512") from None


def machine_given(options: argparse.Namespace) -> dict[str, Any]:
    """What the options say of the machine, as arguments of ``Generator``. Raises SettingsError."""
    given = {
        "memory": getattr(options, "memory", None),
        "cache_dir": getattr(options, "prompt_cache", None),
        "threads": options.threads,
        "precision": options.precision,
        "isolation": options.isolation,
        "fallback": getattr(options, "fallback", None),
        "self_test": options.self_test,
        "timeout": getattr(options, "timeout", None),
    }
    return {
        "device": device_choice(options.device),
        **{name: value for name, value in given.items() if value is not None},
    }
