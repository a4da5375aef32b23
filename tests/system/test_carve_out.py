"""Memory that firmware sets aside for an integrated GPU."""

from __future__ import annotations

from pathlib import Path

import pytest

from sdcpp_py.system.carve_out import carve_out

GIB = 1 << 30


def card(root: Path, name: str, **sizes: object) -> None:
    """A card whose driver says this."""
    folder = root / "sys/class/drm" / name / "device"
    folder.mkdir(parents=True)
    for said, size in sizes.items():
        (folder / f"mem_info_{said}").write_text(f"{size}\n", encoding="ascii")


def test_the_card_is_the_one_whose_memory_the_driver_offers(tmp_path: Path) -> None:
    """A discrete card beside it, a card of another driver and a socket are not taken for it."""
    card(tmp_path, "card0", vram_total=8 * GIB, vram_used=GIB, gtt_total=7 * GIB)
    card(tmp_path, "card1", vram_total=4 * GIB, vram_used=GIB // 4, gtt_total=6 * GIB)
    card(tmp_path, "card2")
    card(tmp_path, "card1-DP-1", vram_total=4 * GIB, vram_used=0, gtt_total=6 * GIB)
    assert carve_out(10 * GIB, tmp_path) == (4 * GIB, 4 * GIB - GIB // 4)
    assert carve_out(10 * GIB - 4096, tmp_path) == (4 * GIB, 4 * GIB - GIB // 4)
    assert carve_out(4 * GIB, tmp_path) == (0, 0)


def test_what_is_not_sure_does_not_count(tmp_path: Path) -> None:
    """Two cards of one size, none at all, and a driver that does not say what is used."""
    assert carve_out(10 * GIB, tmp_path) == carve_out(0, tmp_path) == (0, 0)
    card(tmp_path, "card0", vram_total=4 * GIB, vram_used=0, gtt_total=6 * GIB)
    card(tmp_path, "card1", vram_total=2 * GIB, gtt_total=3 * GIB)
    assert carve_out(10 * GIB, tmp_path) == (4 * GIB, 4 * GIB)
    assert carve_out(5 * GIB, tmp_path) == (0, 0)
    card(tmp_path, "card2", vram_total=5 * GIB, vram_used=0, gtt_total=5 * GIB)
    assert carve_out(10 * GIB, tmp_path) == (0, 0)


@pytest.mark.parametrize("said", ["", "much", "-", "1.5"])
def test_nonsense_does_not_count(tmp_path: Path, said: str) -> None:
    """What is no number is as if it were not there."""
    card(tmp_path, "card0", vram_total=said, vram_used=0, gtt_total=GIB)
    assert carve_out(GIB, tmp_path) == (0, 0)


def test_more_used_than_there_is_leaves_nothing(tmp_path: Path) -> None:
    """A driver that counts wrong takes nothing from the RAM."""
    card(tmp_path, "card0", vram_total=GIB, vram_used=2 * GIB, gtt_total=GIB)
    assert carve_out(2 * GIB, tmp_path) == (GIB, 0)
