"""Trying mutants in a process of their own, whose death or standstill is noticed."""

from __future__ import annotations

import json
import math
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.hostile.failures import allocation_shim

ROOT = Path(__file__).parents[2]
# The package under test is found where this process found it, and the tests behind it.
_CODE = f"import sys; sys.path.append({str(ROOT)!r}); from tests.hostile.child import main; main()"
_STARTING = 1800.0
"""Seconds for a process to begin with its first mutant: before that it writes files and draws pictures, for all kinds
that it tries in turns, and on a busy machine that took more than five minutes."""


@dataclass
class Tally:
    """What came of mutants.

    Attributes:
        kind: of file.
        outcomes: how often each documented one came.
        faults: what was none, with the number of the mutant.
        slowest: CPU seconds of the longest one.
    """

    kind: str
    outcomes: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    slowest: float = 0.0

    @property
    def attempts(self) -> int:
        """How many mutants were tried."""
        return sum(self.outcomes.values()) + len(self.faults)


def try_mutants(
    kind: str, count: int, *, seed: int = 0, first: int = 0, patience: float = 600.0, time_share: float = math.inf
) -> Tally:
    """Tries mutants of a kind, from the number ``first`` on.

    ``patience``: seconds of a clock after which one that says nothing counts as a hang, and is ended.
    ``time_share``: seconds of a clock after which none is begun any more, so that there are fewer than ``count``.
    """
    tally = Tally(kind)
    end = first + count
    until = time.monotonic() + time_share
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        environment = allocation_shim(Path(folder)) if kind == "allocation" else {}
        while first < end:
            first = _run(tally, Path(folder), environment, seed, first, end - first, patience, until)
    return tally


def _run(
    tally: Tally,
    folder: Path,
    environment: dict[str, str],
    seed: int,
    first: int,
    count: int,
    patience: float,
    until: float,
) -> int:
    """Tries mutants in one process. Returns the number of the next one."""
    end = first + count
    command = [sys.executable, "-c", _CODE, tally.kind, str(seed), str(first), str(count), str(folder)]
    path = os.pathsep.join(dict.fromkeys(entry for entry in sys.path if entry and entry != str(ROOT / "tests")))
    with tempfile.TemporaryFile() as errors:
        environment = {**os.environ, **environment, "PYTHONPATH": path}
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=errors, cwd=folder, text=True, env=environment
        )
        at, begun, hung = -1, False, False
        try:
            for line in _lines(process, patience):
                if line is None:
                    hung = True
                    process.kill()
                    break
                begun = True
                if "at" in line:
                    at = line["at"]
                elif "done" in line:
                    _count(tally, line)
                    at = -1
                    first = line["done"] + 1
                    if first < end and time.monotonic() >= until:
                        process.kill()
                        return end
        finally:
            if sys.exc_info()[0] is not None:
                process.kill()  # nobody waits for what it would say
            status = process.wait()
        errors.seek(0)
        said = errors.read()[-1500:].decode("utf-8", "replace")
    if hung or status != 0:
        what = f"no answer in {patience if begun else _STARTING:g} s" if hung else _ended(status)
        where = f"number {at}" if at >= 0 else f"behind number {first - 1}"
        tally.faults.append(f"{tally.kind} seed {seed} {where}: {what}\n{said}")
        return max(first, at + 1) if at >= 0 else first + count
    return first


def _count(tally: Tally, line: dict[str, Any]) -> None:
    tally.slowest = max(tally.slowest, line["seconds"])
    if line["sound"]:
        tally.outcomes[line["outcome"]] += 1
    else:
        tally.faults.append(f"{tally.kind} number {line['done']}: {line['outcome']}")


def _ended(status: int) -> str:
    return f"the process ended by {signal.Signals(-status).name}" if status < 0 else f"the process ended with {status}"


def _lines(process: subprocess.Popen[str], patience: float) -> Iterator[dict[str, Any] | None]:
    """What the process says, and None where it says nothing for so long."""
    lines: queue.Queue[str | None] = queue.Queue()
    stream = process.stdout
    assert stream is not None

    def read() -> None:
        with stream:
            for line in stream:
                lines.put(line)
        lines.put(None)

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    wait = _STARTING
    while True:
        try:
            line = lines.get(timeout=wait)
        except queue.Empty:
            yield None
            return
        if line is None:
            thread.join()
            return
        wait = patience
        yield json.loads(line)
