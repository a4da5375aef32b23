"""How long a GPU may be kept busy before its driver takes it for hung."""

from __future__ import annotations

from pathlib import Path

_WATCHDOG = Path("sys/module/amdgpu/parameters/lockup_timeout")
_USUAL_TARGET = 250
# A submission is estimated from those before it, and one operation cannot be divided: keep far below.
_SHARE = 8


def submission_target(root: Path = Path("/")) -> int:
    """Milliseconds that one submission to a GPU should take at most: 250, or less where the watchdog is short."""
    try:
        words = (root / _WATCHDOG).read_text(encoding="ascii").replace(",", " ").split()
        # Graphics and compute come first; 0 and -1 stand for no limit and for the driver's default.
        limits = [int(word) for word in words[:2] if int(word) > 0]
    except (OSError, ValueError):
        limits = []
    return max(1, min([_USUAL_TARGET, *(limit // _SHARE for limit in limits)]))


def gpu_watchdog(root: Path = Path("/")) -> str:
    """How long the amdgpu driver lets one GPU submission last before it resets the GPU, in words."""
    try:
        value = (root / _WATCHDOG).read_text(encoding="ascii").strip()
    except FileNotFoundError:
        return "no amdgpu driver is loaded"
    except OSError as error:
        return f"not readable ({error.strerror})"
    # Up to four numbers: graphics, compute, transfer, video; -1 or empty is the driver's default.
    return f"amdgpu lockup_timeout is {value} ms" if value not in ("", "-1") else "amdgpu's default"
