"""What is in memory when: which weights are resident, which staged for their phase, and which streamed block by block.

A picture passes three phases, each of which computes with the weights of one part and a compute buffer of its own. What
a device holds in a phase is the weights that stay, those of the phase's part, and the compute buffer; that must not be
more than the device's limit. Devices that share the host's memory must not hold more together than that has.
"""

from __future__ import annotations

import html
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from enum import Enum

from sdcpp_py.memory.pool import Pool
from sdcpp_py.naming import named
from sdcpp_py.system.byte_sizes import format_bytes


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
        unsupported: what its device cannot compute of its phase, in words; "" where it can do all.
        ahead_room: of its weights in the least room that has two places for streamed blocks; 0: not known.
    """

    name: str
    device: str
    weights: int
    least_room: int
    working: int
    needed: bool = True
    unsupported: str = ""
    ahead_room: int = 0


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

    @property
    def reads_ahead(self) -> bool:
        """Whether streamed blocks have two places: one is filled while the block in the other is computed."""
        return self.stay is Stay.STREAMED and 0 < self.need.ahead_room <= self.room


@dataclass(frozen=True, repr=False)
class MemoryPlan:
    """How a picture is generated within limits of memory.

    Attributes:
        width, height: of the picture, in pixels.
        parts: in the order of their phases.
        limits: bytes by device; a device that is not there has no limit.
        vae_tile_size: edge in pixels of the tiles that the VAE decodes; 0: in one piece.
        fits: whether the limits hold. Where they do not, the plan is the leanest there is.
        pool: the memory that some devices share, with its own limit; None where each has its own.
        why: why parts compute where they do, in a phrase; "" where that was not left open.
        beside: the parts that a CPU computes, one at a time, while the denoiser computes: their weights are there all
            the time, and so is the compute buffer of one of them. () where phases come one after the other.
    """

    width: int
    height: int
    parts: tuple[PartPlan, ...]
    limits: Mapping[str, int]
    vae_tile_size: int
    fits: bool
    pool: Pool | None = None
    why: str = ""
    beside: tuple[str, ...] = ()

    def __repr__(self) -> str:
        most = ", ".join(f"{format_bytes(self.peak(devices))} on {' and '.join(devices)}" for devices in self.memories)
        return f"<MemoryPlan {self.width}x{self.height} {'fits' if self.fits else 'does not fit'}: at most {most}>"

    def _repr_html_(self) -> str:
        rows = [["", "device", "weights", "buffer", *self.held_in(), ""], *self.rows()]
        cells = ["".join(f"<td>{html.escape(cell)}</td>" for cell in row) for row in rows]
        return f"<table>{''.join(f'<tr>{row}</tr>' for row in cells)}</table><p>{html.escape(repr(self)[1:-1])}</p>"

    def rows(self) -> list[tuple[str, ...]]:
        """Of each part, in words: its name, device, weights, buffer, what is held in its phase, its stay."""
        return [self._row(part) for part in self.parts]

    def held_in(self) -> list[str]:
        """The heads of the columns of what is held: of each device, and of those together that share a memory."""
        return [head for head, _ in self._columns]

    def _row(self, part: PartPlan) -> tuple[str, ...]:
        need = part.need
        held = (self.in_phase(need.name, devices) for _, devices in self._columns)
        room = f" in {format_bytes(part.room)}" if part.stay is Stay.STREAMED else ""
        room += ", read ahead" if part.reads_ahead else ""
        return need.name, need.device, *map(format_bytes, (need.weights, need.working, *held)), part.stay.value + room

    @property
    def streams(self) -> bool:
        """Whether weights have to come block by block, which is slow."""
        return any(part.stay is Stay.STREAMED for part in self.parts)

    @property
    def all_resident(self) -> bool:
        """Whether no weights have to come again for a picture."""
        return all(part.stay in (Stay.RESIDENT, Stay.ABSENT) for part in self.parts)

    @property
    def devices(self) -> tuple[str, ...]:
        """The devices that take part."""
        return tuple(sorted({part.need.device for part in self.parts}))

    @property
    def unsupported(self) -> str:
        """What a device cannot compute of such a picture, in a sentence; "" where all of it can be computed."""
        for part in self.parts:
            if part.need.unsupported and part.need.needed:
                return f"{part.need.device} cannot compute the {part.need.name}'s {part.need.unsupported}"
        return ""

    @property
    def memories(self) -> tuple[tuple[str, ...], ...]:
        """The memories that take part, each by its devices: those that share one stand together."""
        apart = [(device,) for device in self.devices if device not in self._shared]
        return (self._shared, *apart) if self._shared else tuple(apart)

    @property
    def _columns(self) -> list[tuple[str, tuple[str, ...]]]:
        columns: list[tuple[str, tuple[str, ...]]] = [(f"in {device}", (device,)) for device in self.devices]
        return [*columns, ("together", self._shared)] if self._shared else columns

    @property
    def _shared(self) -> tuple[str, ...]:
        """The devices that take part and share one memory; none where a memory has one device."""
        found = tuple(name for name in self.pool.devices if name in self.devices) if self.pool else ()
        return found if len(found) > 1 else ()

    def part(self, name: str) -> PartPlan:
        """The plan of a part."""
        return next(part for part in self.parts if part.need.name == name)

    def in_phase(self, phase_of: str, devices: str | Collection[str]) -> int:
        """Bytes of weights and compute buffer on a device, or on several together, in the phase of a part."""
        parts = self._on(devices)
        if phase_of in self.beside:
            phase_of = "diffusion_model"
        total = max((part.need.working for part in parts if part.need.name in self.beside), default=0)
        for part in parts:
            now = part.need.name == phase_of
            total += part.need.weights if part.stay is Stay.RESIDENT else part.room if now else 0
            total += part.need.working if now else 0
        return total

    def peak(self, devices: str | Collection[str]) -> int:
        """The most bytes of weights and compute buffers that a device holds at a time, or several together."""
        return max(self.in_phase(part.need.name, devices) for part in self.parts)

    def least(self, devices: str | Collection[str]) -> int:
        """The lowest limit of a device, or of several together, that such a picture can be generated in."""
        return least_limit(part.need for part in self._on(devices))

    def _on(self, devices: str | Collection[str]) -> list[PartPlan]:
        names = (devices,) if isinstance(devices, str) else devices
        return [part for part in self.parts if part.need.device in names]

    def __str__(self) -> str:
        heads = " ".join(f"{head:>11}" for head in self.held_in())
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
        """Why, and what it comes to, in lines: on each device, in what they share; what to change if it is short."""
        lines = [self.why] if self.why else []
        lines += [self._sum(device, self.limits.get(device), f"on {device}") for device in self.devices]
        if self.pool is not None:
            lines.append(self._sum(self.pool.devices, self.pool.limit, f"in {self.pool}"))
        return lines if self.fits else [*lines, f"does not fit: {self.advice()}"]

    def _sum(self, devices: str | Collection[str], limit: int | None, where: str) -> str:
        of = f" of {format_bytes(limit)}" if limit is not None else ""
        return f"at most {format_bytes(self.peak(devices))}{of} {where}"

    def advice(self) -> str:
        """What to change so that a plan that does not fit would."""
        if self.unsupported:
            return (
                f"{self.width}x{self.height}: {self.unsupported}; give a smaller picture, or {named('device', 'cpu')}"
            )
        needs = " and ".join(f"{format_bytes(least, enough=True)} on {where}" for where, least in self._short())
        largest = max(self.parts, key=lambda part: part.need.working + part.room)
        change = "a smaller picture"
        if largest.need.name == "vae" and not self.vae_tile_size:
            change = f"tiles ({named('vae_tile_size', 256)}), {change}"
        return f"{self.width}x{self.height} needs at least {needs}; give it that, {change} or smaller weights"

    def _short(self) -> list[tuple[str, int]]:
        """What has too low a limit, in words, and the least it would have to be."""
        limits, found, pool = dict(self.limits), [], self.pool
        if pool is not None and pool.limit is not None and self.least(pool.devices) > pool.limit:
            found.append((f"{' and '.join(pool.devices)} together", self.least(pool.devices)))
            # A device that is held to the pool's limit alone has a higher one as soon as the pool has.
            limits = {name: size for name, size in limits.items() if size != pool.limit}
        on_devices = [(name, self.least(name)) for name in self.devices]
        return found + [(name, least) for name, least in on_devices if least > limits.get(name, least)]


@dataclass(frozen=True)
class CallPlan:
    """How one call generates its pictures of one size: made once, when it begins, from what memory there is then.

    Attributes:
        encoding: while prompts are encoded; None where all of them are already.
        generating: afterwards, for all of the pictures, when the text encoder has no phase any more.
        beside: of the engine beside, which decodes pictures or encodes prompts while the denoiser works: what both
            hold together. None where one engine does all, one after the other.
    """

    encoding: MemoryPlan | None
    generating: MemoryPlan
    beside: MemoryPlan | None = None

    @classmethod
    def overlapping(cls, encoding: MemoryPlan | None, beside: MemoryPlan, *, shared: Collection[str]) -> CallPlan:
        """The plans of a call with an engine beside, as ``beside`` says.

        The weights of what that computes do not stay with the first engine, unless they are ``shared``: the same bytes.
        """
        leaving = set(beside.beside) - set(shared)
        parts = [replace(part, stay=Stay.STAGED) if part.need.name in leaving else part for part in beside.parts]
        return cls(encoding, replace(beside, parts=tuple(parts), beside=()), beside)

    def computes_beside(self, part: str) -> bool:
        """Whether the engine beside computes a part."""
        return self.beside is not None and part in self.beside.beside


def least_limit(needs: Iterable[PartNeed]) -> int:
    """The lowest limit that a picture can be generated in where parts compute in one memory: one at a time."""
    return max((need.working + need.least_room for need in needs if need.needed), default=0)
