"""What tells a file from one that takes its place."""

from __future__ import annotations

import os


def identity_of(status: os.stat_result) -> tuple[int, ...]:
    """Device, inode, size and time of change: another file has others, and so has one that was written to."""
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
