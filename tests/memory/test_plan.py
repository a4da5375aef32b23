"""Plans of memory: what they promise, for whatever parts and limits."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import assume, given
from hypothesis import strategies as st

from sdcpp_py.memory.plan import MemoryPlan, PartNeed, Stay
from sdcpp_py.memory.planning import make_plan, overlapping
from sdcpp_py.memory.pool import Bounds, Pool
from sdcpp_py.parts import PARTS

MIB = 1 << 20
BYTES = st.integers(0, 4000 * MIB)


@st.composite
def part_needs(draw: st.DrawFn) -> list[PartNeed]:
    """Parts of any size on one or two devices."""
    needs = []
    for name in PARTS:
        weights = draw(BYTES)
        device = draw(st.sampled_from(["cpu", "vulkan0"]))
        needs.append(PartNeed(name, device, weights, draw(st.integers(0, weights)), draw(BYTES)))
    if draw(st.booleans()):
        needs[0] = replace(needs[0], working=0, needed=False)
    return needs


def planned(needs: list[PartNeed], limits: dict[str, int]) -> MemoryPlan:
    return make_plan(needs, limits, width=512, height=512)


@given(part_needs(), st.dictionaries(st.sampled_from(["cpu", "vulkan0"]), BYTES))
def test_a_plan_that_fits_never_holds_more_than_the_limit(needs: list[PartNeed], limits: dict[str, int]) -> None:
    """In no phase do weights and working buffer exceed a device's limit, and every part has the room it needs."""
    plan = planned(needs, limits)
    for device in plan.devices:
        assert not plan.fits or plan.peak(device) <= limits.get(device, plan.peak(device))
        assert plan.fits or plan.least(device) >= 0
    for part in plan.parts:
        if part.stay is Stay.ABSENT:
            assert (part.need.needed, part.room) == (False, 0)
            continue
        assert part.room >= part.need.least_room
        assert part.stay is Stay.STREAMED or part.room == part.need.weights


@given(part_needs())
def test_the_least_limit_works_and_a_byte_less_does_not(needs: list[PartNeed]) -> None:
    """``least`` is exact: the limit that an error names is enough, and nothing below it is."""
    without = planned(needs, {})
    assert without.fits
    least = {device: without.least(device) for device in without.devices}
    assert planned(needs, least).fits
    for device, size in least.items():
        assume(size > 0)
        plan = planned(needs, {**least, device: size - 1})
        assert not plan.fits
        assert device in plan.advice()
        assert plan.peak(device) == size  # the leanest


@given(part_needs(), BYTES, BYTES)
def test_more_memory_never_reads_weights_more_often(needs: list[PartNeed], one: int, other: int) -> None:
    """With a higher limit, no more is streamed, and where nothing is, no less stays."""
    without = planned(needs, {})
    least = max(without.least(device) for device in without.devices)
    limits = (least + more for more in sorted((one, other)))
    less, more = (planned(needs, {"cpu": limit, "vulkan0": limit}) for limit in limits)
    assert less.fits
    assert more.fits

    def moved(plan: MemoryPlan) -> int:
        return sum(part.need.weights - part.room for part in plan.parts if part.stay is Stay.STREAMED)

    assert moved(more) <= moved(less)


@given(part_needs())
def test_without_a_limit_everything_stays(needs: list[PartNeed]) -> None:
    """Nothing is ever read twice where memory has no limit."""
    assert all(part.stay is Stay.RESIDENT for part in planned(needs, {}).parts)


