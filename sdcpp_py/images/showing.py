"""Showing pictures to whoever sits before the machine."""

from __future__ import annotations

import importlib
import os
import sys
import tempfile
from pathlib import Path
from typing import Protocol

from sdcpp_py.errors import OutputError


class Encodable(Protocol):
    """What has bytes of a picture."""

    def to_bytes(self) -> bytes:
        """The bytes of its file."""


def show(picture: Encodable, prefix: str) -> None:
    """Shows a picture in the notebook that runs this, or with the first of Pillow's viewers that works.

    ``prefix`` begins the name of its temporary file, which stays, since the program may open it at any time.

    Raises OutputError.
    """
    if _in_notebook():
        importlib.import_module("IPython.display").display(picture)
        return
    from PIL import ImageShow  # looks for programs as soon as it is imported

    try:
        handle, name = tempfile.mkstemp(".png", prefix)
        with os.fdopen(handle, "wb") as file:
            file.write(picture.to_bytes())
    except OSError as error:
        if isinstance(error, OutputError):
            raise
        raise OutputError(f"no temporary file can be written: {error.strerror or error}") from error
    for viewer in ImageShow._viewers:
        if type(viewer).show_file is not ImageShow.Viewer.show_file and viewer.show_file(name):
            return
    Path(name).unlink(missing_ok=True)
    raise OutputError("there is no program here that shows pictures; write it with save()")


def _in_notebook() -> bool:
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return shell is not None and hasattr(shell, "kernel")
