"""Plans before anything is loaded: of files, and of models that are not even downloaded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from sdcpp_py.memory.limits import MemoryLimit
from sdcpp_py.memory.placement import DeviceChoice
from sdcpp_py.memory.plan import MemoryPlan
from sdcpp_py.memory.requirements import LONG_PROMPT, Demand
from sdcpp_py.models.bundled import TINY
from sdcpp_py.models.files import ModelFiles, arguments_of, check_files
from sdcpp_py.pipeline.pipeline import Pipeline, PipelineOptions
from sdcpp_py.preflight.named_files import files_named
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


@dataclass(frozen=True)
class Fit:
    """Whether and how a model fits.

    Attributes:
        model, quant: which one.
        plans: of pictures of several sizes.
    """

    model: str
    quant: str
    plans: tuple[MemoryPlan, ...]


def fits(
    models: Sequence[str],
    quants: Sequence[str],
    *,
    sizes: Sequence[int] = (512, 1024),
    memory: MemoryLimit = "auto",
    device: DeviceChoice = "auto",
    hub_cache: StrPath | None = None,
) -> Iterator[Fit]:
    """How each model in each quantization fits, one after the other.

    Arguments and errors are as above, the models by names as ``files_named`` takes them.
    """
    for model in models:
        # A name with a quantization is that one alone, and the model in the package is as it is.
        for quant in [None] if ":" in model or model.lower() == TINY else quants:
            with files_named(model, quant, hollow=True, hub_cache=hub_cache) as found:
                plans = [
                    plan_files(found.files, width=size, height=size, memory=memory, device=device) for size in sizes
                ]
            yield Fit(found.name, found.quant, tuple(plans))
