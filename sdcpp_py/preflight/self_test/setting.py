"""One setting of a device, tried in a process of its own, which may hang or die."""

from __future__ import annotations

import contextlib
import json
import math
import os
import queue
import signal
import subprocess
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import IO, Any

from sdcpp_py._native.vulkan_build import SELF_TEST_VARIABLE
from sdcpp_py.preflight.self_test.child import MARK
from sdcpp_py.preflight.self_test.outcomes import TIMING, Findings, Outcome, findings
from sdcpp_py.system.gpu_records import sound_figures
from sdcpp_py.system.vulkan_drivers import is_software

# Of a process that says nothing: a GPU needs seconds for a check, and a driver some more to compile what is new to it;
# one that computes on the CPU, minutes.
SILENCE, _SILENCE_OF_SOFTWARE = 120.0, 1200.0
# A driver that computes on the CPU is slow, and not to blame for what is not done when the time is over.
_GRACE_OF_SOFTWARE = 15.0
_TO_END = 10.0
_START = "its start"
# What words that a process did not mean are met with.
_NONSENSE = (KeyError, TypeError, ValueError, AttributeError, RecursionError, OverflowError)
# What ends a process for reasons that are not its own: a user, a system that shuts down, or one without memory.
_FROM_OUTSIDE = {-getattr(signal, name, 0) for name in ("SIGTERM", "SIGINT", "SIGHUP", "SIGKILL")} - {0}


@dataclass
class Tried:
    """What a setting gave.

    Attributes:
        switches: the setting.
        device: the facts of ``library.Device``; empty where the process came to its end before.
        outcomes: of the checks, in order.
        speeds: as a ``GpuRecord`` has them.
        ahead: how many checks of each kind were to be done.
        late: whether the process was ended because its time was over; that is no fault.
        ended: how the process ended before the test was over, in words; "" where it did not.
        short: whether the device had no memory for a check.
        stuck: whether the process could not even be killed.
        sought: what was wrong with other settings, by name: without these, nothing shows that this one is right.
        failed: whether it ended before it came to the device, or was ended from outside: no fault of the device.
    """

    switches: tuple[str, ...] = ()
    device: dict[str, Any] = field(default_factory=dict)
    outcomes: list[Outcome] = field(default_factory=list)
    speeds: dict[str, float] = field(default_factory=dict)
    ahead: dict[str, int] = field(default_factory=dict)
    late: bool = False
    ended: str = ""
    short: bool = False
    stuck: bool = False
    failed: bool = False
    sought: frozenset[str] = frozenset()
    _doing: str = _START
    _over: bool = False

    @property
    def found(self) -> Findings:
        """What follows from the outcomes."""
        return findings(self.outcomes)

    @property
    def fault(self) -> str:
        """What is wrong, in words; "" where nothing is."""
        if self.ended:
            return self.ended
        faults = self.found.faults
        others = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
        if faults:
            return f"{faults[0]}{others}"
        missing = sorted(self.sought - {one.name for one in self.outcomes})
        return f"{missing[0]}: the time did not suffice for it" if missing else ""

    @property
    def wrong(self) -> frozenset[str]:
        """The names of what was wrong, or was being done as the process ended."""
        doing = {self._doing} - {_START, TIMING} if self.ended else set()
        return frozenset({one.name for one in self.found.faults} | doing)

    @property
    def unreached(self) -> tuple[str, ...]:
        """What the time did not suffice for, in words, by kind."""
        done = Counter(one.kind for one in self.outcomes) + Counter({TIMING: int(bool(self.speeds))})
        rest = {kind: (count - done[kind], count) for kind, count in self.ahead.items() if count > done[kind]}
        return tuple(f"{left} of {count} {kind}" if count > 1 else kind for kind, (left, count) in rest.items())

    def hear(self, what: dict[str, Any]) -> None:
        """Takes what the process says. Raises where it makes no sense; what is in ``_NONSENSE``."""
        if "begins" in what:
            self._doing = str(what["begins"])
        elif "outcome" in what:
            self.outcomes.append(Outcome.from_plain(what["outcome"]))
        elif "ahead" in what:
            self.ahead = {str(kind): int(count) for kind, count in what["ahead"].items()}
        elif "speeds" in what:
            self.speeds = sound_figures(what["speeds"])
        self.device = what.get("device", self.device)
        self.short = self.short or "short" in what
        self._over = self._over or "ends" in what

    def end(self, how: str) -> None:
        """Notes how the process ended, where the test was not over."""
        if not self._over and not self.late:
            self.ended = f"{how} in: {self._doing}"


