"""``sdcpp-py recommend`` and ``models``: what suits a machine, and what it is reckoned from."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdcpp_py import ModelNotFoundError, list_models, recommend
from sdcpp_py.cli import main
from sdcpp_py.models.catalogue import open_catalogue
from sdcpp_py.models.families import FAMILIES_BY_NAME
from sdcpp_py.preflight.arithmetic import Work, picture_work
from sdcpp_py.preflight.listing import COMMERCIAL
from sdcpp_py.preflight.speed import Speed, kept_speed, measured_speed

FAST = Speed(products=5e12, convolutions=1e12)
SLOW = Speed(products=5e10, convolutions=1e10)

# Billions of multiplications with additions of one pass at the model's own size, as others have counted them.
PUBLISHED = [("sd1", 512, 401), ("sdxl", 1024, 2_990)]


@pytest.mark.parametrize(("name", "size", "billions"), PUBLISHED)
def test_the_work_of_u_nets_is_as_published(name: str, size: int, billions: float) -> None:
    """Counted from the shapes of weights, a step's work is the published one within a sixth."""
    work = picture_work(name, FAMILIES_BY_NAME[name], size).step
    assert work.products + work.attention + work.convolutions == pytest.approx(billions * 1e9, rel=1 / 6)


def test_every_shape_of_the_catalogue_has_its_work() -> None:
    """Each phase computes something, and four times the pixels take more than twice a step's work."""
    for model in open_catalogue().models.values():
        family = FAMILIES_BY_NAME[model.family]
        small, large = (picture_work(model.shape, family, size) for size in (512, 1024))
        assert small.encode.products > 0, model.name
        assert large.step.products + large.step.convolutions > 2 * (small.step.products + small.step.convolutions)
        assert model.name == "sdxs-512" or large.decode.convolutions == 4 * small.decode.convolutions > 0


@given(*[st.floats(1, 1e15)] * 3, st.floats(0.5, 8))
def test_twice_the_speed_takes_half_the_time(products: float, attention: float, convolutions: float, by: float) -> None:
    """Seconds are work over speed, kind by kind."""
    work = Work(products, attention, convolutions)
    quicker = Speed(FAST.products * by, FAST.convolutions * by)
    assert quicker.seconds(work) == pytest.approx(FAST.seconds(work) / by)
    assert FAST.seconds(work.times(by)) == pytest.approx(FAST.seconds(work) * by)


@pytest.mark.slow
def test_all_that_is_recommended_fits() -> None:
    """Five models in the limit, of as many shapes; what need not be streamed comes first."""
    found = recommend(memory="6GiB", device="cpu", speed=FAST)
    assert len({open_catalogue().models[one.model].shape for one in found}) == 5
    for one in found:
        assert all(plan.fits and plan.peak("cpu") <= 6 << 30 for plan in one.plans.values())
    assert [one.streams for one in found] == sorted(one.streams for one in found)
    assert recommend(memory="64MiB", device="cpu", speed=SLOW) == []


@pytest.mark.slow
def test_a_fast_machine_gets_larger_models() -> None:
    """Where all are quick enough, the largest comes first; where none is, the quickest."""
    fast = recommend(memory="all", device="cpu", speed=FAST, count=20)
    slow = recommend(memory="all", device="cpu", speed=SLOW, count=20, patience=0.001)
    assert fast[0].model == "qwen-image"
    assert slow[0].model == "sdxs-512"
    seconds = [min(one.seconds.values()) for one in slow]
    assert seconds == sorted(seconds)


def test_words_and_licences_choose() -> None:
    """Only models of such names; only with licences for everybody."""
    [z_image] = recommend("z-image", memory="8GiB", device="cpu", speed=FAST)
    assert "z-image" in z_image.model
    everything = recommend(count=20, memory="all", device="cpu", speed=FAST)
    free = recommend(commercial=True, count=20, memory="all", device="cpu", speed=FAST)
    assert {one.licence for one in free} <= set(COMMERCIAL)
    assert 0 < len(free) < len(everything)
    with pytest.raises(ModelNotFoundError, match="no-such-model"):
        recommend("no-such-model", speed=FAST)


