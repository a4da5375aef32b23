"""Shows commands in a terminal of a given width, as people see them; needs tmux.

``python -m tests.support.terminal_screens`` draws ``docs/terminal.svg`` anew; with a width and a command behind it
(``... 60 plan flux2-klein-4b``), it prints what that terminal shows.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
PICTURE = ROOT / "docs" / "terminal.svg"
COLUMNS, LINES = 80, 45
_SECONDS = 120


def screens(
    words: Sequence[str], columns: int, *, lines: int = LINES, environment: Mapping[str, str] | None = None
) -> Iterator[str]:
    """What a terminal shows while ``sdcpp-py`` runs and when it has ended, with escape codes for its colours."""
    with tempfile.TemporaryDirectory() as folder:
        ended = Path(folder) / "ended"
        command = shlex.join([sys.executable, "-m", "sdcpp_py", *words])
        server = ["tmux", "-S", f"{folder}/tmux", "-f", "/dev/null"]
        settings = {"PYTHONPATH": str(ROOT), "COLORTERM": "truecolor", **(environment or {})}
        given = [f"-e{name}={value}" for name, value in settings.items()]
        shell = f"cd {folder}; {command}; touch {ended}; sleep 600"
        start = ["new-session", "-d", "-x", str(columns), "-y", str(lines), *given, "sh", "-c", shell]
        subprocess.run([*server, *start], check=True, env={**os.environ, "TERM": "xterm-256color"})
        try:
            until = time.monotonic() + _SECONDS
            done = False
            while not done and time.monotonic() < until:
                done = ended.exists()
                time.sleep(0.15)
                shown = subprocess.run(
                    [*server, "capture-pane", "-e", "-p"], capture_output=True, text=True, check=True
                )
                yield shown.stdout.rstrip()
        finally:
            subprocess.run([*server, "kill-server"], check=False)


def main(arguments: Sequence[str]) -> None:
    """Prints what a terminal of so many columns shows."""
    last = ""
    for shown in screens(arguments[1:], int(arguments[0])):
        if shown != last:
            print(shown + "\033[0m\n" + "-" * int(arguments[0]))
        last = shown


if __name__ == "__main__":
    main(sys.argv[1:])
