"""Disks that are slow or fail on purpose, and blocks that are streamed without a model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sdcpp_py._native.library import ffi, lib
from sdcpp_py._native.status import raise_failure

FAULTS = {"": lib.SDPY_READING_WORKS, "short": lib.SDPY_READING_SHORT, "ends": lib.SDPY_READING_ENDS}
FAULTS["fails"] = lib.SDPY_READING_FAILS


@contextmanager
def reading(*, bytes_per_second: int = 0, fault: str = "", at: int = 0, ahead: bool = True) -> Iterator[None]:
    """Files of this process are read so as long as it lasts; the read of number ``at`` from now on meets the fault."""
    conditions = {"bytes_per_second": bytes_per_second, "fault": FAULTS[fault], "fault_at": at, "not_ahead": not ahead}
    lib.sdpy_arrange_reading(ffi.new("sdpy_reading_conditions *", conditions))
    try:
        yield
    finally:
        lib.sdpy_arrange_reading(ffi.new("sdpy_reading_conditions *"))


@dataclass(frozen=True)
class Layout:
    """Where blocks go: ``places`` has None for one that stays; ``bytes`` has the sizes of both places."""

    places: tuple[int | None, ...]
    bytes: tuple[int, int]


def lay_out(outside: int, blocks: Sequence[int], room: int) -> Layout:
    """As the native layer lays blocks out. Raises OutOfMemoryError."""
    places, sizes, failure = ffi.new("int[]", max(1, len(blocks))), ffi.new("uint64_t[2]"), ffi.new("sdpy_failure *")
    if lib.sdpy_lay_out(outside, list(blocks), len(blocks), room, places, sizes, failure):
        raise_failure(failure, ffi)
    return Layout(tuple(None if places[i] < 0 else places[i] for i in range(len(blocks))), (sizes[0], sizes[1]))


def least_rooms(outside: int, blocks: Sequence[int]) -> tuple[int, int]:
    """The least room, and the least in which there are two places."""
    least, ahead = ffi.new("uint64_t *"), ffi.new("uint64_t *")
    lib.sdpy_least_rooms(outside, list(blocks), len(blocks), least, ahead)
    return least[0], ahead[0]


def stream_blocks(
    path: Path,
    blocks: Sequence[int],
    places: Sequence[int],
    graphs: Sequence[Sequence[int]],
    *,
    threads: int = 2,
    patient: bool = False,
) -> tuple[bytes, int]:
    """The bytes that lie in the places turn by turn, and how many turns found theirs there. Raises SdcppError."""
    order = [block for graph in graphs for block in graph]
    ends = [sum(map(len, graphs[: number + 1])) for number in range(len(graphs))]
    out = ffi.new("uint8_t[]", max(1, sum(blocks[block] for block in order)))
    came, failure = ffi.new("int *"), ffi.new("sdpy_failure *")
    given = (str(path).encode(), list(blocks), list(places), len(blocks), order, ends, len(graphs), threads, patient)
    if lib.sdpy_stream_blocks(*given, out, came, failure):
        raise_failure(failure, ffi)
    return bytes(ffi.buffer(out))[: sum(blocks[block] for block in order)], came[0]
