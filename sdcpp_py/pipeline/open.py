"""Opening a model: its pipeline, and the lock that calls take."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

from sdcpp_py.errors import DeviceLostError, EngineCrashedError, SettingsError
from sdcpp_py.memory.requirements import LONG_PROMPT, Demand
from sdcpp_py.models.files import ModelFiles, arguments_of, check_files
from sdcpp_py.models.pretrained import Pretrained, resolve
from sdcpp_py.pipeline.call_lock import CallLock
from sdcpp_py.pipeline.in_time import in_time
from sdcpp_py.pipeline.options import PipelineOptions
from sdcpp_py.pipeline.pipeline import Pipeline
from sdcpp_py.pipeline.progress_meter import listener
from sdcpp_py.pipeline.recovery import Attempts
from sdcpp_py.pipeline.stopping import CallStop
from sdcpp_py.progress import Phase, ProgressCallback
from sdcpp_py.prompts.text_encoder import TextEncoder
from sdcpp_py.settings import GenerationSettings
from sdcpp_py.system.deadline import Deadline
from sdcpp_py.system.paths import StrPath

logger = logging.getLogger("sdcpp_py")

GivenEncoder = StrPath | TextEncoder
"""A text encoder as it is given: a file, or one that generators share."""


def checked_pretrained(found: Pretrained) -> ModelFiles:
    """The files of a model that was asked for by its name, checked, with the defaults of its entry in the catalogue."""
    files = check_files(**arguments_of(found.files))
    files = replace(files, family=replace(files.family, trained_on=found.trained_on))
    if found.model is None:
        return files
    return replace(files, family=files.family.with_defaults(asdict(found.model.defaults)))


def shared_encoder(
    given: GivenEncoder | Sequence[GivenEncoder] | None,
) -> tuple[TextEncoder | None, list[StrPath] | None]:
    """The shared text encoder among those that were given, if there is one, and the files of all.

    Raises GeneratorClosedError where it is closed, SettingsError where there are several.
    """
    if given is None:
        return None, None
    several = [given] if isinstance(given, (str, os.PathLike, TextEncoder)) else list(given)
    shared = [encoder for encoder in several if isinstance(encoder, TextEncoder)]
    if len(shared) > 1:
        raise SettingsError("one TextEncoder keeps all text encoders of a generator; give the others as files")
    for encoder in shared:
        encoder.check_open()
    files = [encoder.path if isinstance(encoder, TextEncoder) else encoder for encoder in several]
    return (shared[0] if shared else None), files


def find_pretrained(
    name: str,
    options: PipelineOptions,
    on_progress: ProgressCallback | None,
    progress_bar: bool,
    deadline: Deadline,
    **wanted: Any,
) -> ModelFiles:
    """The files of a model by its name, fetched where they are not on disk, and checked.

    ``wanted`` are further arguments of ``resolve``, whose errors these are.
    """

    def find(tell: ProgressCallback | None) -> ModelFiles:
        return checked_pretrained(resolve(name, **wanted, on_progress=tell, limit=options.limit))

    with listener(on_progress, progress_bar) as listen:
        return in_time(find, deadline, listen)


def open_pipeline(
    files: ModelFiles,
    options: PipelineOptions,
    on_progress: ProgressCallback | None,
    progress_bar: bool,
    deadline: Deadline,
) -> tuple[Pipeline, CallLock]:
    """Opens files that were checked to belong together, and reads the weights that stay in memory.

    Arguments and errors are those of ``Generator``, most of them in ``options``.
    """
    for warning in files.warnings:
        logger.warning("%s", warning)
    stop = CallStop()
    pipeline = Pipeline(files, options, stop.check)
    lock = CallLock(stop, pipeline.cancel, pipeline.close, progress_bar)
    with lock.take(on_progress, deadline=deadline) as meter:
        demand = Demand(GenerationSettings.for_family(files.family, LONG_PROMPT), (LONG_PROMPT,))
        attempts = Attempts(pipeline, meter, lambda: pipeline.plan(demand))
        try:
            try:
                pipeline.load(pipeline.open(demand), meter)
            except (DeviceLostError, EngineCrashedError) as error:
                if not attempts.made_up_for(error, Phase.LOAD, "diffusion_model"):
                    raise
                attempts.do(Phase.LOAD, lambda plan: pipeline.load(plan, meter))
        except BaseException:
            pipeline.close()
            raise
    return pipeline, lock
