"""Devices that share the host's memory: what they may hold together, and the plans that keep to it."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from sdcpp_py import Device
from sdcpp_py.memory.limits import Limits
from sdcpp_py.memory.plan import MemoryPlan, PartNeed, Stay
from sdcpp_py.memory.planning import make_plan
from sdcpp_py.memory.pool import Bounds, Pool, in_host_memory, sharing
from sdcpp_py.parts import PARTS
from tests.support.laptops import CPU, GIB, LAPTOPS, MIB, MODELS, SIZES, Laptop, needs_of

BOTH = ("cpu", "vulkan0")
BYTES = st.one_of(st.integers(0, 6), st.integers(0, 4000 * MIB))


@st.composite
def part_needs(draw: st.DrawFn) -> list[PartNeed]:
    """Parts of any size on a CPU, a GPU that shares its memory, and one that does not."""
    needs = []
    for name in PARTS:
        weights = draw(BYTES)
        device = draw(st.sampled_from([*BOTH, "vulkan1"]))
        needs.append(PartNeed(name, device, weights, draw(st.integers(0, weights)), draw(BYTES)))
    if draw(st.booleans()):
        needs[0] = replace(needs[0], working=0, needed=False)
    return needs


LIMITS = st.dictionaries(st.sampled_from([*BOTH, "vulkan1"]), BYTES)
POOLS = st.builds(Pool, st.just(BOTH), st.one_of(st.none(), BYTES))


def planned(needs: list[PartNeed], limits: dict[str, int], pool: Pool | None = None) -> MemoryPlan:
    return make_plan(needs, limits, width=512, height=512, pool=pool)


def bounds_of(plan: MemoryPlan) -> list[tuple[tuple[str, ...], int]]:
    """All that a plan has to keep to: devices, and the bytes that they may hold together."""
    bounds = [((device,), limit) for device, limit in plan.limits.items()]
    return bounds + [(pool.devices, pool.limit) for pool in [plan.pool] if pool is not None and pool.limit is not None]


def check_kept(plan: MemoryPlan) -> None:
    """In no phase more than any limit, counted anew from the parts; and nothing left out that there is room for."""
    for phase, (devices, limit) in product(plan.parts, bounds_of(plan)):
        here = [part for part in plan.parts if part.need.device in devices]
        held = sum(part.need.weights for part in here if part.stay is Stay.RESIDENT and part is not phase)
        held += phase.room + phase.need.working if phase in here else 0
        assert held == plan.in_phase(phase.need.name, devices)
        assert held <= limit
    for part in plan.parts:
        if part.stay is Stay.STREAMED:
            # All else leaves before anything is streamed.
            full = [limit for devices, limit in bounds_of(plan) if part.need.device in devices]
            assert part.room + part.need.working in full
        if part.stay in (Stay.STREAMED, Stay.STAGED) and part.need.weights:
            assert any(too_much(plan, part.need, *bound) for bound in bounds_of(plan))


def too_much(plan: MemoryPlan, kept: PartNeed, devices: tuple[str, ...], limit: int) -> bool:
    """Whether devices would hold more than their limit in a phase, if a part's weights stayed all the time."""
    if kept.device not in devices:
        return False
    rooms = {part.need.name: part.room if part.need.name == kept.name else 0 for part in plan.parts}
    return any(plan.in_phase(name, devices) - room + kept.weights > limit for name, room in rooms.items())


@given(part_needs(), LIMITS, POOLS)
def test_a_plan_that_fits_keeps_to_the_pool_and_to_each_device(
    needs: list[PartNeed], limits: dict[str, int], pool: Pool
) -> None:
    """In no phase more than the shared memory has, nor more than a device's limit; what has room stays."""
    plan = planned(needs, limits, pool)
    if plan.fits:
        check_kept(plan)
    for part in plan.parts:
        assert part.stay is Stay.ABSENT or part.need.least_room <= part.room <= part.need.weights


@given(part_needs(), LIMITS, POOLS)
def test_a_plan_that_is_within_the_pool_anyway_is_the_same(
    needs: list[PartNeed], limits: dict[str, int], pool: Pool
) -> None:
    """The pool changes nothing where the plan that knows nothing of it fits and holds no more."""
    apart = planned(needs, limits)
    assume(apart.fits)
    assume(pool.limit is None or apart.peak(BOTH) <= pool.limit)
    shared = planned(needs, limits, pool)
    assert shared.fits
    assert shared.parts == apart.parts


