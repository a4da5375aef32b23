"""Sizes of memory in words, and what the system says of memory."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdcpp_py import SettingsError
from sdcpp_py.system.byte_sizes import format_bytes, parse_bytes
from sdcpp_py.system.gpu_watchdog import submission_target
from sdcpp_py.system.ram import memory, resident_bytes


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("6GiB", 6 << 30), ("6 gib", 6 << 30), ("6G", 6 << 30), ("6GB", 6_000_000_000), ("5.5KiB", 5632),
        ("512M", 512 << 20), (".5T", 1 << 39), ("17", 17), (17, 17), (1e9, 10**9), ("1b", 1),
    ],
)  # fmt: skip
def test_a_size_is_read_as_people_write_it(text: object, size: int) -> None:
    """Units of 1024 and of 1000, with and without a space, and plain bytes."""
    assert parse_bytes("memory", text) == size


@pytest.mark.parametrize(
    "text", ["", "GiB", "-1GiB", "0", 0, "6 GiBs", "six", "1e9", True, None, float("nan"), "1" * 40]
)
def test_what_is_no_size_is_refused(text: object) -> None:
    """The error names the setting and the value."""
    with pytest.raises(SettingsError, match="memory must be a size"):
        parse_bytes("memory", text)


@given(st.integers(1 << 20, 1 << 40))
def test_a_size_that_is_shown_can_be_given_back(size: int) -> None:
    """What is printed is read again, to the precision that it was printed with."""
    assert parse_bytes("memory", format_bytes(size)) == pytest.approx(size, abs=max(size * 0.006, 1 << 19))
    assert parse_bytes("memory", format_bytes(size, enough=True)) >= size


def _machine(root: Path, total: int, available: int) -> None:
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/meminfo").write_text(f"MemTotal: {total} kB\nMemFree: 1 kB\nMemAvailable: {available} kB\n")


def test_memory_is_what_the_system_says(tmp_path: Path) -> None:
    """Without a container, the kernel's own figures; none where there are none; this process holds some."""
    _machine(tmp_path, 1000, 600)
    assert memory(tmp_path) == (1000 << 10, 600 << 10)
    assert memory(tmp_path / "nothing") == (0, 0)
    assert resident_bytes() > 10 << 20


def test_a_container_has_less(tmp_path: Path) -> None:
    """The limit of a control group counts, its files' pages do not, and the tightest group above decides."""
    _machine(tmp_path, 1000, 900)
    (tmp_path / "proc/self/cgroup").write_text("0::/outer/inner\n")
    for folder, limit, used in (("outer/inner", "max", 300 << 10), ("outer", str(500 << 10), 300 << 10)):
        group = tmp_path / "sys/fs/cgroup" / folder
        group.mkdir(parents=True, exist_ok=True)
        (group / "memory.max").write_text(f"{limit}\n")
        (group / "memory.current").write_text(f"{used}\n")
        (group / "memory.stat").write_text(f"anon 1\ninactive_file {60 << 10}\nactive_file {40 << 10}\n")
    assert memory(tmp_path) == (500 << 10, 300 << 10)


def test_a_container_of_the_old_kind_has_less(tmp_path: Path) -> None:
    """Version 1 of control groups has other names, and a large number for no limit."""
    _machine(tmp_path, 1000, 900)
    (tmp_path / "proc/self/cgroup").write_text("4:cpu,cpuacct:/a\n7:memory:/a\n")
    for folder, limit in (("a", 400 << 10), (".", 9223372036854771712)):
        group = tmp_path / "sys/fs/cgroup/memory" / folder
        group.mkdir(parents=True, exist_ok=True)
        (group / "memory.limit_in_bytes").write_text(f"{limit}\n")
        (group / "memory.usage_in_bytes").write_text(f"{100 << 10}\n")
        (group / "memory.stat").write_text("cache 5\n")
    assert memory(tmp_path) == (400 << 10, 300 << 10)


@pytest.mark.parametrize(
    ("timeout", "target"), [("10000", 250), ("2000", 250), ("1000", 125), ("-1", 250), ("0,800,1,1", 100), ("x", 250)]
)
def test_a_short_watchdog_makes_short_submissions(tmp_path: Path, timeout: str, target: int) -> None:
    """Submissions stay at a quarter of a second, or an eighth of what the kernel allows."""
    parameter = tmp_path / "sys/module/amdgpu/parameters/lockup_timeout"
    parameter.parent.mkdir(parents=True)
    parameter.write_text(timeout + "\n")
    assert submission_target(tmp_path) == target
    assert submission_target(tmp_path / "no driver") == 250
