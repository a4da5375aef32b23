"""What pictures of a model take of memory, whatever the limits: measured once, and kept for the next time."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import astuple, replace
from types import TracebackType

from sdcpp_py._native import library
from sdcpp_py.memory.gpu_rules import gpu_rules
from sdcpp_py.memory.placement import Placement
from sdcpp_py.memory.plan import MemoryPlan, PartNeed
from sdcpp_py.memory.planning import first_fitting
from sdcpp_py.memory.pool import Bounds
from sdcpp_py.memory.requirements import LONG_PROMPT, Demand
from sdcpp_py.models.downloads import Places
from sdcpp_py.models.files import ModelFiles
from sdcpp_py.pipeline.options import PipelineOptions
from sdcpp_py.pipeline.pipeline import Pipeline
from sdcpp_py.preflight.named_files import files_named, shape_of
from sdcpp_py.settings import GenerationSettings
from sdcpp_py.system.kept_facts import KeptFacts
from sdcpp_py.version import __version__


class KeptNeeds:
    """Needs of models by their names. As a context, it keeps what was measured in it."""

    def __init__(self, options: PipelineOptions, places: Places | None = None) -> None:
        self.options = options
        self._places = places or Places()
        self._facts = KeptFacts("needs")
        # What was built decides the graphs, and with them the buffers.
        self._build = [__version__, library.engine_commit(), library.kernels(), options.threads]

    def __enter__(self) -> KeptNeeds:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._facts.save()

    def plans(
        self, name: str, quant: str | None, sizes: Sequence[tuple[int, int]], *, unlimited: bool = False
    ) -> tuple[MemoryPlan, ...]:
        """The plans of pictures of a model, by width and height in pixels.

        Args:
            name, quant: as ``files_named`` takes them, with its errors.
            sizes: of the pictures; one that the model cannot draw is a SettingsError.
            unlimited: plan as if there were memory for everything.
        """
        with contextlib.ExitStack() as stack:
            model = _Measured(name, quant, self._places, stack, self.options)
            return tuple(self._plan(model, size, unlimited=unlimited) for size in sizes)

    def _plan(self, model: _Measured, size: tuple[int, int], *, unlimited: bool) -> MemoryPlan:
        width, height = size
        for placement in self.options.placements:
            plan = first_fitting(
                lambda tile, on=placement: self._needs(model, size, tile, on),  # type: ignore[misc]
                Bounds({}) if unlimited else self.options.limits.now(placement.all, {}),
                width=width,
                height=height,
                tile=0,
            )
            if placement.suits(plan):
                break
        return replace(plan, why=placement.why)

    def _needs(self, model: _Measured, size: tuple[int, int], tile: int, placement: Placement) -> list[PartNeed]:
        where = [(device.name, device.description) for device in placement.devices.values()]
        rules = [astuple(rules) for rules in gpu_rules(placement, self.options.precision).values()]
        key = [*self._build, *model.key, where, rules, *size, tile]
        kept = self._facts.get(key) if model.key else None
        if kept is not None:
            return [PartNeed(*one) for one in kept]
        needs = model.needs(size, tile, placement)
        if model.key:
            self._facts.put(key, [astuple(need) for need in needs])
        return needs


class _Measured:
    """A model that is opened when it is first measured, and stays open as long as a stack does."""

    def __init__(
        self,
        name: str,
        quant: str | None,
        places: Places,
        stack: contextlib.ExitStack,
        options: PipelineOptions,
    ) -> None:
        shape = shape_of(name, quant, places)
        self.key = [shape.shape, shape.quant, shape.encoder_quant] if shape else []
        """What decides its needs; empty for files, which may change."""
        self._stack = stack
        self._options = options
        self._wanted = (name, quant, places)
        self._opened: tuple[ModelFiles, Pipeline] | None = None
        self._on: Placement | None = None

    def needs(self, size: tuple[int, int], tile: int, placement: Placement) -> list[PartNeed]:
        if self._opened is None:
            name, quant, places = self._wanted
            found = self._stack.enter_context(files_named(name, quant, hollow=True, places=places))
            self._opened = found.files, self._stack.enter_context(_pipeline(found.files, self._options))
        files, pipeline = self._opened
        if self._on != placement:
            pipeline.open_on(placement)
            self._on = placement
        settings = GenerationSettings.for_family(
            files.family, LONG_PROMPT, width=size[0], height=size[1], vae_tile_size=tile
        )
        return pipeline.needs(Demand(settings, (LONG_PROMPT,)), tile)


@contextlib.contextmanager
def _pipeline(files: ModelFiles, options: PipelineOptions) -> Iterator[Pipeline]:
    pipeline = Pipeline(files, options)
    try:
        yield pipeline
    finally:
        pipeline.close()
