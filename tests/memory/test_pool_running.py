"""Drawing where CPU and GPU share one memory: what is loaded when keeps to the plan, and so do commands.

The GPU is one by name: the CPU does its work, so that all its bytes are counted on one device, as in one memory.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sdcpp_py import Generator, OutOfMemoryError, SettingsError, recommend
from sdcpp_py._native.library import device_usage
from sdcpp_py.cli import main
from sdcpp_py.memory import placement
from sdcpp_py.memory.placement import DeviceChoice
from sdcpp_py.memory.plan import MemoryPlan, Stay
from sdcpp_py.pipeline.engine_beside import EngineBeside
from sdcpp_py.preflight.fits import fits_of
from sdcpp_py.preflight.speed import Speed
from sdcpp_py.synth import SyntheticSet
from sdcpp_py.system.byte_sizes import parse_bytes
from sdcpp_py.system.gpu_records import GpuRecord
from tests.conftest import open_generator
from tests.support.laptops import GIB, LAPTOPS, Laptop, pretended
from tests.support.patience import all_closed

BOTH = ("cpu", "vulkan0")
PICTURE: dict[str, Any] = {"width": 128, "height": 128, "steps": 2, "seed": 5}
PROMPT = "a cat in one memory"
ENCODER_ON_CPU = {"text_encoder": "cpu", "diffusion_model": "vulkan0", "vae": "vulkan0"}
VAE_ON_CPU = {"text_encoder": "vulkan0", "diffusion_model": "vulkan0", "vae": "cpu"}


def own_copy(files: SyntheticSet, folder: Path) -> SyntheticSet:
    """The same files in a folder of their own: weights that another test's generator holds would count for nothing."""
    folder.mkdir()
    return SyntheticSet(
        *(Path(shutil.copy(path, folder)) for path in (files.diffusion_model, files.text_encoder, files.vae))
    )


@pytest.fixture
def model(model: SyntheticSet, tmp_path: Path) -> SyntheticSet:
    return own_copy(model, tmp_path / "model")


@pytest.fixture
def klein(klein: SyntheticSet, tmp_path: Path) -> SyntheticSet:
    return own_copy(klein, tmp_path / "klein")


@pytest.fixture
def laptop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with an integrated GPU, and room enough."""
    pretended(monkeypatch, tmp_path, LAPTOPS["16 GB, 13 free, heaps of 7.92"])


@pytest.fixture
def others() -> Iterator[int]:
    """Bytes that generators of other tests hold; nothing more is left."""
    all_closed()
    before = device_usage("cpu").bytes
    yield before
    all_closed()
    assert device_usage("cpu").bytes == before


def opened(files: SyntheticSet, device: DeviceChoice = ENCODER_ON_CPU, **arguments: Any) -> Generator:
    """A generator in this process, where the bytes are counted and the GPU is one by name."""
    parts = files.diffusion_model, files.text_encoder, files.vae
    return Generator(*parts, device=device, cache_prompts=False, isolation="thread", **arguments)


def plan_of(files: SyntheticSet, **arguments: Any) -> MemoryPlan:
    with opened(files, memory="all", **arguments) as generator:
        return generator.plan(width=128, height=128)


@pytest.mark.slow
@pytest.mark.usefixtures("laptop")
@pytest.mark.parametrize("device", [ENCODER_ON_CPU, VAE_ON_CPU])
def test_both_together_never_hold_more_than_the_pool(model: SyntheticSet, others: int, device: dict[str, str]) -> None:
    """From the least to all there is: the same picture, and no more bytes on both devices than the limit.

    Without a pool each of them would have had it.
    """
    with open_generator(model, cache_prompts=False, memory="all") as generator:
        expected = np.asarray(generator.generate(PROMPT, **PICTURE))
    plan = plan_of(model, device=device)
    least, most = plan.least(BOTH), plan.peak(BOTH)
    seen = set()
    for share in range(4):
        limit = least + (most - least) * share // 3
        device_usage("cpu", reset=True)
        with opened(model, device, memory=limit) as generator:
            made = generator.plan(width=128, height=128)
            assert made.pool is not None
            assert (made.fits, made.pool.devices, made.pool.limit) == (True, BOTH, limit)
            pictures = [np.asarray(generator.generate(PROMPT, **PICTURE)) for _ in range(2)]
            held = sum(generator.weight_bytes.values())
            assert held == device_usage("cpu").bytes - others <= limit
        assert device_usage("cpu").most_bytes - others <= limit
        assert all(np.array_equal(picture, expected) for picture in pictures)
        seen |= {part.stay for part in made.parts}
    assert seen == {Stay.RESIDENT, Stay.STAGED, Stay.STREAMED}


@pytest.mark.slow
@pytest.mark.usefixtures("laptop")
def test_two_halves_hold_no_more_than_the_pool(
    model: SyntheticSet, others: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With room for both at work, both hold no more than that together; with a byte less, there is one half."""
    made: list[EngineBeside] = []
    init = EngineBeside.__init__

    def noted(beside: EngineBeside, *arguments: Any) -> None:
        init(beside, *arguments)
        made.append(beside)

    monkeypatch.setattr(EngineBeside, "__init__", noted)
    both = {"text_encoder": "cpu", "diffusion_model": "vulkan0", "vae": "cpu"}
    with opened(model, both, memory="all") as generator:
        prompt = generator.encode(PROMPT)
        plan = generator.plan(width=128, height=128, prompt=prompt)
        parts = [plan.part(name) for name in ("diffusion_model", "vae")]
        room = sum(part.need.weights + part.need.working for part in parts)
        expected = [one.image.tobytes() for one in generator.generate_batch(prompt, count=3, overlap=False, **PICTURE)]
    for less in (1, 0):
        with opened(model, both, memory=room - less) as generator:
            device_usage("cpu", reset=True)
            drawn = generator.generate_batch(prompt, count=3, **PICTURE)
            assert device_usage("cpu").most_bytes - others <= room - less
        assert [one.image.tobytes() for one in drawn] == expected
        assert len(made) == 1 - less
    made.clear()  # with the engine's handle, before what is left is counted


