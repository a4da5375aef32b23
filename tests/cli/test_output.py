"""Standard output that goes away while a command prints."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sdcpp_py.models.bundled import TINY, bundled_files
from tests.support.patience import PATIENCE

COMMANDS = [
    ["--help"],
    ["models"],
    ["models", "--json"],
    ["doctor"],
    ["plan", "--size", "64", "--device", "cpu"],
    ["synth", "list"],
    ["inspect", str(bundled_files(TINY).vae)],
    # What takes ten seconds, on whatever machine, is told of on standard error.
    ["generate", "a red circle", "--steps=1", "--device", "cpu", "--no-progress"],
]


def run_into(output: int, arguments: list[str], folder: Path, *, unbuffered: bool) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *["-u"] * unbuffered, "-m", "sdcpp_py", *arguments]
    return subprocess.run(command, stdout=output, stderr=subprocess.PIPE, text=True, cwd=folder, timeout=PATIENCE)


@pytest.mark.sample(2)
@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_a_reader_that_has_seen_enough_is_no_error(arguments: list[str], tmp_path: Path) -> None:
    """Whatever a command prints into a pipe that nobody reads (``| head``), it ends quietly, with 141."""
    reading, writing = os.pipe()
    os.close(reading)
    try:
        run = run_into(writing, arguments, tmp_path, unbuffered=len(arguments) % 2 == 0)
    finally:
        os.close(writing)
    said = [line for line in run.stderr.splitlines() if "no model named" not in line]
    assert (run.returncode, said) == (141, [])


def test_errors_into_the_same_pipe_are_quiet_too(tmp_path: Path) -> None:
    """``2>&1 | head``: an error that nobody can read any more is still no traceback, and the code says failure."""
    reading, writing = os.pipe()
    os.close(reading)
    try:
        command = [sys.executable, "-m", "sdcpp_py", "info", "missing.png"]
        assert subprocess.run(command, stdout=writing, stderr=writing, cwd=tmp_path, timeout=PATIENCE).returncode == 1
    finally:
        os.close(writing)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a device that is always full")
@pytest.mark.parametrize("unbuffered", [False, True])
def test_a_full_disk_behind_the_output_is_one_line(unbuffered: bool, tmp_path: Path) -> None:
    """Output that cannot be written is an error in one line that says so, with 1."""
    with open("/dev/full", "wb") as full:
        run = run_into(full.fileno(), ["models"], tmp_path, unbuffered=unbuffered)
    assert run.returncode == 1
    assert run.stderr.startswith("sdcpp-py: error: standard output cannot be written: ")
    assert run.stderr.count("\n") == 1
