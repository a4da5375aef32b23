"""The plans of pictures of one open model: of what comes one after the other, and of what the CPU does beside a GPU."""

from __future__ import annotations

from dataclasses import replace

from sdcpp_py.memory.placement import Placement
from sdcpp_py.memory.plan import MemoryPlan, PartNeed
from sdcpp_py.memory.planning import first_fitting, overlapping
from sdcpp_py.memory.pool import Bounds
from sdcpp_py.memory.requirements import Demand, MemoryProbe


class Planner:
    """Makes plans of pictures.

    Args:
        probe: measures what they need.
        placement: of the parts.
    """

    def __init__(self, probe: MemoryProbe, placement: Placement) -> None:
        self._probe = probe
        self._placement = placement

    def plan(self, demand: Demand, bounds: Bounds, *, encodes: bool) -> MemoryPlan:
        """The plan of pictures within bounds. ``encodes``: whether prompts are still to be encoded."""
        settings = demand.settings
        plan = first_fitting(
            lambda tile: self._probe.needs(demand, tile, encodes=encodes),
            bounds,
            width=settings.width,
            height=settings.height,
            tile=settings.vae_tile_size,
        )
        return replace(plan, why=self._placement.why)

    def plan_beside(self, demand: Demand, bounds: Bounds, tile: int, *, encodes: bool) -> MemoryPlan | None:
        """The plan of pictures of which the CPU computes what it can while a GPU denoises others.

        None where it computes nothing of them, or has no room for it.

        Args:
            demand: which pictures.
            bounds: what devices may hold, each and together.
            tile: edge in pixels of the tiles that the VAE works in; 0: in one piece.
            encodes: whether prompts may still be encoded while pictures are denoised.
        """
        if not self._placement.denoiser.is_gpu:
            return None
        on_cpu = tuple(part for part in ("text_encoder", "vae") if not self._placement[part].is_gpu)
        choices = []
        if encodes and demand.texts and "text_encoder" in on_cpu:
            choices.append(on_cpu)
        if "vae" in on_cpu:
            choices.append(("vae",))
        for beside in choices:
            needs = self._probe.needs(demand, tile, encodes="text_encoder" in beside)
            width, height = demand.settings.width, demand.settings.height
            plan = overlapping(needs, bounds, beside, width=width, height=height, vae_tile_size=tile)
            if plan is not None:
                return plan
        return None

    def needs(self, demand: Demand, tile: int) -> list[PartNeed]:
        """What each part needs for such pictures, whatever the limits; ``tile`` as ``MemoryProbe.needs`` takes it."""
        return self._probe.needs(demand, tile, encodes=True)


def said_of(plan: MemoryPlan, placement: Placement) -> str:
    """What is done at the same time, in a phrase."""
    gpu, cpu = placement.denoiser.name, placement[plan.beside[0]].name
    if plan.beside == ("vae",):
        return f"in a batch, {cpu} decodes a picture while {gpu} denoises the next"
    if plan.beside == ("text_encoder",):
        return f"in a batch, {cpu} encodes the next prompt while {gpu} denoises"
    return f"in a batch, {cpu} decodes a picture and encodes the next prompt while {gpu} denoises"
