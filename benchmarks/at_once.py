"""Times generators that draw at once against the same one after the other, and one with more threads than cores.

    python benchmarks/at_once.py [--generators 2] [--size 384] [--repeat 3]

The model is the one inside the package. Each figure is the quickest of its rounds, and the rounds take lock.
"""

from __future__ import annotations

import argparse
import time
from concurrent.futures import ThreadPoolExecutor

from sdcpp_py import Generator
from sdcpp_py.system.cpu import physical_cores


def seconds(generators: list[Generator], size: int, at_once: bool) -> float:
    """What one picture by each generator takes."""

    def draw(generator: Generator) -> None:
        generator.generate("a red circle", width=size, height=size, seed=1)

    begin = time.perf_counter()
    with ThreadPoolExecutor(len(generators) if at_once else 1) as pool:
        list(pool.map(draw, generators))
    return time.perf_counter() - begin


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description="Times generators that draw at once.")
    parser.add_argument("--generators", type=int, default=2)
    parser.add_argument("--size", type=int, default=384)
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    cores = physical_cores()
    some = [
        Generator.from_pretrained("tiny", device="cpu", cache_prompts=False, threads=cores)
        for _ in range(options.generators)
    ]
    crowded = [Generator.from_pretrained("tiny", device="cpu", cache_prompts=False, threads=4 * cores)]
    kinds = {
        "one after the other": (some, False),
        "at once": (some, True),
        "one, a thread for each core": (some[:1], False),
        "one, four threads for each core": (crowded, False),
    }
    for generators, _ in kinds.values():
        seconds(generators, options.size, at_once=False)  # warms up
    rounds = [
        {name: seconds(generators, options.size, at_once) for name, (generators, at_once) in kinds.items()}
        for _ in range(options.repeat)
    ]
    print(f"{cores} cores, {options.generators} generators, {options.size}x{options.size}")
    for name in kinds:
        print(f"{name:32} {min(one[name] for one in rounds):6.2f} s")


if __name__ == "__main__":
    main()
