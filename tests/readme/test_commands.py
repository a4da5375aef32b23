"""The README's commands: that all of them are found, and that the command line takes each."""

from __future__ import annotations

import pytest

from sdcpp_py.cli.parser import parse

from .commands import README, commands

SHOWN = commands(README.read_text(encoding="utf-8"))


def test_commands_are_found_wherever_they_stand() -> None:
    """In a block, behind another command, over several lines, and in a sentence; not in Python, and each once."""
    text = (
        "```sh\npip install . && sdcpp-py a 'x y' \\\n  -o b  # why\n```\n"
        "```python\nsdcpp-py no\n```\n`sdcpp-py\nc` `sdcpp-py c`\n"
    )
    assert commands(text) == [["sdcpp-py", "a", "x y", "-o", "b"], ["sdcpp-py", "c"]]
    assert {"generate", "bench", "plan", "fit", "doctor", "models", "pull"} <= {command[1] for command in SHOWN}


@pytest.mark.parametrize("command", SHOWN, ids=" ".join)
def test_the_command_line_takes_each(command: list[str]) -> None:
    """No option is unknown, and no value is missing."""
    assert parse(command[1:]).run
