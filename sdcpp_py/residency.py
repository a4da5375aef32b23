"""Bringing weights into memory and out of it, as a plan says."""

from __future__ import annotations

from sdcpp_py._native.engine import Engine, Listener
from sdcpp_py._native.requests import Movement, MoveRequest
from sdcpp_py.families import PARTS
from sdcpp_py.planning import MemoryPlan, Stay
from sdcpp_py.text_encoder import TextEncoder


class Residency:
    """Which weights of one engine are in memory.

    Args:
        engine: with an open model.
        threads: CPU threads for reading.
        encoder: the shared text encoder that the model was opened with, if any.
    """

    def __init__(self, engine: Engine, threads: int, encoder: TextEncoder | None) -> None:
        self._engine = engine
        self._threads = threads
        self._encoder = encoder
        # None: not in memory; 0: whole; else the room in which it is streamed.
        self._rooms: dict[str, int | None] = dict.fromkeys(PARTS)
        # Bytes that the part had when it came: a phase may be found later that reads more of it.
        self._sizes = dict.fromkeys(PARTS, 0)

    def bytes_held(self) -> dict[str, int]:
        """Bytes of weights in memory, by part."""
        return {part: self._engine.part(part).in_memory for part in PARTS}

    def settle(self, plan: MemoryPlan, listen: Listener) -> None:
        """Brings in all that stays, at once."""
        staying = {part.need.name for part in plan.parts if part.stay is Stay.RESIDENT}
        self._move(plan, staying, listen)

    def prepare(self, plan: MemoryPlan, phase_of: str, listen: Listener) -> None:
        """Brings in the part whose phase comes, and takes out what does not stay."""
        self._move(plan, {phase_of}, listen)

    def _move(self, plan: MemoryPlan, wanted: set[str], listen: Listener) -> None:
        movements: dict[str, Movement] = {}
        rooms: dict[str, int] = {}
        for part in plan.parts:
            name = part.need.name
            if name in wanted:
                room = part.room if part.stay is Stay.STREAMED else 0
                has = self._rooms[name]
                # A stream may go on in less room than it could take now.
                if has is None or (room == 0) != (has == 0) or has > room or self._sizes[name] < part.need.weights:
                    movements[name] = Movement.STREAM if room else Movement.BRING
                    rooms[name] = room
            elif part.stay is not Stay.RESIDENT and self._rooms[name] is not None:
                movements[name] = Movement.EVICT
        if not movements:
            return
        for name in movements:
            self._rooms[name] = None  # until it is known to be there
        if self._encoder is not None and movements.get("text_encoder") in (Movement.EVICT, Movement.STREAM):
            self._encoder.release(plan.part("text_encoder").need.device)
        self._engine.run(MoveRequest(movements, self._threads, rooms), listen)
        for name, movement in movements.items():
            if movement is not Movement.EVICT:
                self._rooms[name] = rooms[name]
                self._sizes[name] = plan.part(name).need.weights
        if self._encoder is not None and movements.get("text_encoder") is Movement.BRING:
            self._encoder.keep(self._engine, plan.part("text_encoder").need.device)
