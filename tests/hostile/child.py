"""The process in which mutants are tried one after the other. It says at which one it is before it tries it."""

from __future__ import annotations

import json
import resource
import sys
import time
import traceback
import warnings
from pathlib import Path
from random import Random

from sdcpp_py import MetadataWarning, SdcppError
from tests.hostile.attempts import TINY, Attempts, use
from tests.hostile.kinds import KINDS

# So that a mutant that wants all memory ends as an error, and not with the machine.
_ROOM = 12 << 30
_EVERY = 200
"""After as many mutants the sound model is used again."""


def main() -> None:
    """Tries mutants: ``kind seed first count folder``. A line of JSON before each, and one after it."""
    kind, seed, first, count, folder = sys.argv[1:6]
    resource.setrlimit(resource.RLIMIT_AS, (_ROOM, resource.RLIM_INFINITY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    warnings.simplefilter("error")
    warnings.simplefilter("ignore", MetadataWarning)  # which is documented
    attempts = KINDS[kind](Path(folder))
    for number in range(int(first), int(first) + int(count)):
        _say(at=number)
        began = time.process_time()
        outcome, sound = _outcome(attempts, Random(f"{seed} {kind} {number}"), number)
        _say(done=number, outcome=outcome, sound=sound, seconds=time.process_time() - began)
        if number % _EVERY == _EVERY - 1:
            use(TINY)
    use(TINY)
    _say(end=True)


def _outcome(attempts: Attempts, random: Random, number: int) -> tuple[str, bool]:
    try:
        return attempts.attempt(random, number), True
    except SdcppError as error:
        return type(error).__name__, True
    except BaseException:
        return traceback.format_exc(limit=-4)[-2000:], False


def _say(**values: object) -> None:
    sys.__stdout__.write(json.dumps(values) + "\n")  # type: ignore[union-attr]
    sys.__stdout__.flush()  # type: ignore[union-attr]
