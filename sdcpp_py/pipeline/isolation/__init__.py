"""The engine in a process of its own: what kills it does not kill the program that generates."""

from __future__ import annotations

from typing import Literal, get_args

Isolation = Literal["auto", "process", "thread"]
"""What ``Generator(isolation=...)`` takes."""
ISOLATIONS: tuple[str, ...] = get_args(Isolation)
