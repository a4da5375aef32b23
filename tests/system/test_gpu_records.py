"""What is kept of GPUs: taken whole and of this version, or not at all."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdcpp_py._native.vulkan_build import needed_switches, vulkan_build
from sdcpp_py.system.gpu_records import (
    HOST_MEMORY,
    SWITCHES,
    UPLOADED,
    WRITTEN,
    GpuRecord,
    forget,
    gpu_records,
    keep,
    learn,
    sound_figures,
)
from sdcpp_py.system.paths import CACHE_VARIABLE
from sdcpp_py.system.vulkan_drivers import driver_version

BUILD = ("0.0", "a module", "a driver", "")
RECORD = GpuRecord(
    "A GPU", "radv", True, "without matrix cores", (SWITCHES[1],), speeds={"products": 0.4}, faults=("x",),
    quicker={"vae": 2.5}, unreached=("pictures",),
)  # fmt: skip


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder of its own; what was learnt before is forgotten."""
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    forget(BUILD)
    return tmp_path / "gpus.json"


def test_records_are_kept_by_gpu_and_build(cache: Path) -> None:
    """Another GPU's record stands beside it, a newer one of the same GPU in its place; another build has none."""
    newer, other = GpuRecord("A GPU", "radv", False, "broken"), GpuRecord("Another", "radv", True)
    for record in (RECORD, other, newer):
        keep(BUILD, record)
    forget(BUILD)
    assert gpu_records(BUILD) == {newer.of: newer, other.of: other}
    assert gpu_records((*BUILD[:-1], "GGML_VK_DISABLE_F16=1")) == {}


def test_what_is_learnt_holds_without_a_cache(cache: Path) -> None:
    """Where nothing can be kept, this process knows all the same, and no other."""
    learn(BUILD, RECORD)
    assert gpu_records(BUILD) == {RECORD.of: RECORD}
    forget(BUILD)
    assert gpu_records(BUILD) == {}