def try_setting(
    command: Sequence[str],
    switches: Sequence[str] = (),
    *,
    silence: float = SILENCE,
    seconds: float = math.inf,
    sought: Collection[str] = (),
    on_outcome: Callable[[Outcome], object] | None = None,
) -> Tried:
    """Runs the process that tests a device, with switches in its environment, and hears what it says.

    Args:
        command: of ``child``.
        switches: of ``gpu_records.SWITCHES``.
        silence: ends it once it has said nothing for so many seconds; longer for drivers that compute on the CPU.
        seconds: what it has for all that it does; it stops by itself after the check that it is at.
        sought: names of the checks that it begins with.
        on_outcome: is told each outcome.
    """
    tried = Tried(tuple(switches), sought=frozenset(sought))
    told = [] if math.isinf(seconds) else [f"--seconds={seconds}"]
    told += [f"--first={json.dumps(sorted(sought))}"] if sought else []
    environment = {**os.environ, SELF_TEST_VARIABLE: "off", **dict.fromkeys(switches, "1")}
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            [*command, *told], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, env=environment
        )
        try:
            heard = _hear(process, tried, silence, seconds, on_outcome or (lambda outcome: None))
            status = process.wait(_TO_END) if heard else None
            tried.end("nothing was heard of it for too long" if status is None else _ending(status, errors))
            early = not tried.device and (status or 0) > 0
            tried.failed = bool(tried.ended) and (early or status in _FROM_OUTSIDE)
        except subprocess.TimeoutExpired:
            tried.end("the test's process did not end")
        finally:
            tried.stuck = not _killed(process)
    return tried


def _hear(
    process: subprocess.Popen[bytes],
    tried: Tried,
    silence: float,
    seconds: float,
    on_outcome: Callable[[Outcome], object],
) -> bool:
    """Hears a process until it says no more; False where it hung before."""
    lines: queue.Queue[bytes] = queue.Queue()
    stream: Any = process.stdout

    def read() -> None:
        with contextlib.suppress(ValueError, OSError):  # closed, because the process hangs
            for line in stream:
                lines.put(line)
        lines.put(b"")

    threading.Thread(target=read, daemon=True).start()
    latest = time.monotonic() + seconds + _GRACE_OF_SOFTWARE
    while True:
        software = is_software(str(tried.device.get("driver", "")))
        left = max(0.0, latest - time.monotonic())
        patience = min(max(silence, _SILENCE_OF_SOFTWARE), left) if software else silence
        try:
            line = lines.get(timeout=patience)
        except queue.Empty:
            tried.late = software and left <= patience
            return False
        if not line:
            return True
        count = len(tried.outcomes)
        text = line.decode("utf-8", errors="replace")
        if text.startswith(MARK):
            # What is cut short says nothing, and what comes after it does.
            with contextlib.suppress(*_NONSENSE):
                tried.hear(json.loads(text.removeprefix(MARK)))
        for outcome in tried.outcomes[count:]:
            on_outcome(outcome)


def _ending(status: int, errors: IO[bytes]) -> str:
    """How a process ended, with the last line that it wrote of it."""
    errors.seek(0)
    lines = errors.read().decode("utf-8", errors="replace").split("\n")
    last = next((line.strip() for line in reversed(lines) if line.strip()), "")
    if status < 0:
        with contextlib.suppress(ValueError):
            return f"the test's process died by {signal.Signals(-status).name}"
    said = f" ({last.removeprefix('sdcpp_py.errors.')})" if last else ""
    return f"the test's process ended with status {status}{said}"


def _killed(process: subprocess.Popen[bytes]) -> bool:
    """Whether a process is gone, by force where it must be; one that waits for its driver in the kernel cannot be."""
    if process.poll() is None:
        process.kill()
    try:
        process.wait(_TO_END)
    except subprocess.TimeoutExpired:
        return False
    if process.stdout is not None:
        process.stdout.close()
    return True
