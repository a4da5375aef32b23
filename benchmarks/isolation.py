"""Times pictures of an engine in a thread and of one in a process of its own, in turn.

    python benchmarks/isolation.py [--size 64] [--steps 2] [--threads 1] [--rounds 40]

The model is the one inside the package. Figures are medians, and what the process adds is the median of the rounds'
differences; each round has another prompt, so that all phases are computed.
"""

from __future__ import annotations

import argparse
import statistics
import time

from sdcpp_py import Generator


def seconds(generator: Generator, prompt: str, size: int, steps: int) -> float:
    """What one picture takes."""
    begin = time.perf_counter()
    generator.generate(prompt, width=size, height=size, steps=steps, seed=1)
    return time.perf_counter() - begin


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description="Times engines in threads and in processes of their own.")
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--rounds", type=int, default=40)
    options = parser.parse_args()
    opened = []
    generators = {}
    for isolation in ("thread", "process"):
        begin = time.perf_counter()
        generators[isolation] = Generator.from_pretrained(
            "tiny", device="cpu", threads=options.threads, isolation=isolation
        )
        opened.append(time.perf_counter() - begin)
        seconds(generators[isolation], "warm", options.size, options.steps)
    times: dict[str, list[float]] = {name: [] for name in generators}
    for number in range(options.rounds):
        for name in sorted(generators, reverse=bool(number % 2)):
            prompt = f"a red circle {number}"
            times[name].append(1000 * seconds(generators[name], prompt, options.size, options.steps))
    for name, open_seconds in zip(generators, opened, strict=True):
        print(f"{name:8} opened in {open_seconds:5.2f} s, a picture in {statistics.median(times[name]):7.1f} ms")
    added = sorted(process - thread for thread, process in zip(times["thread"], times["process"], strict=True))
    print(f"the process adds {statistics.median(added):.1f} ms (quartiles {added[len(added) // 4]:.1f} to "
          f"{added[3 * len(added) // 4]:.1f}), {options.rounds} rounds")  # fmt: skip


if __name__ == "__main__":
    main()