@given(part_needs(), LIMITS)
def test_devices_with_their_own_memory_do_not_look_at_each_other(needs: list[PartNeed], limits: dict[str, int]) -> None:
    """Without a pool, each device's parts are planned as if there were no other device."""
    whole = planned(needs, limits)
    alone = [planned([need for need in needs if need.device == device], limits) for device in whole.devices]
    assert set(whole.parts) == {part for plan in alone for part in plan.parts}
    assert whole.fits == all(plan.fits for plan in alone)


@given(part_needs(), LIMITS, POOLS)
def test_the_least_that_an_error_names_is_enough(needs: list[PartNeed], limits: dict[str, int], pool: Pool) -> None:
    """``least`` of the devices that share is exact: with a byte less no plan fits, and the plan made is the leanest."""
    generous = dict.fromkeys(limits, 10**12)
    least = planned(needs, generous, pool).least(BOTH)
    plan = planned(needs, generous, replace(pool, limit=least))
    assert plan.fits
    assert plan.peak(BOTH) <= least
    assume(least > 0)
    short = planned(needs, generous, replace(pool, limit=least - 1))
    assert not short.fits
    assert short.peak(BOTH) == least
    assert "cpu and vulkan0 together" in short.advice()


@given(part_needs(), LIMITS, POOLS, LIMITS, st.integers(0, 4000 * MIB))
def test_more_memory_never_makes_a_worse_plan(
    needs: list[PartNeed], limits: dict[str, int], pool: Pool, more: dict[str, int], added: int
) -> None:
    """With any limit higher, what fitted fits, no more is streamed, and where as much is, no less stays.

    The text encoder counts half: it is needed once for a prompt.
    """
    less = planned(needs, limits, pool)
    assume(less.fits)
    higher = {device: limit + more.get(device, 0) for device, limit in limits.items()}
    roomy = planned(needs, higher, replace(pool, limit=None if pool.limit is None else pool.limit + added))
    assert roomy.fits
    assert streamed(roomy) <= streamed(less)
    assert streamed(roomy) < streamed(less) or kept(roomy) >= kept(less)


def streamed(plan: MemoryPlan) -> int:
    return sum(part.need.weights - part.room for part in plan.parts if part.stay is Stay.STREAMED)


def kept(plan: MemoryPlan) -> int:
    staying = [part.need for part in plan.parts if part.stay is Stay.RESIDENT]
    return sum(need.weights * (1 if need.name == "text_encoder" else 2) for need in staying)


def words(plan: MemoryPlan) -> str:
    """How long the weights of encoder, denoiser and VAE stay, by a letter each: "RRR", "tsR", ..."""
    letters = {Stay.RESIDENT: "R", Stay.STAGED: "t", Stay.STREAMED: "s", Stay.ABSENT: "-"}
    return "".join(letters[part.stay] for part in plan.parts)


# Of Klein 4B, Z-Image and Klein 9B at 512x512 and 1024x1024. R stays, t comes for its phase, s is streamed.
# With 13 GiB free it is the GPU's own heaps that make something go: Klein 9B's denoiser is 5.2 GiB, and it, the VAE and
# its buffer 7.8 GiB. On 8 GB, Z-Image's denoiser and its buffer are 3.9 GiB, and the heaps less 128 MiB 3.8 GiB.
STAYS = {
    "16 GB, 13 free, heaps of 7.92": ["RRR", "RRR", "RRR", "RRR", "RRR", "RtR"],
    "16 GB, 13 free, none of it by the driver": ["RRR", "RRR", "RRR", "RRR", "RRR", "RtR"],
    "16 GB, 13 free, heaps of 5.28": ["RRR", "RRR", "RRR", "RtR", "Rst", "Rst"],
    "8 GB, 4.8 free, heaps of 3.9": ["tRR", "ttR", "tst", "tst", "tst", "tst"],
    "8 GB, 3.0 free, heaps of 3.9": ["ttR", "tst", "tst", "tst", "sst", "sst"],
    "16 GB with 4 set aside, 9.5 free": ["RRR", "RRR", "RRR", "RRR", "RRR", "RRR"],
    "32 GB, 27 free, heaps of 15.8": ["RRR", "RRR", "RRR", "RRR", "RRR", "RRR"],
}


