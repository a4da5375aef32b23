"""ComfyUI's ``extra_model_paths.yaml``: a file that names folders of models elsewhere.

Of each program in it there is the folder that its paths begin from (``base_path``; without it, the folder that the file
lies in), and for each kind of model a path or several, one a line:
https://docs.comfy.org/development/core-concepts/models
"""

from __future__ import annotations

import contextlib
import logging
import os
from pathlib import Path
from typing import Any

from sdcpp_py.errors import ModelLoadError
from sdcpp_py.models.folders.layouts import holds_additions
from sdcpp_py.models.local_paths import is_file, is_folder
from sdcpp_py.system.paths import absolute

NAME = "extra_model_paths.yaml"
"""What ComfyUI calls the file, in its own folder."""
ENDINGS = (".yaml", ".yml")
# A list of folders is short; what is larger is no such list, and is not read.
_MOST = 2**20
_NO_FOLDERS = ("base_path", "is_default", "custom_nodes", "configs")

_log = logging.getLogger("sdcpp_py")


def extra_folders(path: Path) -> list[Path]:
    """The folders of models that such a file names, and that are there; those of a program that is the default first.

    Folders of LoRAs, upscalers and the like are left out.

    Raises ModelLoadError where it is no such file.
    """
    programs = sorted(_programs(path).values(), key=lambda program: not program.get("is_default"))
    folders: dict[Path, None] = {}
    for program in programs:
        base = _from(path.parent, str(program.get("base_path") or ""))
        for kind, places in program.items():
            if kind in _NO_FOLDERS or holds_additions(kind) or not isinstance(places, str):
                continue
            for place in filter(None, map(str.strip, places.splitlines())):
                folder = _from(base, place)
                if is_folder(folder):
                    folders[folder] = None
                else:
                    _log.info("%s names %s for %s, and there is no such folder", path, folder, kind)
    return list(folders)


def extra_paths_in(folder: Path) -> Path | None:
    """The file of that name in a program's folder; None where there is none."""
    path = folder / NAME
    return path if is_file(path) else None


def _programs(path: Path) -> dict[str, dict[str, Any]]:
    # Not needed by any other command, and not quick to import.
    import yaml

    try:
        if path.stat().st_size > _MOST:
            raise ModelLoadError(f"{path} is too large for a list of folders")
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no YAML"
        raise ModelLoadError(f"{path} cannot be read: {reason}") from error
    programs = found or {}
    if not isinstance(programs, dict) or not all(isinstance(one, (dict, type(None))) for one in programs.values()):
        raise ModelLoadError(f"{path} names no folders of models as ComfyUI's {NAME} does")
    return {str(name): {str(key): value for key, value in (one or {}).items()} for name, one in programs.items()}


def _from(base: Path, place: str) -> Path:
    """A path that the file has, with ``~`` and variables, from where it begins."""
    path = Path(os.path.expandvars(place))
    with contextlib.suppress(RuntimeError):  # no such user
        path = path.expanduser()
    return Path(os.path.normpath(absolute(base / path)))
