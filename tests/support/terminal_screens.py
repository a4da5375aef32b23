"""Shows commands in a terminal of a given width, as people see them; needs tmux.

``python -m tests.support.terminal_screens`` draws ``docs/terminal.svg`` anew; with a width and a command behind it
(``... 60 plan flux2-klein-4b``), it prints what that terminal shows.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from io import StringIO
from pathlib import Path

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.terminal_theme import SVG_EXPORT_THEME
from rich.text import Text

ROOT = Path(__file__).parent.parent.parent
PICTURE = ROOT / "docs" / "terminal.svg"
COLUMNS, LINES = 80, 45
# What the picture shows: commands, and what must be on the screen that is taken of each.
SHOWN = (
    (
        ("generate", "a red circle", "-m", "tiny", "--steps", "60", "-b", "3", "-s", "1", "-o", "circle.png"),
        "picture 2/3",
    ),
    (("recommend",), "times are estimated"),
    (("plan", "z-image-turbo", "-W", "1024", "-H", "1024", "--memory", "6GiB", "--device", "cpu"), "at most"),
)
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


def picture() -> str:
    """The screens of ``SHOWN`` as an SVG, one below the other."""
    console = Console(record=True, width=COLUMNS, file=StringIO(), force_terminal=True, legacy_windows=False)
    for words, wanted in SHOWN:
        found = [screen for screen in screens(words, COLUMNS) if wanted in screen]
        if not found:
            raise RuntimeError(f"{wanted!r} was never on the screen of {words}")
        console.print(Text(f"$ sdcpp-py {shlex.join(words)}", style="bold green"))
        console.print(Text.from_ansi(found[len(found) // 2]), soft_wrap=True)
        console.print()
    # The text has the reader's own font: a picture in a document should fetch nothing.
    form = re.sub(r"@font-face \{\{.*?\}\}\s*", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
    form = form.replace("Fira Code, monospace", "monospace")
    return console.export_svg(title="sdcpp-py", theme=SVG_EXPORT_THEME, code_format=form, unique_id="sdcpp")


def main(arguments: Sequence[str]) -> None:
    """Draws the picture, or prints what a terminal of so many columns shows."""
    if not arguments:
        PICTURE.write_text(picture(), encoding="utf-8")
        return
    last = ""
    for shown in screens(arguments[1:], int(arguments[0])):
        if shown != last:
            print(shown + "\033[0m\n" + "-" * int(arguments[0]))
        last = shown


if __name__ == "__main__":
    main(sys.argv[1:])
