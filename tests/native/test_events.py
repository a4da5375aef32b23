"""What is kept of a job's events while nobody reads them."""

from __future__ import annotations

from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from sdcpp_py._native.library import ffi, lib
from sdcpp_py._native.status import Status

KEPT = 2000
PROGRESS, LOG = lib.SDPY_EVENT_PROGRESS, lib.SDPY_EVENT_LOG

Event = tuple[int, int, float]
"""Its kind, its phase or level, and its fraction; a log line's number stands in place of a fraction."""


def kept_of(events: list[Event]) -> list[Event]:
    raw = ffi.new("sdpy_event[]", len(events))
    for event, (kind, number, fraction) in zip(raw, events, strict=True):
        event.kind, event.phase, event.level, event.fraction = kind, number, number, fraction
    out, count = ffi.new("sdpy_event[]", len(events) + 1), ffi.new("int *")
    failure = ffi.new("sdpy_failure *")
    assert lib.sdpy_keep_events(raw, len(events), out, len(out), count, failure) == Status.OK
    return [_event(out[i]) for i in range(count[0])]


def _event(raw: Any) -> Event:
    return raw.kind, raw.phase if raw.kind == PROGRESS else raw.level, raw.fraction


def lines(count: int) -> list[Event]:
    return [(LOG, 1, float(number)) for number in range(count)]


def phase_with(phase: int, inside: list[Event]) -> list[Event]:
    return [(PROGRESS, phase, 0.0), *inside, (PROGRESS, phase, 1.0)]


def progress_and_lines(count: int) -> list[Event]:
    """Progress that the next log line keeps from being replaced."""
    pairs = (((PROGRESS, 2, (number + 1) / (count + 1)), (LOG, 0, float(number))) for number in range(count))
    return [event for pair in pairs for event in pair]


EVENTS = st.one_of(
    st.tuples(st.just(PROGRESS), st.integers(0, 3), st.sampled_from((0.0, 0.25, 0.5, 0.999, 1.0))),
    st.tuples(st.just(LOG), st.integers(0, 3), st.integers(0, 9).map(float)),
)


def is_edge(event: Event) -> bool:
    """A phase's start or end."""
    return event[0] == PROGRESS and event[2] in (0.0, 1.0)


def is_part(part: list[Event], whole: list[Event]) -> bool:
    """Whether ``part`` is left of ``whole`` when some are taken out."""
    rest = iter(whole)
    return all(event in rest for event in part)


@given(
    before=st.lists(EVENTS, max_size=6), middle=st.lists(EVENTS, max_size=6), after=st.lists(EVENTS, max_size=6),
    many=st.sampled_from((0, 900, KEPT - 3, KEPT, KEPT + 900)), with_progress=st.booleans(),
)  # fmt: skip
@example(before=phase_with(0, []), middle=[], after=phase_with(1, []), many=KEPT, with_progress=False)
def test_starts_and_ends_of_phases_are_never_dropped(
    before: list[Event], middle: list[Event], after: list[Event], many: int, with_progress: bool
) -> None:
    """Every start and end is kept, all in their order, and beside them no more than there is room for."""
    flood = progress_and_lines(many // 2) if with_progress else lines(many)
    events = [*before, *flood, *middle, *flood, *after]
    kept = kept_of(events)
    edges = list(filter(is_edge, events))
    assert list(filter(is_edge, kept)) == edges
    assert is_part(kept, events)
    assert len(kept) <= max(KEPT, len(edges) + 1)
    if events:
        assert kept[-1] == events[-1]


def test_the_oldest_lines_go_first() -> None:
    """Of too many log lines the newest are kept, and progress inside a phase goes only when no line is left."""
    inside: Event = (PROGRESS, 1, 0.5)
    assert kept_of(phase_with(1, [inside, *lines(KEPT + 100)])) == phase_with(1, [inside, *lines(KEPT + 100)[103:]])
    edges = [event for phase in range(4) for event in phase_with(phase % 4, [])] * (KEPT // 8)
    assert kept_of([inside, *edges]) == edges


def test_every_step_is_heard_of() -> None:
    """Of a phase that nobody listened to, the last news of each step is there, and none older of the same step."""
    steps, looks = 4, 3
    count = steps * looks
    raw = ffi.new("sdpy_event[]", count)
    for number in range(count):
        raw[number].kind, raw[number].phase = PROGRESS, 1
        raw[number].step, raw[number].fraction = number // looks, (number + 1) / (count + 1)
    out, kept = ffi.new("sdpy_event[]", count), ffi.new("int *")
    assert lib.sdpy_keep_events(raw, count, out, count, kept, ffi.new("sdpy_failure *")) == Status.OK
    assert [out[i].step for i in range(kept[0])] == list(range(steps))
    assert [out[i].fraction for i in range(kept[0])] == [(looks * (step + 1)) / (count + 1) for step in range(steps)]
