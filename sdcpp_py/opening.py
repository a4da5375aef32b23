"""Opening a model: its session, and the turns that threads take with it."""

from __future__ import annotations

import logging
import os
from dataclasses import asdict, replace

from sdcpp_py.limits import MemoryLimit
from sdcpp_py.models import ModelFiles, arguments_of, check_files
from sdcpp_py.placement import DeviceChoice
from sdcpp_py.pretrained import Pretrained
from sdcpp_py.progress import ProgressCallback
from sdcpp_py.prompt_cache import chosen_cache
from sdcpp_py.session import Session, SessionOptions
from sdcpp_py.text_encoder import TextEncoder
from sdcpp_py.turns import Turns

logger = logging.getLogger("sdcpp_py")


def checked_pretrained(found: Pretrained) -> ModelFiles:
    """The files of a model that was asked for by its name, checked, with the defaults of its entry in the catalogue."""
    files = check_files(**arguments_of(found.files))
    if found.model is None:
        return files
    return replace(files, family=files.family.with_defaults(asdict(found.model.defaults)))


def open_session(
    files: ModelFiles,
    encoder: TextEncoder | None = None,
    *,
    device: DeviceChoice = "auto",
    threads: int | None = None,
    memory: MemoryLimit = "auto",
    cache_prompts: bool = True,
    cache_dir: str | os.PathLike[str] | None = None,
    on_progress: ProgressCallback | None = None,
    progress_bar: bool = False,
) -> tuple[Session, Turns]:
    """Opens files that were checked to belong together, and reads the weights that stay in memory.

    Arguments and errors are those of ``Generator``; ``encoder`` is the shared text encoder, if there is one.
    """
    for warning in files.warnings:
        logger.warning("%s", warning)
    options = SessionOptions.of(device, memory, threads, chosen_cache(cache_prompts, cache_dir), encoder)
    session = Session(files, options)
    turns = Turns(session.cancel, session.close, progress_bar)
    with turns.take(on_progress) as meter:
        try:
            session.load(session.open(files.family.width, files.family.height), meter)
        except BaseException:
            session.close()
            raise
    return session, turns
