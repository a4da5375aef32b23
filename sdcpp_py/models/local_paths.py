"""Telling the path of a file from a name on the Hub, and what to say of one that leads to nothing."""

from __future__ import annotations

import difflib
import re
from pathlib import Path

from sdcpp_py.errors import ModelLoadError, ModelNotFoundError, SettingsError
from sdcpp_py.naming import named
from sdcpp_py.system.paths import absolute

PICKLES = (".ckpt", ".pt", ".pth", ".bin")
"""Endings of PyTorch's pickles, which run whatever code is in them when they are opened; here nothing opens them."""
MODEL_ENDINGS = (".gguf", ".safetensors", ".sft", *PICKLES)
_BEGINS_AS_A_PATH = re.compile(r"[/\\~]|\.{1,2}(?:[/\\]|$)|[A-Za-z]:[/\\]")
# What the Hub has pages at: nobody there is called so, and folders often are.
_NO_OWNERS = ("models", "datasets", "spaces")
_SHOWN = 3


def is_file(path: Path) -> bool:
    """Whether a file is there. A name that no file can have, such as one that is too long, is that of none."""
    try:
        return path.is_file()
    except OSError:
        return False


def is_folder(path: Path) -> bool:
    """Whether a folder is there, likewise."""
    try:
        return path.is_dir()
    except OSError:
        return False


def is_path(text: str) -> bool:
    """Whether a text names a place on disk rather than a model or a file of the Hub.

    "owner/repository/file.gguf" could be either: it is a path where a folder called "owner" is here.
    """
    if _BEGINS_AS_A_PATH.match(text) or "\\" in text:
        return True
    if not text.lower().endswith(MODEL_ENDINGS):
        return False
    owner, *inside = text.split("/")
    return len(inside) < 2 or owner.lower() in _NO_OWNERS or is_folder(Path(owner))


def may_be_below(text: str) -> bool:
    """Whether a text can be the end of a path below a folder: not one that begins as a path from here does."""
    return bool(text) and not _BEGINS_AS_A_PATH.match(text) and "\\" not in text and text.isprintable()


def not_found(path: Path) -> ModelNotFoundError:
    """The error for a model file that does not exist. It names what lies where it was looked for."""
    return ModelNotFoundError(f"there is no file {path}{_beside(path)}")


def refuse_path(name: str) -> None:
    """Raises where a path is given as the name of a model: ModelNotFoundError where nothing is there, or SettingsError.

    A mistyped path would else be looked for on the Hub.
    """
    if not is_path(name):
        return
    path = absolute(name)
    if not (is_file(path) or is_folder(path)):
        raise not_found(path)
    raise SettingsError(f"{name} is a file and no name; give it as {named('model')} or {named('diffusion_model')}")


def check_path(path: Path) -> None:
    """Raises ModelLoadError where the engine could not be told of a path."""
    # The engine stops at a NUL and takes bytes that are no text for something else.
    try:
        encoded = str(path).encode("utf-8")
    except UnicodeEncodeError:
        raise ModelLoadError(f"the path {str(path)!r} cannot be written as UTF-8; rename the file") from None
    if b"\0" in encoded:
        raise ModelLoadError(f"the path {str(path)!r} contains a NUL character")


def _beside(path: Path) -> str:
    """The end of the sentence: the nearest names in the nearest folder that is there."""
    folder, missing = path.parent, path.name
    while not is_folder(folder) and folder != folder.parent:
        folder, missing = folder.parent, folder.name
    try:
        names = sorted(entry.name for entry in folder.iterdir() if entry.is_dir() or _is_model(entry.name))
    except OSError:
        return ""
    near = difflib.get_close_matches(missing, names, n=_SHOWN, cutoff=0.6)
    near = near or [name for name in names if _is_model(name)][:_SHOWN]
    where = str(folder)
    if missing != path.name:
        return f": {where} has no folder {missing}" + (f" (but {_listed(near)})" if near else "")
    return f"; {where} has {_listed(near)}" if near else f"; no model file is in {where}"


def _is_model(name: str) -> bool:
    return name.lower().endswith(MODEL_ENDINGS)


def _listed(names: list[str]) -> str:
    return ", ".join(names[:-1]) + " and " * (len(names) > 1) + names[-1]
