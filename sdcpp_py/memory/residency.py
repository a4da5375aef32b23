"""Bringing weights into memory and out of it, as a plan says."""

from __future__ import annotations

from sdcpp_py._native.any_engine import AnyEngine
from sdcpp_py._native.engine import Listener
from sdcpp_py._native.requests import Movement, MoveRequest
from sdcpp_py.memory.plan import MemoryPlan, PartPlan, Stay
from sdcpp_py.parts import PARTS
from sdcpp_py.prompts.text_encoder import TextEncoder


class Residency:
    """Which weights of one engine are in memory.

    Args:
        engine: with an open model.
        encoder: the shared text encoder that the model was opened with, if any.
    """

    def __init__(self, engine: AnyEngine, encoder: TextEncoder | None) -> None:
        self._engine = engine
        self._encoder = encoder
        # None: not known to be ready; 0: whole; else the room in which it is streamed.
        self._rooms: dict[str, int | None] = dict.fromkeys(PARTS)
        # Bytes that the part had when it came: a phase may be found later that reads more of it.
        self._sizes = dict.fromkeys(PARTS, 0)
        self.bytes_held = dict.fromkeys(PARTS, 0)
        """Bytes of weights in memory, by part, after the last movement that was looked at."""
        self._looked = True

    def look(self) -> None:
        """Looks at what is in memory after a movement that did not come to its end. While no job runs."""
        if not self._looked:
            self.bytes_held = {part: self._engine.part(part).in_memory for part in PARTS}
            self._looked = True

    def settle(self, plan: MemoryPlan, listen: Listener) -> None:
        """Brings in all that stays, at once."""
        self._move(plan, {part.need.name for part in plan.parts if part.stay is Stay.RESIDENT}, listen)

    def prepare(self, plan: MemoryPlan, phase_of: str, listen: Listener) -> None:
        """Brings in the part whose phase comes, and takes out what does not stay."""
        self._move(plan, {phase_of}, listen)

    def _move(self, plan: MemoryPlan, wanted: set[str], listen: Listener) -> None:
        self._engine.settle()  # a movement that was interrupted may have come to its end all the same
        movements: dict[str, Movement] = {}
        rooms: dict[str, int] = {}
        for part in plan.parts:
            name = part.need.name
            if name in wanted and not self._is_ready(part):
                rooms[name] = part.room if part.stay is Stay.STREAMED else 0
                movements[name] = Movement.STREAM if rooms[name] else Movement.BRING
            elif name not in wanted and part.stay is not Stay.RESIDENT and self._engine.part(name).in_memory:
                movements[name] = Movement.EVICT
        self._let_go_of_encoder(plan, wanted)
        if not movements:
            return
        for name in movements:
            self._rooms[name] = None  # until it is known to be there
        try:
            self._engine.run(MoveRequest(movements, rooms), listen)
        finally:
            self._looked = False
            if self._engine.idle:  # else the movement was told to stop; whoever has the engine next waits for its end
                self.look()
        for name in rooms:
            self._rooms[name] = rooms[name]
            self._sizes[name] = plan.part(name).need.weights
        if self._encoder is not None and movements.get("text_encoder") is Movement.BRING:
            self._encoder.keep(self._engine, plan.part("text_encoder").need.device)

    def _is_ready(self, part: PartPlan) -> bool:
        room = part.room if part.stay is Stay.STREAMED else 0
        has = self._rooms[part.need.name]
        # A stream may go on in less room than it could take now, but not in one place where there is room for two.
        return (
            has is not None
            and (room == 0) == (has == 0)
            and has <= room
            and (not part.reads_ahead or has >= part.need.ahead_room)
            and part.need.weights <= self._sizes[part.need.name]
        )

    def _let_go_of_encoder(self, plan: MemoryPlan, wanted: set[str]) -> None:
        """Lets a shared text encoder go that must make room; an earlier generator may have brought it."""
        part = plan.part("text_encoder")
        stays = part.stay is Stay.RESIDENT or ("text_encoder" in wanted and part.stay is Stay.STAGED)
        if self._encoder is not None and not stays:
            self._encoder.release(part.need.device)
