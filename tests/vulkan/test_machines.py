"""The files that describe the laptops which the Vulkan layer plays."""

from __future__ import annotations

import pytest

from . import machines

RADV_LARGEST = 2**32 - 4


def test_the_machines_that_issue_reports_come_from_are_there() -> None:
    """There are a Renoir, one with 8 GB, with a carve-out, with nothing free, with limits of 2 GiB, and a Phoenix."""
    wanted = {"renoir-16gb", "renoir-carveout-4gb", "renoir-nothing-free", "renoir-2gib-limits"}
    assert wanted | {"vega-8gb", "phoenix-32gb"} <= set(machines.names())


def test_renoir_is_what_radv_says_of_it() -> None:
    """A Renoir with 16 GB has 5.28 GiB of its own and 2.64 GiB of the host's."""
    renoir = machines.machine("renoir-16gb")
    assert [round(heap / 2**30, 2) for heap in renoir.heaps] == [2.64, 5.28]
    assert renoir.local == (1,)


@pytest.mark.parametrize("name", machines.names())
def test_heaps_are_as_radv_divides_them(name: str) -> None:
    """Two thirds of what the GPU may have are said to be its own, and all of it is less than the host has."""
    machine = machines.machine(name)
    (own,) = machine.local
    assert machine.heaps[own] / sum(machine.heaps) == pytest.approx(2 / 3, abs=0.005)
    assert sum(machine.heaps) < machine.host_memory + 4.5 * 2**30
    assert machine.host_available < machine.host_memory


@pytest.mark.parametrize("name", machines.names())
def test_every_memory_type_lies_in_a_heap(name: str) -> None:
    """Memory types are numbered without a gap, name a heap that is there, and one of them takes imported memory."""
    settings = machines.settings_of(name)
    types = {key: value for key, value in settings.items() if key.startswith("memory_type.")}
    assert set(types) == {f"memory_type.{number}" for number in range(len(types))}
    assert {int(value.split()[0]) for value in types.values()} == set(range(len(machines.machine(name).heaps)))
    assert sum("imports" in value.split() for value in types.values()) == 1


@pytest.mark.parametrize("name", machines.names())
def test_only_one_driver_gives_less_than_radv_at_once(name: str) -> None:
    """RADV gives just under 4 GiB at once, AMD's own driver 2 GiB."""
    largest = machines.settings_of(name)["max_allocation"]
    assert largest == ("2GiB" if name == "renoir-2gib-limits" else str(RADV_LARGEST))
