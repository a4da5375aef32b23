"""Memory that firmware sets aside for an integrated GPU: no part of the RAM that the system counts."""

from __future__ import annotations

import re
from pathlib import Path

_CARDS = Path("sys/class/drm")
# The driver aligns sizes; cards differ by far more than this share of them.
_OFF_BY = 0.01


def carve_out(memory_total: int, root: Path = Path("/")) -> tuple[int, int]:
    """Bytes set aside for the integrated GPU whose Vulkan driver offers that many bytes: in all, and free now.

    The amdgpu driver says of each card what is set aside for it ("VRAM") and what it may use of the RAM ("GTT"). Mesa
    offers the sum of both for an integrated GPU, which tells the card. Where no card has that sum, or several have,
    this is (0, 0): to leave such memory out is safe.
    """
    found = []
    for card in sorted((root / _CARDS).glob("card*")):
        if not re.fullmatch(r"card\d+", card.name):
            continue  # a socket of a card
        try:
            total, used, gtt = (
                int((card / "device" / f"mem_info_{name}").read_text(encoding="ascii"))
                for name in ("vram_total", "vram_used", "gtt_total")
            )
        except (OSError, ValueError):
            continue
        if abs(total + gtt - memory_total) <= memory_total * _OFF_BY:
            found.append((total, max(0, total - used)))
    return found[0] if len(found) == 1 else (0, 0)