@given(share=st.floats(0, 1, exclude_max=True))
def test_a_record_cut_short_is_not_taken(share: float, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Wherever the file ends too early, nothing is known."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        patch.setenv(CACHE_VARIABLE, str(folder))
        keep(BUILD, RECORD)
        forget(BUILD)
        file = folder / "gpus.json"
        whole = file.read_bytes()
        file.write_bytes(whole[: int(share * len(whole))])
        assert gpu_records(BUILD) == {}


@pytest.mark.parametrize(
    "change",
    [
        {"form": 0},
        {"form": 1},
        {"form": None},
        {"usable": "yes"},
        {"usable": None},
        {"switches": "GGML_VK_DISABLE_F16"},
        {"switches": ["LD_PRELOAD"]},
        {"switches": [1]},
        {"speeds": [1]},
        {"speeds": {"products": "fast"}},
        {"speeds": {"products": True}},
        {"speeds": {"products": float("nan")}},
        {"speeds": {"products": float("inf")}},
        {"speeds": {"products": -0.4}},
        {"speeds": {"products": 0}},
        {"speeds": {"products": 10**400}},
        {"quicker": {"vae": "much"}},
        {"quicker": {"vae": float("-inf")}},
        {"quicker": None},
        {"unreached": "pictures"},
        {"description": 3},
        {"faults": {}},
        {"more": 1},
    ],
    ids=str,
)
def test_a_record_of_another_kind_is_not_taken(change: dict[str, Any], cache: Path) -> None:
    """Another version's form, another type of a value, another switch: the GPU is tested anew."""
    assert GpuRecord.from_plain(json.loads(json.dumps(RECORD.plain()))) == RECORD
    assert GpuRecord.from_plain({**RECORD.plain(), **change}) is None
    for name in RECORD.plain():
        assert GpuRecord.from_plain({key: value for key, value in RECORD.plain().items() if key != name}) is None
    keep(BUILD, RECORD)
    forget(BUILD)
    text = json.loads(cache.read_text())
    cache.write_text(json.dumps({key: [{**RECORD.plain(), **change}, 3, None] for key in text}))
    assert gpu_records(BUILD) == {}


@pytest.mark.parametrize("value", [None, [], "", 3, {"form": 2}])
def test_what_is_no_record(value: Any) -> None:
    """Other values are none."""
    assert GpuRecord.from_plain(value) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@given(
    change=st.dictionaries(st.sampled_from(sorted(RECORD.plain())), JSON, max_size=3),
    figure=st.sampled_from(["speeds", "quicker", None]),
    value=JSON,
)
def test_whatever_a_record_says_is_sound_or_is_not_taken(
    change: dict[str, Any], figure: str | None, value: Any
) -> None:
    """Any values in any places: no error, and what is taken has figures that can be true."""
    plain = {**RECORD.plain(), **change}
    if figure is not None:
        plain[figure] = {"a": value}
    found = GpuRecord.from_plain(json.loads(json.dumps(plain)))
    if found is None:
        assert plain != RECORD.plain()
        return
    assert all(0 < one <= 1e6 for one in (*found.speeds.values(), *found.quicker.values()))
    assert all(0 <= pace <= 1e18 for pace in found.paces(float32_sums=True))
    assert set(found.switches) <= set(SWITCHES)
    assert GpuRecord.from_plain(json.loads(json.dumps(found.plain()))) == found


@given(content=st.binary(max_size=60) | JSON.map(lambda value: json.dumps(value).encode()))
def test_whatever_the_file_holds_nothing_is_known_of_a_gpu(
    content: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Bytes and values of any kind are no error, and no record."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        patch.setenv(CACHE_VARIABLE, str(folder))
        forget(BUILD)
        (folder / "gpus.json").write_bytes(content)
        assert gpu_records(BUILD) == {}


def test_figures_that_cannot_be_true_are_left_out() -> None:
    """Of what was timed, a clock that stood still or a driver's own words leave nothing behind."""
    given_ = {"a": 0.4, "b": float("nan"), "c": -1, "d": "fast", "e": True, "f": 1e300, "g": [1], 3: 1}
    assert sound_figures(given_) == {"a": 0.4}
    assert sound_figures([1]) == sound_figures(None) == {}


def test_switches_are_those_of_usable_gpus(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU that is refused needs none; with SDCPP_PY_SELF_TEST=off, nothing is heeded."""
    keep(BUILD, RECORD)
    keep(BUILD, GpuRecord("Refused", "radv", False, "broken", (SWITCHES[0],)))
    keep(BUILD, GpuRecord("Third", "radv", True, "", (SWITCHES[2], SWITCHES[1])))
    assert needed_switches(BUILD) == SWITCHES[1:]
    assert needed_switches(()) == ()
    monkeypatch.setenv("SDCPP_PY_SELF_TEST", "off")
    assert needed_switches(BUILD) == ()


def test_host_memory_is_preferred_where_it_suits_all(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its variable is read for all GPUs of a process: one that is used otherwise, or a wish, and it is not set."""
    written = replace(RECORD, weights=WRITTEN)
    keep(BUILD, written)
    keep(BUILD, GpuRecord("Refused", "radv", False, "broken"))
    assert needed_switches(BUILD) == (SWITCHES[1], HOST_MEMORY)
    for wish in ("uploaded", "imported"):
        monkeypatch.setenv("SDCPP_PY_WEIGHTS", wish)
        assert needed_switches(BUILD) == (SWITCHES[1],)
    monkeypatch.delenv("SDCPP_PY_WEIGHTS")
    keep(BUILD, GpuRecord("Third", "radv", True, weights=UPLOADED))
    assert needed_switches(BUILD) == (SWITCHES[1],)


def test_a_build_is_another_with_another_module_or_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Records of one module do not hold for the next, nor for other settings of ggml; without one there is none."""
    assert vulkan_build(tmp_path) == ()
    module = tmp_path / "libggml-vulkan.so"
    builds = []
    for size in (3, 4):
        module.write_bytes(bytes(size))
        builds.append(vulkan_build(tmp_path))
    monkeypatch.setenv("GGML_VK_DISABLE_F16", "1")
    builds.append(vulkan_build(tmp_path))
    assert len(set(builds)) == 3


def test_a_driver_that_is_updated_is_another(tmp_path: Path) -> None:
    """The library that a manifest names counts, by its path, or where the system finds it."""
    folder, libraries = tmp_path / "usr/share/vulkan/icd.d", tmp_path / "usr/lib"
    assert driver_version(tmp_path, {}) == ""
    folder.mkdir(parents=True)
    libraries.mkdir()
    manifest = folder / "radeon_icd.json"
    seen = set()
    for place in ("libvulkan_radeon.so", str(libraries / "libvulkan_radeon.so"), "../../../lib/libvulkan_radeon.so"):
        manifest.write_text(json.dumps({"ICD": {"library_path": place}}))
        for size in (1, 2):
            (libraries / "libvulkan_radeon.so").write_bytes(bytes(size))
            seen.add(driver_version(tmp_path, {}))
        assert driver_version(tmp_path, {}) in seen
    assert len(seen) == 6
    assert driver_version(tmp_path, {"VK_DRIVER_FILES": os.fspath(manifest)}) in seen
    for broken in ("", "{", "[]", '{"ICD": 3}', '{"ICD": {"library_path": 3}}'):
        manifest.write_text(broken)
        assert driver_version(tmp_path, {})
