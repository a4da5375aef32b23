"""Sizes of memory, as people write and read them."""

from __future__ import annotations

import contextlib
import math
import numbers
import re

from sdcpp_py.errors import SettingsError

_UNITS = {"": 1, "b": 1}
for _power, _letter in enumerate("kmgt", start=1):
    _UNITS |= {f"{_letter}ib": 1024**_power, _letter: 1024**_power, f"{_letter}b": 1000**_power}


def parse_bytes(name: str, size: object) -> int:
    """Bytes of a size such as "6GiB", "5.28 GiB", "512M" or 6442450944.

    "K", "M", "G" and "T" count in 1024s, as "KiB" and so on do; "KB" and so on count in 1000s.

    Raises:
        SettingsError: it is none, or not above 0; the message calls it ``name``.
    """
    amount = math.nan
    if isinstance(size, str):
        match = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]*)?|\.[0-9]+)\s*([a-zA-Z]*)\s*", size)
        if match and match[2].lower() in _UNITS:
            amount = float(match[1]) * _UNITS[match[2].lower()]
    elif isinstance(size, numbers.Real) and not isinstance(size, bool):
        with contextlib.suppress(OverflowError):
            amount = float(size)
    if not 1 <= amount < 2**63:  # not for NaN either
        raise SettingsError(f"{name} must be a size such as '6GiB', not {size!r}")
    return int(amount)


def format_bytes(size: int, *, enough: bool = False) -> str:
    """A size in the unit that suits it: "5.28 GiB", "491 MiB", "192 KiB". ``enough`` rounds up, else to the nearest."""
    to_whole = math.ceil if enough else round
    if size < 1024**2 * 0.99:
        return f"{to_whole(size / 1024)} KiB"
    if size < 1024**3 * 0.99:
        return f"{to_whole(size / 1024**2)} MiB"
    return f"{to_whole(size * 100 / 1024**3) / 100:.2f} GiB"
