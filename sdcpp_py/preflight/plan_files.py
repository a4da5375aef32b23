"""Plans before anything is loaded."""

from __future__ import annotations

from collections.abc import Mapping

from sdcpp_py.memory.gpu_rules import Precision
from sdcpp_py.memory.limits import MemoryLimit
from sdcpp_py.memory.placement import DeviceChoice
from sdcpp_py.memory.plan import MemoryPlan
from sdcpp_py.memory.requirements import LONG_PROMPT, Demand
from sdcpp_py.memory.tested_gpus import SelfTest, check_self_test
from sdcpp_py.models.files import ModelFiles, arguments_of, check_files
from sdcpp_py.pipeline.isolation import Isolation
from sdcpp_py.pipeline.options import PipelineOptions
from sdcpp_py.pipeline.pipeline import Pipeline
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
    precision: Precision = "auto",
    isolation: Isolation = "auto",
    self_test: SelfTest = "auto",
    prompt: str = LONG_PROMPT,
    vae_tile_size: int = 0,
) -> MemoryPlan:
    """What would be in memory when a picture is generated with files, of which nothing but the headers is read.

    Args:
        files: by their roles, or checked already.
        width, height: of the picture, in pixels; where None, the model's own.
        memory, device, threads, precision, isolation: as ``Generator`` takes them.
        self_test: whether what is known of GPUs counts; none is tested for a plan.
        prompt, vae_tile_size: as ``Generator.plan`` takes them.

    Raises as ``Generator`` does, but a plan that does not fit says so by ``fits``.
    """
    checked = files if isinstance(files, ModelFiles) else check_files(**arguments_of(files))
    heed = None if check_self_test(self_test) == "auto" else self_test
    options = PipelineOptions.of(device, memory, threads, precision=precision, isolation=isolation, self_test=heed)
    settings = GenerationSettings.for_family(
        checked.family, prompt, width=width, height=height, vae_tile_size=vae_tile_size
    )
    pipeline = Pipeline(checked, options)
    try:
        return pipeline.open(Demand(settings, (prompt,)))
    finally:
        pipeline.close()
