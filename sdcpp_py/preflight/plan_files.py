"""Plans before anything is loaded."""

from __future__ import annotations

from collections.abc import Mapping

from sdcpp_py.memory.limits import MemoryLimit
from sdcpp_py.memory.placement import DeviceChoice
from sdcpp_py.memory.plan import MemoryPlan
from sdcpp_py.memory.requirements import LONG_PROMPT, Demand
from sdcpp_py.models.files import ModelFiles, arguments_of, check_files
from sdcpp_py.pipeline.pipeline import Pipeline, PipelineOptions
from sdcpp_py.settings import GenerationSettings
from sdcpp_py.system.paths import StrPath


def plan_files(
    files: Mapping[str, StrPath] | ModelFiles,
    *,
    width: int | None = None,
    height: int | None = None,
    memory: MemoryLimit = "auto",
    device: DeviceChoice = "auto",
    threads: int | None = None,
    prompt: str = LONG_PROMPT,
    vae_tile_size: int = 0,
) -> MemoryPlan:
    """What would be in memory when a picture is generated with files, of which nothing but the headers is read.

    Args:
        files: by their roles, or checked already.
        width, height: of the picture, in pixels; where None, the model's own.
        memory, device, threads: as ``Generator`` takes them.
        prompt, vae_tile_size: as ``Generator.plan`` takes them.

    Raises as ``Generator`` does, but a plan that does not fit says so by ``fits``.
    """
    checked = files if isinstance(files, ModelFiles) else check_files(**arguments_of(files))
    options = PipelineOptions.of(device, memory, threads)
    settings = GenerationSettings.for_family(
        checked.family, prompt, width=width, height=height, vae_tile_size=vae_tile_size
    )
    pipeline = Pipeline(checked, options)
    try:
        return pipeline.open(Demand(settings, (prompt,)))
    finally:
        pipeline.close()
