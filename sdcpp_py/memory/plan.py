"""What is in memory when: which weights are resident, which staged for their phase, and which streamed block by block.

A picture passes three phases, each of which computes with the weights of one part and a compute buffer of its own. What
a device holds in a phase is the weights that stay, those of the phase's part, and the compute buffer; that must not be
more than the device's limit.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import chain, combinations

from sdcpp_py.naming import named
from sdcpp_py.parts import PARTS
from sdcpp_py.system.byte_sizes import format_bytes

# Edges in pixels of the tiles that a VAE on a GPU decodes where the whole picture does not fit, the largest first.
_TILES = (1024, 768, 512, 384, 256, 192, 128)


class Stay(Enum):
    """How long a part's weights are in memory: between pictures, for their phase, or block by block within a step."""

    RESIDENT = "resident"
    STAGED = "staged"
    STREAMED = "streamed"
    ABSENT = "not needed"


@dataclass(frozen=True)
class PartNeed:
    """What one part takes, in bytes of its device.

    Attributes:
        name: of the part ("text_encoder", "diffusion_model", "vae").
        device: where it computes.
        weights: of all its weights that are used.
        least_room: of its weights when it is streamed in the least room.
        working: of the compute buffer of its phase.
        needed: whether it has a phase at all; a text encoder has none where all prompts are encoded already.
    """

    name: str
    device: str
    weights: int
    least_room: int
    working: int
    needed: bool = True


@dataclass(frozen=True)
class PartPlan:
    """One part in a plan.

    Attributes:
        need: what it takes.
        stay: what becomes of its weights.
        room: bytes of its weights in memory during its phase.
    """

    need: PartNeed
    stay: Stay
    room: int


@dataclass(frozen=True, repr=False)
class MemoryPlan:
    """How a picture is generated within limits of memory.

    Attributes:
        width, height: of the picture, in pixels.
        parts: in the order of their phases.
        limits: bytes by device; a device that is not there has no limit.
        vae_tile_size: edge in pixels of the tiles that the VAE decodes; 0: in one piece.
        fits: whether the limits hold. Where they do not, the plan is the leanest there is.
    """

    width: int
    height: int
    parts: tuple[PartPlan, ...]
    limits: Mapping[str, int]
    vae_tile_size: int
    fits: bool

    def __repr__(self) -> str:
        most = ", ".join(f"{format_bytes(self.peak(device))} on {device}" for device in self.devices)
        return f"<MemoryPlan {self.width}x{self.height} {'fits' if self.fits else 'does not fit'}: at most {most}>"

    def _repr_html_(self) -> str:
        rows = [["", "device", "weights", "buffer", *(f"in {device}" for device in self.devices), ""], *self.rows()]
        cells = ["".join(f"<td>{html.escape(cell)}</td>" for cell in row) for row in rows]
        return f"<table>{''.join(f'<tr>{row}</tr>' for row in cells)}</table><p>{html.escape(repr(self)[1:-1])}</p>"

    def rows(self) -> list[tuple[str, ...]]:
        """Of each part, in words: its name, device, weights, buffer, what each device holds in its phase, its stay."""
        return [self._row(part) for part in self.parts]

    def _row(self, part: PartPlan) -> tuple[str, ...]:
        need = part.need
        sizes = (need.weights, need.working, *(self.in_phase(need.name, device) for device in self.devices))
        room = f" in {format_bytes(part.room)}" if part.stay is Stay.STREAMED else ""
        return need.name, need.device, *map(format_bytes, sizes), part.stay.value + room

    @property
    def streams(self) -> bool:
        """Whether weights have to come block by block, which is slow."""
        return any(part.stay is Stay.STREAMED for part in self.parts)

    @property
    def devices(self) -> tuple[str, ...]:
        """The devices that take part."""
        return tuple(sorted({part.need.device for part in self.parts}))

    def part(self, name: str) -> PartPlan:
        """The plan of a part."""
        return next(part for part in self.parts if part.need.name == name)

    def in_phase(self, phase_of: str, device: str) -> int:
        """Bytes of weights and compute buffer on a device in the phase of a part."""
        total = 0
        for part in self.parts:
            if part.need.device == device:
                now = part.need.name == phase_of
                total += part.need.weights if part.stay is Stay.RESIDENT else part.room if now else 0
                total += part.need.working if now else 0
        return total

    def peak(self, device: str) -> int:
        """The most bytes of weights and compute buffers that a device holds at a time."""
        return max(self.in_phase(part.need.name, device) for part in self.parts)

    def least(self, device: str) -> int:
        """The lowest limit of a device that a picture of this size can be generated in."""
        return _least(part.need for part in self.parts if part.need.device == device)

    def __str__(self) -> str:
        heads = " ".join(f"{'in ' + device:>11}" for device in self.devices)
        lines = [self.title(), f"{'':<17} {'device':<9} {'weights':>9} {'buffer':>9}  {heads}"]
        for name, device, weights, working, *held, stay in self.rows():
            columns = " ".join(f"{size:>11}" for size in held)
            lines.append(f"{name:<17} {device:<9} {weights:>9} {working:>9}  {columns}  {stay}")
        return "\n".join([*lines, *self.sums()])

    def title(self) -> str:
        """What is planned, in a line."""
        tiles = f", decoded in tiles of {self.vae_tile_size}" if self.vae_tile_size else ""
        return f"{self.width}x{self.height}{tiles}"

    def sums(self) -> list[str]:
        """What it comes to, in lines: for each device, and what to change where it does not fit."""
        lines = []
        for device in self.devices:
            limit = self.limits.get(device)
            of = f" of {format_bytes(limit)}" if limit is not None else ""
            lines.append(f"at most {format_bytes(self.peak(device))}{of} on {device}")
        return lines if self.fits else [*lines, f"does not fit: {self.advice()}"]

    def advice(self) -> str:
        """What to change so that a plan that does not fit would."""
        short = [device for device in self.devices if self.least(device) > self.limits.get(device, self.least(device))]
        needs = " and ".join(f"{format_bytes(self.least(device), enough=True)} on {device}" for device in short)
        largest = max(self.parts, key=lambda part: part.need.working + part.room)
        change = "a smaller picture"
        if largest.need.name == "vae" and not self.vae_tile_size:
            change = f"tiles ({named('vae_tile_size', 256)}), {change}"
        return f"{self.width}x{self.height} needs at least {needs}; give it that, {change} or smaller weights"