def test_the_speed_is_timed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is kept for the next process, for these threads alone."""
    monkeypatch.setenv("SDCPP_PY_CACHE", str(tmp_path))
    timed = []

    def time_it(*given: object) -> tuple[Speed, float]:
        timed.append(given)
        return FAST, 1.0

    monkeypatch.setattr("sdcpp_py.preflight.speed._timed", time_it)
    assert kept_speed("cpu", 1) is None
    assert measured_speed("cpu", 1) == measured_speed("cpu", 1) == kept_speed("cpu", 1) == FAST
    assert len(timed) == 1
    assert kept_speed("cpu", 2) is None
    measured_speed("cpu", 1, again=True)
    assert len(timed) == 2


def test_a_speed_beside_other_programs_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was timed while others had the processor serves this once, is said, and is timed again the next time."""
    monkeypatch.setenv("SDCPP_PY_CACHE", str(tmp_path))
    monkeypatch.setattr("sdcpp_py.preflight.speed._timed", lambda *given: (SLOW, 0.4))
    said: list[str] = []
    assert measured_speed("cpu", 1, on_stage=said.append) == SLOW
    assert "60% of the processor" in said[-1]
    assert kept_speed("cpu", 1) is None


@pytest.mark.slow
def test_the_speed_is_measured() -> None:
    """The model of wide layers draws, and what it took makes a speed that a CPU can have."""
    speed = measured_speed("cpu", again=True)
    assert 1e8 < speed.products < 1e15
    assert 1e8 < speed.convolutions < 1e15


def test_recommend_prints_what_to_take(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A table with a line for each, JSON with their plans; `doctor` names the first ones, once the speed is known."""
    monkeypatch.setattr("sdcpp_py.preflight.recommendation.measured_speed", lambda *given, **more: SLOW)
    assert main(["recommend", "klein", "--memory", "4GiB", "--device", "cpu"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert all(word in lines[0] for word in ("model", "memory", "512", "1024", "download", "licence"))
    assert lines[1].startswith("flux2-klein-4b:Q")
    assert "generate -m flux2-klein-4b:Q" in lines[-1]
    assert main(["recommend", "--json", "--memory", "4GiB", "--device", "cpu", "--count", "2"]) == 0
    first, _ = json.loads(capsys.readouterr().out)
    assert first["plans"]["512"]["fits"] is True
    assert first["seconds"]["512"] > 0
    assert main(["recommend", "--memory", "64MiB", "--device", "cpu"]) == 0
    assert "no such model fits" in capsys.readouterr().out
    monkeypatch.setattr("sdcpp_py.cli.doctor.kept_speed", lambda: None)
    assert main(["doctor"]) == 0
    assert "`sdcpp-py recommend` says which suit" in capsys.readouterr().out
    monkeypatch.setattr("sdcpp_py.cli.doctor.kept_speed", lambda: SLOW)
    assert main(["doctor"]) == 0
    assert "`sdcpp-py recommend` says more" in capsys.readouterr().out


def test_models_are_listed_with_memory_and_aliases(capsys: pytest.CaptureFixture[str]) -> None:
    """The one in the package among them, each with the most and the least memory; words leave only some."""
    listed = list_models()
    assert {model.name for model in listed} == {"tiny", *open_catalogue().models}
    assert all(model.resident and model.least and model.least <= model.resident for model in listed)
    [klein] = list_models("flux2-klein-4b")
    assert klein.aliases == ("klein-4b",)
    assert klein.quant in klein.quantizations
    assert [model.name for model in list_models("TINY")] == ["tiny"]
    assert main(["models", "klein-4b"]) == 0
    text = capsys.readouterr().out
    assert "klein-4b = flux2-klein-4b" in text
    assert "qwen-image" not in text
    assert main(["models", "--json"]) == 0
    models = {model["name"]: model for model in json.loads(capsys.readouterr().out)["models"]}
    assert models["tiny"]["memory"]["least"] > 0
    assert models["flux2-klein-4b"]["memory"] == {"resident": klein.resident, "least": klein.least}