@pytest.mark.slow
@pytest.mark.usefixtures("laptop")
def test_encoding_beside_holds_no_more_than_the_pool(model: SyntheticSet, others: int) -> None:
    """With just enough room for all three parts, prompts are encoded beside the denoiser, within that."""
    both = {"text_encoder": "cpu", "diffusion_model": "vulkan0", "vae": "cpu"}
    prompts = [f"{PROMPT}, number {number}" for number in range(3)]
    with opened(model, both, memory="all") as generator:
        plans = [generator.plan(width=128, height=128, prompt=prompt) for prompt in prompts]
        expected = [one.image.tobytes() for one in generator.generate_batch(prompts, overlap=False, **PICTURE)]
    needs = {part.need.name: part.need for part in plans[0].parts}
    encoding = max(plan.part("text_encoder").need.working for plan in plans)
    buffers = needs["diffusion_model"].working + max(encoding, needs["vae"].working)
    room = sum(need.weights for need in needs.values()) + buffers
    for less in (1, 0):
        with opened(model, both, memory=room - less) as generator:
            device_usage("cpu", reset=True)
            drawn = generator.generate_batch(prompts, **PICTURE)
            assert device_usage("cpu").most_bytes - others <= room - less
        assert [one.image.tobytes() for one in drawn] == expected
        assert [one.timings["encode"] > 0 for one in drawn] == [True, not less, not less]


