"""Writes tests/data/sd_cli.json: sd-cli's options and the commands of its documentation, out of a Git directory.

`python tests/reference/write_sd_cli.py GIT_DIRECTORY [COMMIT]`, over a clone of leejet/stable-diffusion.cpp. Prompts of
more than 60 characters are shortened, and the marks for what a reader is to fill in ("...", "[...]") are left out.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

DATA = Path(__file__).parents[1] / "data/sd_cli.json"
SOURCES = ("examples/cli/main.cpp", "examples/common/common.cpp")
COMMAND = re.compile(r"^\s*(?:[#>$]\s*)*((?:\S*[/\\])?(?:sd-cli|sd)(?:\.exe)?\s+(?:-.*|\\|\[.*))$")
OPTION = re.compile(r'\{"(-\w)?",\s*"(--[\w-]+)",')
KINDS = re.compile(r"options\.(string|int|float|bool|manual)_options = \{")
WITHOUT_VALUE = ("--help", "--list-devices")


def git(folder: str, *words: str) -> str:
    return subprocess.run(["git", "-C", folder, *words], capture_output=True, text=True, check=True).stdout


def options(source: str) -> Iterator[str]:
    """The options that a source file lists: "-m --model VALUE"."""
    kinds = [(found.start(), found[1]) for found in KINDS.finditer(source)]
    for found in OPTION.finditer(source):
        kind = [name for place, name in kinds if place < found.start()][-1]
        value = "" if kind == "bool" or found[2] in WITHOUT_VALUE else " VALUE"
        yield f"{found[1] + ' ' if found[1] else ''}{found[2]}{value}"


def commands(page: str) -> Iterator[tuple[int, str]]:
    """The commands of a page, each with its line."""
    lines = page.split("\n")
    for number, line in enumerate(lines, 1):
        found = COMMAND.match(line)
        if found is None:
            continue
        command, after = found[1], number
        while after < len(lines) and not lines[after].startswith("```"):
            if command.rstrip().endswith(("\\", "^", "`")):
                command = f"{command.rstrip()[:-1].rstrip()} {lines[after].strip()}"
            elif command.count('"') % 2:  # a prompt of several lines
                command += f" {lines[after]}"
            else:
                break
            after += 1
        yield number, plain(command)


def plain(command: str) -> str:
    command = re.sub(r"\s+#.*$", "", command)
    command = re.sub(r"\s(\.\.\.|\[[^\]]*\])(?=\s|$)", "", command)

    def short(found: re.Match[str]) -> str:
        return found[0] if len(found[3]) <= 60 else f"{found[1]} {found[2]}a lovely cat{found[2]}"

    return re.sub(r"(-p|-n|--prompt|--negative-prompt)\s+([\"'])(.*?)(?<!\\)\2(?=\s|$)", short, command).strip()


def main(folder: str, commit: str = "HEAD") -> None:
    commit = git(folder, "rev-parse", commit).strip()
    listed = git(folder, "ls-tree", "-r", "--name-only", commit).split("\n")
    pages = [name for name in listed if name.endswith(".md") and (name.startswith("docs/") or name == "README.md")]
    record = {
        "repository": "leejet/stable-diffusion.cpp",
        "commit": commit,
        "options": [row for name in SOURCES for row in options(git(folder, "show", f"{commit}:{name}"))],
        "commands": [
            {"page": name, "line": line, "command": command}
            for name in [*pages, "examples/cli/README.md"]
            for line, command in commands(git(folder, "show", f"{commit}:{name}"))
        ],
    }
    DATA.write_text(json.dumps(record, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