@given(
    part_needs(),
    st.sampled_from([("vae",), ("text_encoder",), ("text_encoder", "vae")]),
    st.dictionaries(st.sampled_from(["cpu", "vulkan0"]), BYTES),
    st.none() | BYTES,
)
def test_phases_overlap_only_where_all_have_room(
    needs: list[PartNeed], beside: tuple[str, ...], limits: dict[str, int], together: int | None
) -> None:
    """Then the weights stay, and with the denoiser's buffer and the largest other one they are within all limits."""
    encodes = "text_encoder" in beside
    # What computes beside is on the CPU.
    needs = [replace(need, device="cpu", needed=True) if need.name in beside else need for need in needs]
    if not encodes:
        needs[0] = replace(needs[0], working=0, needed=False)
    pool = None if together is None else Pool(("cpu", "vulkan0"), together)
    plan = overlapping(needs, Bounds(limits, pool), beside, width=512, height=512, vae_tile_size=0)
    bounds: list[tuple[tuple[str, ...], int]] = [((name,), limit) for name, limit in limits.items()]
    if together is not None:
        bounds.append((("cpu", "vulkan0"), together))

    def at_once(devices: tuple[str, ...], phase: str) -> int:
        """Bytes in a phase of the other engine, with all that the one beside may have then."""
        here = [need for need in needs if need.needed and need.device in devices]
        buffer = max((need.working for need in here if need.name in beside), default=0)
        return sum(need.weights + need.working * (need.name == phase) for need in here) + buffer

    phases = [name for name in ("diffusion_model", "vae") if name not in beside]
    assert (plan is not None) == all(at_once(devices, phase) <= limit for devices, limit in bounds for phase in phases)
    if plan is None:
        return
    assert [part.need for part in plan.parts] == needs
    assert {plan.part(name).stay for name in ("diffusion_model", "vae", *beside)} == {Stay.RESIDENT}
    encoder = plan.part("text_encoder")
    for devices, limit in bounds:
        more = encoder.room if encoder.need.device in devices and not encodes else 0
        for phase in phases:
            assert plan.in_phase(phase, devices) == at_once(devices, phase) + more
        assert {plan.in_phase(part, devices) for part in beside} == {plan.in_phase("diffusion_model", devices)}
        assert plan.peak(devices) <= limit


def test_the_text_encoder_goes_first() -> None:
    """What is needed for every picture stays rather than what is needed once for a prompt."""
    needs = [PartNeed(name, "cpu", 1000, 100, 200) for name in PARTS]
    plan = planned(needs, {"cpu": 2300})
    assert [part.stay for part in plan.parts] == [Stay.STAGED, Stay.RESIDENT, Stay.STAGED]
    plan = planned(needs, {"cpu": 1100})
    assert [part.stay for part in plan.parts] == [Stay.STREAMED] * 3
    assert [part.room for part in plan.parts] == [900] * 3


def test_a_plan_can_be_read() -> None:
    """Its text names every part, what stays, what comes, and the peak with its limit."""
    needs = [
        PartNeed("text_encoder", "cpu", 2000 * MIB, 500 * MIB, 100 * MIB),
        PartNeed("diffusion_model", "vulkan0", 2500 * MIB, 300 * MIB, 400 * MIB),
        PartNeed("vae", "vulkan0", 100 * MIB, 100 * MIB, 900 * MIB),
    ]
    text = str(planned(needs, {"vulkan0": 1200 * MIB}))
    assert "text_encoder      cpu        1.95 GiB   100 MiB" in text
    assert "streamed in 800 MiB" in text
    assert "at most 1.17 GiB of 1.17 GiB on vulkan0" in text
    assert "does not fit: 512x512 needs at least 1000 MiB on vulkan0" in str(planned(needs, {"vulkan0": 900 * MIB}))


@given(part_needs(), st.dictionaries(st.sampled_from(["cpu", "vulkan0"]), BYTES), st.floats(0, 1))
def test_a_plan_says_whether_blocks_are_read_ahead(needs: list[PartNeed], limits: dict[str, int], share: float) -> None:
    """A streamed part has two places where its room suffices for them, and that changes nothing else of the plan."""
    rooms = [need.least_room + round(share * (need.weights - need.least_room)) for need in needs]
    known = [replace(need, ahead_room=room) for need, room in zip(needs, rooms, strict=True)]
    plan, without = planned(known, limits), planned(needs, limits)
    assert [(part.stay, part.room) for part in plan.parts] == [(part.stay, part.room) for part in without.parts]
    for part in plan.parts:
        enough = 0 < part.need.ahead_room <= part.room
        assert part.reads_ahead == (part.stay is Stay.STREAMED and enough)
    ahead = any(part.reads_ahead for part in plan.parts)
    assert (", read ahead" in str(plan)) == ahead
    assert not any(part.reads_ahead for part in without.parts)


def test_an_encoder_that_is_not_needed_makes_room_for_what_is() -> None:
    """Where all prompts are encoded, the denoiser stays between pictures, and the text encoder does not come."""
    needs = [
        PartNeed("text_encoder", "cpu", 1900 * MIB, 450 * MIB, 0, needed=False),
        PartNeed("diffusion_model", "cpu", 2300 * MIB, 300 * MIB, 490 * MIB),
        PartNeed("vae", "cpu", 100 * MIB, 100 * MIB, 810 * MIB),
    ]
    stays = [part.stay for part in planned(needs, {"cpu": 3400 * MIB}).parts]
    assert stays == [Stay.ABSENT, Stay.RESIDENT, Stay.RESIDENT]
    assert planned(needs, {}).part("text_encoder").stay is Stay.RESIDENT