@dataclass(frozen=True)
class CallPlan:
    """How one call generates its pictures of one size: made once, when it begins, from what memory there is then.

    Attributes:
        encoding: while prompts are encoded; None where all of them are already.
        generating: afterwards, for all of the pictures, when the text encoder has no phase any more.
    """

    encoding: MemoryPlan | None
    generating: MemoryPlan


def make_plan(
    needs: Sequence[PartNeed], limits: Mapping[str, int], *, width: int, height: int, vae_tile_size: int = 0
) -> MemoryPlan:
    """The plan that keeps as much in memory as the limits allow; where none does, the leanest, which does not fit.

    Args:
        needs: of each part.
        limits: bytes by device; a device that is not named has none.
        width, height, vae_tile_size: of the picture, in pixels.
    """
    plans: dict[str, PartPlan] = {}
    fits = True
    for device in {need.device for need in needs}:
        here = [need for need in needs if need.device == device]
        planned = _plan_device(here, limits.get(device))
        if planned is None:
            fits = False
            planned = _plan_device(here, _least(here))
            assert planned is not None
        plans |= {part.need.name: part for part in planned}
    ordered = tuple(plans[name] for name in PARTS if name in plans)
    return MemoryPlan(width, height, ordered, dict(limits), vae_tile_size, fits)


def first_fitting(
    needs: Callable[[int], Sequence[PartNeed]], limits: Mapping[str, int], *, width: int, height: int, tile: int
) -> MemoryPlan:
    """The plan of a picture; on a GPU, the VAE works in tiles where the whole picture does not fit.

    On the CPU it does so only when it is told to: tiles change the picture, a little, and a limit of memory must not.

    Args:
        needs: of each part, by the edge in pixels of the VAE's tiles; 0: in one piece.
        limits: bytes by device.
        width, height: of the picture, in pixels.
        tile: the tiles that were asked for; 0: none.
    """
    plans: list[MemoryPlan] = []
    tiles = [tile, *(smaller for smaller in _TILES if not tile and smaller < max(width, height))]
    for edge in tiles:
        found = needs(edge)
        plans.append(make_plan(found, limits, width=width, height=height, vae_tile_size=edge))
        device = next(need.device for need in found if need.name == "vae")
        if plans[-1].fits or device == "cpu":
            return plans[-1]
    return min(plans, key=lambda plan: plan.least(device))


def _least(needs: Iterable[PartNeed]) -> int:
    return max((need.working + need.least_room for need in needs if need.needed), default=0)


def _plan_device(needs: Sequence[PartNeed], limit: int | None) -> list[PartPlan] | None:
    """The best plan of the parts on one device, or None where none holds the limit."""
    if limit is None:
        return [PartPlan(need, Stay.RESIDENT, need.weights) for need in needs]
    best: list[PartPlan] | None = None
    for resident in chain.from_iterable(combinations(needs, count) for count in range(len(needs), -1, -1)):
        plan = _with_resident(needs, resident, limit)
        if plan is not None and (best is None or _worth(plan) > _worth(best)):
            best = plan
    return best


def _with_resident(needs: Sequence[PartNeed], resident: Sequence[PartNeed], limit: int) -> list[PartPlan] | None:
    parts = []
    for need in needs:
        if not need.needed and need not in resident:
            parts.append(PartPlan(need, Stay.ABSENT, 0))
            continue
        others = sum(other.weights for other in resident if other is not need)
        room = limit - others - need.working
        if room >= need.weights:
            parts.append(PartPlan(need, Stay.RESIDENT if need in resident else Stay.STAGED, need.weights))
        elif need not in resident and room >= need.least_room:
            parts.append(PartPlan(need, Stay.STREAMED, room))
        else:
            return None
    return parts


def _worth(plan: Sequence[PartPlan]) -> tuple[int, float]:
    """Streaming reads weights in every step, so it comes last; then what would have to be read least often goes.

    The text encoder is needed once for a prompt, the others for every picture.
    """
    streamed = -sum(part.need.weights - part.room for part in plan if part.stay is Stay.STREAMED)
    kept = sum(
        part.need.weights * (0.5 if part.need.name == "text_encoder" else 1)
        for part in plan
        if part.stay is Stay.RESIDENT
    )
    return streamed, kept
