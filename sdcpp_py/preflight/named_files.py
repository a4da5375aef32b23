"""Files of a model by its name: of the one in the package, or of random weights in a real model's shape."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from sdcpp_py.errors import OutputError, SettingsError
from sdcpp_py.models.bundled import TINY, bundled_files

PathLike = str | os.PathLike[str]
FilesByRole = Mapping[str, PathLike]
"""The files of a model by their roles (``parts.ROLES``)."""


@contextlib.contextmanager
def files_named(name: str, quant: str, folder: Path | None = None, *, hollow: bool) -> Iterator[FilesByRole]:
    """The files of a model.

    Args:
        name: "tiny", the model in the package, or a family that ``sdcpp_py.synth`` knows ("klein-4b").
        quant: how its large matrices are stored; "tiny" is as it is.
        folder: keeps the files; without it they are gone afterwards.
        hollow: whether they have true headers and sizes and no weights, which is enough for a plan.

    Raises:
        SettingsError: there is no such model or quantization.
        OutputError: the files cannot be written.
    """
    if name == TINY:
        bundled = bundled_files(TINY)
        yield {"diffusion_model": bundled.diffusion_model, "llm": bundled.text_encoder, "tae": bundled.vae}
        return
    from sdcpp_py import synth

    with contextlib.ExitStack() as stack:
        if folder is None:
            folder = stack.enter_context(_temporary_folder())
        try:
            files = (synth.write_hollow_set if hollow else synth.write_set)(name, folder, quant=quant)
        except (ValueError, ImportError) as error:
            raise SettingsError(str(error)) from error
        except OSError as error:
            raise OutputError(f"{folder}: {error.strerror or error}") from error
        yield files.files


@contextlib.contextmanager
def _temporary_folder() -> Iterator[Path]:
    """A folder that is gone afterwards. Raises OutputError where the system has no place for one."""
    try:
        made = tempfile.TemporaryDirectory(prefix="sdcpp_py-", ignore_cleanup_errors=True)
    except OSError as error:
        raise OutputError(
            f"files that are needed for a while cannot be written: {error.strerror or error}; set TMPDIR (on Windows "
            "TEMP) to a folder that can"
        ) from error
    with made as folder:
        yield Path(folder)