@pytest.mark.parametrize("name", LAPTOPS)
def test_plans_for_laptops(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Never over the RAM that is available, nor over the GPU's heaps; nothing goes that there is room for."""
    laptop = LAPTOPS[name]
    bounds = laptop.bounds(monkeypatch, tmp_path)
    found = []
    for model, size, encodes in product(MODELS, SIZES, (True, False)):
        needs = needs_of(model, size, encodes=encodes)
        plan = make_plan(needs, bounds.devices, width=size, height=size, pool=bounds.pool)
        assert plan.fits
        check_kept(plan)
        assert plan.peak("cpu") <= laptop.available * GIB
        assert plan.peak(BOTH) <= (laptop.available + laptop.set_aside) * GIB
        assert plan.peak("vulkan0") <= laptop.heaps * GIB
        found += [words(plan)] * encodes
    assert found == STAYS[name]


def test_the_document_says_what_is_calculated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The table of docs/memory.md has these plans, and the plan that is shown there is one of them."""
    said = (Path(__file__).parents[2] / "docs" / "memory.md").read_text(encoding="utf-8")
    # A driver that says of no heap that it is free is planned with as one that says it of all.
    for name, laptop in ((name, laptop) for name, laptop in LAPTOPS.items() if laptop.heaps_free):
        with monkeypatch.context() as patch:
            bounds = laptop.bounds(patch, tmp_path / name)
        assert bounds.pool is not None
        limits = (bounds.pool.limit or 0, bounds.devices["vulkan0"])
        plans = [
            make_plan(needs_of(model, size), bounds.devices, width=size, height=size, pool=bounds.pool)
            for model, size in product(MODELS, SIZES)
        ]
        row = [name, *(f"{limit / GIB:.2f}" for limit in limits), *map(cell, plans)]
        assert f"| {' | '.join(row)} |\n" in said
        if name.startswith("8 GB, 4.8"):
            assert str(plans[0]) in said


def cell(plan: MemoryPlan) -> str:
    """What the table says of a plan."""
    names = {"text_encoder": "encoder", "diffusion_model": "denoiser"}
    moving = [part for part in plan.parts if part.stay is not Stay.RESIDENT and part.need.name in names]
    if any(part.stay is Stay.STREAMED for part in moving):
        moving = [part for part in moving if part.stay is Stay.STREAMED]
    who = " and ".join(names[part.need.name] for part in moving)
    return f"{plan.peak(BOTH) / GIB:.2f}" + (f", {who} {moving[0].stay.value}" if moving else "")


def test_plans_made_apart_take_more_than_a_small_laptop_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The fault that the pool mends: a limit for each device alone lets both take more than there is."""
    bounds = LAPTOPS["8 GB, 4.8 free, heaps of 3.9"].bounds(monkeypatch, tmp_path)
    assert bounds.pool is not None
    assert bounds.pool.limit is not None
    for model, size in product(MODELS, SIZES):
        plan = planned(needs_of(model, size), dict(bounds.devices))
        assert plan.fits
        assert plan.peak(BOTH) > bounds.pool.limit


def test_the_encoder_makes_room_before_anything_is_streamed() -> None:
    """One byte less than all takes: the encoder comes for its phase, and denoiser and VAE stay."""
    needs = needs_of("klein 4b", 512)
    everything = planned(needs, {}).peak(BOTH)
    assert words(planned(needs, {}, Pool(BOTH, everything))) == "RRR"
    plan = planned(needs, {}, Pool(BOTH, everything - 1))
    assert words(plan) == "tRR"
    without = plan.peak(BOTH)
    assert without < everything
    assert words(planned(needs, {}, Pool(BOTH, without))) == "tRR"


def test_a_carve_out_is_extra_and_the_gpus_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With 4 GiB set aside, of which a desktop uses 0.3, both devices may hold more together, and the CPU no more."""
    laptop = LAPTOPS["16 GB with 4 set aside, 9.5 free"]
    bounds = laptop.bounds(monkeypatch, tmp_path / "with")
    plain = replace(laptop, set_aside=0).bounds(monkeypatch, tmp_path / "without")
    assert bounds.pool is not None
    assert plain.pool is not None
    assert bounds.devices["cpu"] == plain.devices["cpu"] == plain.pool.limit == pytest.approx(9.5 * 0.92 * GIB)
    assert bounds.pool.limit == pytest.approx((9.5 + 3.7) * 0.92 * GIB)
    assert bounds.pool.carve_out == (bounds.pool.limit or 0) - bounds.devices["cpu"]
    assert plain.pool.carve_out == 0
    assert "3.40 GiB of it the GPU's alone" in str(bounds.pool)
    everything_on_cpu = [replace(need, device="cpu") for need in needs_of("klein 9b", 512)]
    plan = make_plan(everything_on_cpu, bounds.devices, width=512, height=512, pool=bounds.pool)
    assert plan.peak("cpu") <= bounds.devices["cpu"]


def test_a_size_is_for_all_that_share_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``memory="6GiB"`` is the pool's; the GPU's heaps are a second limit, and the CPU has no lower one."""
    bounds = LAPTOPS["16 GB, 13 free, heaps of 5.28"].bounds(monkeypatch, tmp_path / "a", "6GiB")
    assert bounds.pool == Pool(BOTH, 6 * GIB)
    assert bounds.devices == {"cpu": 6 * GIB, "vulkan0": int(5.28 * GIB) - 128 * MIB}
    beyond = LAPTOPS["8 GB, 3.0 free, heaps of 3.9"].bounds(monkeypatch, tmp_path / "b", "6GiB")
    assert beyond.pool == Pool(BOTH, 6 * GIB)  # what was given goes before what is free, as on a CPU alone


def test_sizes_by_device_are_held_to_the_pool_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both entries are kept to, and together no more than there is, however much they promise."""
    wish = {"cpu": "4GiB", "vulkan0": "3GiB"}
    bounds = LAPTOPS["8 GB, 3.0 free, heaps of 3.9"].bounds(monkeypatch, tmp_path, wish)
    assert bounds.devices == {"cpu": 4 * GIB, "vulkan0": 3 * GIB}
    assert bounds.pool is not None
    assert bounds.pool.limit == pytest.approx(2.76 * GIB)
    plan = make_plan(needs_of("z-image", 512), bounds.devices, width=512, height=512, pool=bounds.pool)
    assert plan.fits
    check_kept(plan)


def test_all_has_no_limit_and_says_what_is_shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``memory="all"`` limits nothing; the plan still counts together what shares a memory."""
    bounds = LAPTOPS["8 GB, 3.0 free, heaps of 3.9"].bounds(monkeypatch, tmp_path, "all")
    assert bounds == Bounds({}, Pool(BOTH, None))
    plan = make_plan(needs_of("klein 9b", 512), {}, width=512, height=512, pool=bounds.pool)
    assert words(plan) == "RRR"
    assert "at most 9.50 GiB in the memory that cpu and vulkan0 share" in str(plan)


@given(
    ram=st.floats(0.1, 64), share=st.floats(0, 1), heaps=st.floats(0.1, 64), said=st.floats(0, 1),
    cpu=st.integers(0, 8 * GIB), gpu=st.integers(0, 8 * GIB),
)  # fmt: skip
def test_no_more_than_the_system_has(ram: float, share: float, heaps: float, said: float, cpu: int, gpu: int) -> None:
    """Whatever a driver says, no device and no pool may hold more than what is available and held already.

    What is freed by us is had again: held or free, it is the same memory.
    """
    laptop = Laptop(ram, ram * share, heaps, heaps * said)
    free = int(laptop.available * GIB)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sdcpp_py.memory.limits.memory", lambda: (int(ram * GIB), free))
        patch.setattr("sdcpp_py.memory.limits.find_device", lambda name: laptop.gpu)
        patch.setattr("sdcpp_py.memory.limits.carve_out", lambda total: (0, 0))
        bounds = Limits.parse("auto", "vulkan0").now([CPU, laptop.gpu], {"cpu": cpu, "vulkan0": gpu})
        alone = Limits.parse("auto", "cpu").now([CPU], {"cpu": cpu})
    assert bounds.pool is not None
    assert bounds.pool.limit is not None
    assert bounds.pool.limit <= max(0, free - 128 * MIB) + cpu + gpu
    assert max(bounds.devices.values()) <= bounds.pool.limit <= ram * GIB
    assert alone.pool is None
    assert alone.devices["cpu"] == min(max(0, free - max(128 * MIB, int(free * 0.08))) + cpu, int(ram * GIB))


def test_where_the_system_says_nothing_the_driver_is_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without /proc/meminfo, the GPU is held to its heaps, and nothing else is known."""
    gpu = LAPTOPS["16 GB, 13 free, heaps of 7.92"].gpu
    monkeypatch.setattr("sdcpp_py.memory.limits.memory", lambda: (0, 0))
    monkeypatch.setattr("sdcpp_py.memory.limits.find_device", lambda name: gpu)
    bounds = Limits.parse("auto", "vulkan0").now([CPU, gpu], {})
    assert bounds == Bounds({"vulkan0": gpu.memory_total - int(gpu.memory_total * 0.08)}, Pool(BOTH, None))


def test_a_discrete_gpu_keeps_its_own_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU with memory of its own shares none, and ``memory="6GiB"`` is that memory's alone."""
    gpu = Device("vulkan0", "NVIDIA GeForce RTX 3060", True, False, 11 * GIB, 12 * GIB, "Vulkan0")
    monkeypatch.setattr("sdcpp_py.memory.limits.memory", lambda: (16 * GIB, 10 * GIB))
    monkeypatch.setattr("sdcpp_py.memory.limits.find_device", lambda name: gpu)
    auto = Limits.parse("auto", "vulkan0", [CPU, gpu]).now([CPU, gpu], {"cpu": GIB, "vulkan0": 1})
    assert auto.pool is None
    assert auto.devices == {
        "cpu": 10 * GIB - int(10 * GIB * 0.08) + GIB,
        "vulkan0": 11 * GIB - int(11 * GIB * 0.08) + 1,
    }
    given = Limits.parse("6GiB", "vulkan0", [CPU, gpu])
    assert (given.together, given.exact) == (None, {"vulkan0": 6 * GIB})


@pytest.mark.parametrize(
    ("description", "integrated", "shares"),
    [
        ("AMD Radeon Graphics (RADV RENOIR)", True, True),
        ("llvmpipe (LLVM 19.1.7, 256 bits)", False, True),
        ("SwiftShader Device (LLVM 10.0.0)", False, True),
        ("NVIDIA GeForce RTX 3060", False, False),
    ],
)
def test_who_shares_the_hosts_memory(description: str, integrated: bool, shares: bool) -> None:
    """Integrated GPUs, and Vulkan that the CPU computes; a CPU by itself shares with nobody."""
    gpu = Device("vulkan0", description, True, integrated, 0, 0, "Vulkan0")
    assert in_host_memory(gpu) == shares
    assert sharing([gpu]) == sharing([CPU, gpu]) == (BOTH if shares else ())
    assert sharing([CPU]) == ()


def test_a_plan_with_a_pool_can_be_read() -> None:
    """Its text counts each phase together, and says what shares the memory, with its limit and what is too little."""
    needs = needs_of("klein 4b", 512)
    plan = planned(needs, {"cpu": 4 * GIB, "vulkan0": 5 * GIB}, Pool(BOTH, 4608 * MIB, GIB))
    lines = str(plan).splitlines()
    assert lines[1].split() == ["device", "weights", "buffer", "in", "cpu", "in", "vulkan0", "together"]
    assert lines[3].split()[-4:] == ["GiB", "2.72", "GiB", "resident"]
    shared = "at most 4.34 GiB of 4.50 GiB in the memory that cpu and vulkan0 share (1.00 GiB of it the GPU's alone)"
    assert lines[-1] == shared
    assert plan.memories == (BOTH,)
    assert "at most 4.34 GiB on cpu and vulkan0" in repr(plan)
    assert "together" in plan._repr_html_()
    little = 700 * MIB
    short = planned(needs, {"cpu": little, "vulkan0": little}, Pool(BOTH, little))
    assert "512x512 needs at least 757 MiB on cpu and vulkan0 together;" in short.advice()
    heaps = planned(needs, {"cpu": 2 * GIB, "vulkan0": little}, Pool(BOTH, 2 * GIB))
    assert "512x512 needs at least 757 MiB on vulkan0;" in heaps.advice()


def test_a_plan_without_a_pool_reads_as_ever() -> None:
    """A CPU alone, and a discrete GPU beside it, have no word of a shared memory."""
    needs = [replace(need, device="cpu") for need in needs_of("klein 4b", 512)]
    assert str(planned(needs, {"cpu": 2 * GIB})) == (
        "512x512\n"
        "                  device      weights    buffer       in cpu\n"
        "text_encoder      cpu        1.89 GiB    77 MiB     1.96 GiB  staged\n"
        "diffusion_model   cpu        2.29 GiB   347 MiB     2.00 GiB  streamed in 1.66 GiB\n"
        "vae               cpu          95 MiB   705 MiB      800 MiB  staged\n"
        "at most 2.00 GiB of 2.00 GiB on cpu"
    )
    apart = planned(needs_of("klein 4b", 512), {"vulkan0": 5 * GIB})
    assert apart.memories == (("cpu",), ("vulkan0",))
    assert str(apart).splitlines()[-2:] == ["at most 1.96 GiB on cpu", "at most 3.07 GiB of 5.00 GiB on vulkan0"]