@pytest.mark.slow
@pytest.mark.usefixtures("laptop")
def test_what_is_held_already_counts_as_free(klein: SyntheticSet, others: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A generator that fits keeps fitting: what it has loaded is missing from what the system says is available."""
    room = plan_of(klein).peak(BOTH) - 1
    monkeypatch.setattr("sdcpp_py.memory.limits._SPARED_LEAST", 0)
    monkeypatch.setattr("sdcpp_py.memory.limits._SPARED_SHARE", 0)
    # Nothing is told apart here: what either device has loaded is missing.
    monkeypatch.setattr(
        "sdcpp_py.memory.limits.memory", lambda: (16 * GIB, room - (device_usage("cpu").bytes - others))
    )
    with opened(klein) as generator:
        first = generator.plan(width=128, height=128)
        assert {part.stay for part in first.parts} == {Stay.RESIDENT, Stay.STAGED}
        device_usage("cpu", reset=True)
        for _ in range(2):
            generator.generate(PROMPT, **PICTURE)
            again = generator.plan(width=128, height=128)
            assert [part.stay for part in again.parts] == [part.stay for part in first.parts]
        assert device_usage("cpu").most_bytes - others <= room
        assert sum(generator.weight_bytes.values()) > 0


@pytest.mark.usefixtures("laptop")
def test_a_limit_too_small_says_the_least_for_both(klein: SyntheticSet, others: int) -> None:
    """The error of a size that is too low names what both devices need together; that works, and no less does."""
    with pytest.raises(OutOfMemoryError, match=r"512x512 needs at least .* on cpu and vulkan0 together") as caught:
        opened(klein, memory="1MiB")
    own, smallest = (text.split(" on cpu")[0] for text in str(caught.value).split("needs at least ")[1:])
    with opened(klein, memory=own) as generator:
        assert generator.plan().fits
    with opened(klein, memory=smallest) as generator, pytest.raises(OutOfMemoryError, match="cpu and vulkan0 together"):
        generator.generate(PROMPT, width=512, height=512)
    with pytest.raises(OutOfMemoryError, match="cpu and vulkan0 together"):
        opened(klein, memory=parse_bytes("memory", smallest) - (2 << 20))
    assert device_usage("cpu").bytes == others


@pytest.mark.usefixtures("laptop")
def test_sizes_by_device_are_kept_to_beside_the_pool(klein: SyntheticSet) -> None:
    """A size for one device limits that one; the error of one that is too low names it, and not the pool."""
    gpu = plan_of(klein).least("vulkan0")
    with opened(klein, memory={"cpu": "1GiB", "vulkan0": gpu}) as generator:
        plan = generator.plan(width=128, height=128)
        assert plan.limits == {"cpu": GIB, "vulkan0": gpu}
        assert plan.peak("vulkan0") <= gpu
        assert plan.pool is not None
        generator.generate(PROMPT, **PICTURE)
    with pytest.raises(OutOfMemoryError, match=r"needs at least \S+ \w+ on vulkan0;"):
        opened(klein, memory={"cpu": "1GiB", "vulkan0": "1MiB"})
    with pytest.raises(SettingsError, match="memory of 'vulkan0' is 8"):
        opened(klein, memory={"cpu": "1GiB", "vulkan0": 8})


def test_too_little_free_memory_is_a_warning(
    klein: SyntheticSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Where too little is free for both, and nothing given is too low, the leanest plan is tried; the log says so."""
    pretended(monkeypatch, tmp_path, Laptop(8, 0.1, 4, 4))
    with opened(klein, memory={"vulkan0": "1GiB"}) as generator:
        assert not generator.plan(width=128, height=128).fits
        generator.generate(PROMPT, **PICTURE)
    assert "on cpu and vulkan0 together" in caplog.text


@pytest.mark.usefixtures("laptop")
def test_plan_prints_what_is_shared(capsys: pytest.CaptureFixture[str]) -> None:
    """A column and a line for both together; in JSON the pool with its limit, and what it holds in each phase."""
    command = ["plan", "klein-4b", "--size", "256", "--memory", "3GiB"]
    assert main(command) == 0
    text = capsys.readouterr().out
    assert text.splitlines()[1].endswith("together")
    assert "of 3.00 GiB in the memory that cpu and vulkan0 share" in text.splitlines()[-1]
    assert main([*command, "--json"]) == 0
    pool = json.loads(capsys.readouterr().out)["pool"]
    assert (pool["devices"], pool["limit"], pool["carve_out"]) == (list(BOTH), 3 * GIB, 0)
    assert max(pool["in_phase"].values()) == pool["peak"] <= pool["limit"]
    assert 0 < pool["least"] <= pool["peak"]
    assert main([*command, "--json", "--device", "cpu"]) == 0
    assert json.loads(capsys.readouterr().out)["pool"] is None


@pytest.mark.slow
@pytest.mark.usefixtures("laptop")
def test_parts_are_where_the_self_test_found_them_quickest(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """If all weights stay in memory there; where they would not, the usual place is taken. Either says why."""
    record = GpuRecord("a GPU", "radv", True, quicker={"text_encoder": 3.21, "vae": 1.2})
    monkeypatch.setattr(placement, "known_gpu", lambda device: record if device.is_gpu else None)
    for limit, device, why in (
        ("auto", "vulkan0", "text_encoder on vulkan0, 3.2 times as quick as cpu in the self-test"),
        ("3GiB", "cpu", "text_encoder on cpu, for the memory of vulkan0"),
    ):
        command = ["plan", "klein-4b", "--size", "256", "--memory", limit]
        assert main(command) == 0
        assert why in capsys.readouterr().out.splitlines()
        assert main([*command, "--json"]) == 0
        plan = json.loads(capsys.readouterr().out)
        assert (plan["why"], plan["parts"][0]["need"]["device"]) == (why, device)
        assert [part["need"]["device"] for part in plan["parts"][1:]] == ["vulkan0", "vulkan0"]


@pytest.mark.usefixtures("laptop")
def test_fit_and_recommend_reckon_with_one_memory(capsys: pytest.CaptureFixture[str]) -> None:
    """One figure for both devices, never above the limit."""
    [fit] = fits_of([("klein-4b", "Q4_K_M")], sizes=[512], memory="3GiB")
    [plan] = fit.plans
    assert {part.need.device for part in plan.parts} == set(BOTH)
    assert plan.fits
    assert plan.peak(BOTH) <= 3 * GIB
    assert main(["fit", "klein-4b:Q4_K_M", "--sizes", "512", "--memory", "3GiB"]) == 0
    assert f"{plan.peak(BOTH) / GIB:.2f} GiB, encoder staged" in " ".join(capsys.readouterr().out.split())
    for one in recommend("klein", memory="3GiB", speed=Speed(products=5e12, convolutions=1e12)):
        for plan in one.plans.values():
            assert plan.fits
            assert plan.peak(BOTH) <= 3 * GIB


@pytest.mark.usefixtures("laptop")
def test_doctor_says_what_is_shared(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """How much CPU and integrated GPU may take together; nothing of it on a machine that has no such GPU."""
    assert main(["doctor"]) == 0
    assert "12.0 GiB may be taken now of the memory that cpu and vulkan0 share" in capsys.readouterr().out
    assert main(["doctor", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["pool"]["devices"] == list(BOTH)
    monkeypatch.undo()
    assert main(["doctor", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["pool"] is None
