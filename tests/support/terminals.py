"""Commands on a terminal that is none: what a program writes to a pseudo-terminal of a given width."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import termios
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.support.patience import PATIENCE


def written_to_terminal(
    command: Sequence[str],
    columns: int,
    folder: Path,
    *,
    environment: Mapping[str, str] | None = None,
    only_errors: bool = False,
) -> tuple[int, str]:
    """A command's exit code, and what it wrote; ``only_errors`` of it to the terminal, the rest to nowhere.

    A terminal of 0 columns does not know its width, as some do.
    """
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    given = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES", "NO_COLOR")}
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL if only_errors else follower,
        stderr=follower,
        cwd=folder,
        env={**given, "TERM": "xterm-256color", **(environment or {})},
    )
    os.close(follower)
    shown = b""
    while True:
        try:
            part = os.read(leader, 65536)
        except OSError:
            break
        if not part:
            break
        shown += part
    os.close(leader)
    return process.wait(PATIENCE), shown.decode().replace("\r\n", "\n")
