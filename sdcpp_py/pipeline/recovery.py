"""What follows where a GPU is lost, or its driver takes the engine down: the phase again, elsewhere."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from sdcpp_py._native.library import find_device
from sdcpp_py.errors import DeviceLostError, EngineCrashedError, SdcppError
from sdcpp_py.memory.placement import Placement
from sdcpp_py.pipeline.pipeline import Pipeline
from sdcpp_py.pipeline.progress_meter import Meter
from sdcpp_py.progress import EventKind, GenerationEvent, Phase
from sdcpp_py.system.gpu_watchdog import submission_target

logger = logging.getLogger("sdcpp_py")

# After a loss, a GPU is kept busy at once for this part of what it was before.
_SMALLER = 4
_PARTS = {Phase.ENCODE: "text_encoder", Phase.DENOISE: "diffusion_model", Phase.DECODE: "vae"}

Plans = TypeVar("Plans")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Rung:
    """A step down: where the parts compute from now on.

    Attributes:
        kind: of the event that tells of it.
        placement: of the parts.
        submission_target: milliseconds that a submission to a GPU should take at most; None: the usual.
    """

    kind: EventKind
    placement: Placement
    submission_target: int | None

    @property
    def sentence(self) -> str:
        """What is done, in words."""
        if self.kind == "smaller_submissions":
            return f"it goes on there, kept busy for {self.submission_target} ms at once at most"
        if self.kind == "vae_on_cpu":
            return "the CPU computes the VAE from here on"
        return "the CPU computes it all from here on"


def next_rung(placement: Placement, target: int | None, *, left_open: Collection[str], isolated: bool) -> Rung | None:
    """What is tried after a loss; None where nothing is left.

    Args:
        placement, target: of the engine that was lost, as ``Rung`` has them.
        left_open: parts whose device was not chosen. The others stay where they are.
        isolated: whether the engine has a process of its own. Another one has a lost device back, and this one never.
    """
    on_gpu = [part for part, device in placement.devices.items() if device.is_gpu]
    if not on_gpu:
        return None
    if isolated and target is None:
        return Rung("smaller_submissions", placement, max(1, submission_target() // _SMALLER))
    movable = [part for part in on_gpu if part in left_open]
    if not isolated and movable != on_gpu:
        return None
    if isolated and "vae" in movable and len(movable) > 1:
        return Rung("vae_on_cpu", moved_to_cpu(placement, ["vae"]), target)
    return Rung("all_on_cpu", moved_to_cpu(placement, movable), target) if movable else None


def moved_to_cpu(placement: Placement, parts: Collection[str]) -> Placement:
    """The same with these parts on the CPU."""
    devices = {**placement.devices, **dict.fromkeys(parts, find_device("cpu"))}
    return replace(placement, devices=devices, why="")


class Attempts(Generic[Plans]):
    """Does the phases of a call, each again elsewhere where a GPU was lost, as long as something is left to be tried.

    Args:
        pipeline: the open model.
        meter: of the call.
        plan: makes the plans of what is to come; they hold until the parts compute elsewhere.
    """

    def __init__(self, pipeline: Pipeline, meter: Meter, plan: Callable[[], Plans]) -> None:
        self.pipeline = pipeline
        self._meter = meter
        self._plan = plan
        self._plans: Plans | None = None
        self._events: list[GenerationEvent] = []

    def plan_by(self, plan: Callable[[], Plans]) -> None:
        """Plans otherwise, where plans have to be made again."""
        self._plan = plan

    def plans(self, phase: Phase) -> Plans:
        """The plans as they are now, made where there are none. Raises as the maker of plans does."""
        return self.do(phase, lambda plans: plans)

    def do(self, phase: Phase, work: Callable[[Plans], Result], part: str | None = None) -> Result:
        """Does a part of the work, which is handed the plans.

        Args:
            phase: that it belongs to.
            work: may be done again, from its begin.
            part: the name of the part that computes; None: that of the phase.

        Raises what it raises; DeviceLostError and EngineCrashedError only where nothing is left to be tried.
        """
        part = part or _PARTS.get(phase, "diffusion_model")
        while True:
            try:
                self.pipeline.revive()
                if self._plans is None:
                    self._plans = self._plan()
                return work(self._plans)
            except (DeviceLostError, EngineCrashedError) as error:
                if not self.made_up_for(error, phase, part):
                    raise
                self._meter.break_off()
                self._meter.check()

    def made_up_for(self, error: SdcppError, phase: Phase, part: str) -> bool:
        """Lets the parts compute elsewhere after a loss; returns whether there was anything left to be tried."""
        pipeline, device = self.pipeline, self.pipeline.placement[part]
        # A crash while the CPU computes is none of the GPU's, and would come again.
        if not pipeline.options.recovers or not (device.is_gpu or isinstance(error, DeviceLostError)):
            return False
        rung = next_rung(
            pipeline.placement, pipeline.submission_target,
            left_open=pipeline.options.left_open, isolated=pipeline.options.isolated,
        )  # fmt: skip
        if rung is None:
            return False
        lost = isinstance(error, DeviceLostError)
        step = pipeline.finished_steps if phase is Phase.DENOISE else 0
        after = f" after {step} steps" if step else ""
        what = f"{device.name} was lost" if lost else f"the engine's process ended while {device.name} computed"
        self.tell("device_lost" if lost else "engine_crashed", phase, step, device.name, f"{what}{after}: {error}")
        self.move(rung.placement, rung.submission_target)
        self.tell(rung.kind, phase, step, rung.placement[part].name, f"{what}: {rung.sentence}")
        return True

    def move(self, placement: Placement, target: int | None) -> None:
        """Lets the parts compute elsewhere from now on. Arguments as of ``Rung``."""
        self.pipeline.move(placement, target)
        self._plans = None

    def tell(self, kind: EventKind, phase: Phase, step: int, device: str, message: str) -> None:
        """Notes what happened, and warns of it."""
        self._events.append(GenerationEvent(kind, phase, step, device, message))
        logger.warning("%s", message)

    def take_events(self, others: Sequence[GenerationEvent] = ()) -> tuple[GenerationEvent, ...]:
        """What happened since the last call of this; ``others``, of another picture, take its place."""
        events, self._events = tuple(self._events), list(others)
        return events
