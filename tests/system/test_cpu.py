"""How many CPU threads work, and what several generators do to each other."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from sdcpp_py import Generator
from sdcpp_py.synth import SyntheticSet
from sdcpp_py.system.cpu import default_threads, physical_cores


def machine(root: Path, groups: str, files: dict[str, str]) -> Path:
    """A root directory whose control groups say this."""
    for name, text in {"proc/self/cgroup": groups, **files}.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="ascii")
    return root


def set_cpus(monkeypatch: pytest.MonkeyPatch, root: Path, siblings: list[str]) -> None:
    """A machine whose CPUs are threads of these cores, all of them this process's to use."""
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(len(siblings))))
    for cpu, text in enumerate(siblings):
        file = root / f"sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list"
        file.parent.mkdir(parents=True)
        file.write_text(text, encoding="ascii")


def test_second_threads_of_a_core_do_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of eight CPUs that are two threads of a core each, and four with one, eight cores are counted."""
    set_cpus(monkeypatch, tmp_path, [*(f"{core},{core + 4}" for core in [0, 1, 2, 3] * 2), "8", "9", "10", "11"])
    assert physical_cores(tmp_path) == 8
    assert default_threads(tmp_path) == 8


def test_a_machine_that_tells_nothing_has_a_core_for_each_cpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without topology and control groups, each CPU counts as a core."""
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 3, 5})
    assert physical_cores(tmp_path) == default_threads(tmp_path) == 3


@pytest.mark.parametrize(
    ("groups", "files", "threads"),
    [
        ("0::/\n", {"sys/fs/cgroup/cpu.max": "200000 100000\n"}, 2),
        ("0::/\n", {"sys/fs/cgroup/cpu.max": "150000 100000\n"}, 2),
        ("0::/\n", {"sys/fs/cgroup/cpu.max": "1000 100000\n"}, 1),
        ("0::/\n", {"sys/fs/cgroup/cpu.max": "max 100000\n"}, 6),
        ("0::/\n", {"sys/fs/cgroup/cpu.max": "9900000 100000\n"}, 6),
        ("0::/a/b\n", {"sys/fs/cgroup/a/cpu.max": "300000 100000\n", "sys/fs/cgroup/a/b/cpu.max": "max 100000\n"}, 3),
        ("0::/not/there\n", {"sys/fs/cgroup/cpu.max": "400000 100000\n"}, 4),
        ("0::/\n", {"sys/fs/cgroup/cpu.max": "nonsense\n"}, 6),
        (
            "4:memory:/x\n3:cpuacct,cpu:/box\n",
            {
                "sys/fs/cgroup/cpu/box/cpu.cfs_quota_us": "250000\n",
                "sys/fs/cgroup/cpu/box/cpu.cfs_period_us": "50000\n",
                "sys/fs/cgroup/memory/x/cpu.max": "100000 100000\n",
            },
            5,
        ),
        (
            "3:cpu:/\n",
            {"sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n", "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n"},
            6,
        ),
    ],
)
def test_a_container_gets_a_thread_for_each_core_it_may_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, groups: str, files: dict[str, str], threads: int
) -> None:
    """A limit on CPU time, of this group or of one above, limits the threads too, rounded up and never below one."""
    set_cpus(monkeypatch, tmp_path, [str(cpu) for cpu in range(6)])
    assert default_threads(machine(tmp_path, groups, files)) == threads
    assert physical_cores(tmp_path) == 6


def test_a_generator_uses_as_many_threads_as_there_are_cores(klein_generator: Generator) -> None:
    """Without ``threads``, a generator has one for each core that it may use."""
    assert klein_generator.threads == default_threads()


def test_more_threads_than_the_system_grants_are_an_error(
    klein: SyntheticSet, run_python: Callable[..., CompletedProcess[str]]
) -> None:
    """Where the system refuses threads, the error names ``threads``, and with fewer the same process draws."""
    result = run_python(
        """
import resource, sys
from sdcpp_py import Generator, SettingsError
with Generator(*sys.argv[1:4], device="cpu", threads=2) as generator:
    before = generator.generate("a cat", width=64, height=64, steps=1, seed=1)
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (1 << 30), used + (1 << 30)))
try:
    Generator(*sys.argv[1:4], device="cpu", threads=1000)
except SettingsError as error:
    print(error)
with Generator(*sys.argv[1:4], device="cpu", threads=2) as generator:
    after = generator.generate("a cat", width=64, height=64, steps=1, seed=1)
print(before.image == after.image)
""",
        klein.diffusion_model,
        klein.text_encoder,
        klein.vae,
    )
    assert result.returncode == 0, result.stderr
    error, same = result.stdout.splitlines()
    assert error.startswith("threads is 1000, and the system gives this process no more than ")
    assert 2 < int(error.split()[-2]) < 1000
    assert same == "True"


@pytest.mark.timing
def test_generators_that_draw_at_once_do_not_hold_each_other_up() -> None:
    """Two that use all cores take hardly longer together than one after the other, and draw the same."""
    pair = [Generator.from_pretrained("tiny", device="cpu") for _ in range(2)]
    pictures: dict[int, bytes] = {}

    def draw(number: int) -> None:
        pictures[number] = pair[number].generate("a red circle", seed=1).image.tobytes()

    def seconds(at_once: bool) -> float:
        begin = time.perf_counter()
        with ThreadPoolExecutor(2 if at_once else 1) as pool:
            list(pool.map(draw, range(2)))
        return time.perf_counter() - begin

    try:
        seconds(at_once=False)
        one_by_one = dict(pictures)
        # In turn: what else the machine does meanwhile hits both.
        apart, together = zip(*[(seconds(at_once=False), seconds(at_once=True)) for _ in range(5)], strict=True)
    finally:
        for generator in pair:
            generator.close()
    assert min(together) < 1.5 * min(apart)
    assert pictures == one_by_one
    assert pictures[0] == pictures[1]
