"""Tries many mutants, ``python -m tests.hostile 20000``, or failures at many places (``--kinds node-nan read-short``).

It prints a line for each kind, and what was wrong.
"""

from __future__ import annotations

import argparse
import math
import sys
import time

from tests.hostile.kinds import KINDS
from tests.hostile.watch import try_mutants

# Shares of all mutants: those that reach native code get most.
SHARES = {
    "gguf": 5,
    "gguf-of-all-families": 4,
    "safetensors": 3,
    "safetensors-of-all-families": 2,
    "lora": 1,
    "index": 1,
    "prompt": 1,
    "catalogue": 1,
    "picture": 2,
}


def main() -> int:
    """Tries as many as are wanted. Returns 1 where one was not answered as it should be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("count", type=int, help="how many in all")
    parser.add_argument(
        "--kinds",
        nargs="+",
        choices=KINDS,
        default=list(SHARES),
        help="of files, or of failures; those of files by default",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the random numbers: the same gives the same mutants")
    parser.add_argument("--first", type=int, default=0, help="the number of the first mutant of each kind")
    parser.add_argument(
        "--patience", type=float, default=120.0, help="seconds of a clock after which one counts as a hang"
    )
    parser.add_argument(
        "--minutes", type=float, default=math.inf, help="of a clock, for all kinds together; fewer are tried then"
    )
    options = parser.parse_args()
    total = sum(SHARES.get(kind, 1) for kind in options.kinds)
    counts = {kind: -(-options.count * SHARES.get(kind, 1) // total) for kind in options.kinds}
    until = time.monotonic() + options.minutes * 60
    faults = 0
    for kind, count in counts.items():
        share = (until - time.monotonic()) * SHARES.get(kind, 1) / total
        total -= SHARES.get(kind, 1)
        tally = try_mutants(
            kind, count, seed=options.seed, first=options.first, patience=options.patience, time_share=share
        )
        outcomes = ", ".join(f"{name} {number}" for name, number in tally.outcomes.most_common())
        print(f"{kind}: {tally.attempts} tried, {len(tally.faults)} faults, slowest {tally.slowest:.1f} s ({outcomes})")
        print(*tally.faults, sep="\n", end="\n" if tally.faults else "", flush=True)
        faults += len(tally.faults)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
