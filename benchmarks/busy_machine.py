"""Times pictures beside programs that keep the cores busy: how long should threads spin that wait for each other?

    python benchmarks/busy_machine.py [FOLDER] [--spin 0 100 1000000] [--busy 0 1 2] [--rounds 7] [--record FILE.md]

The model is the one inside the package; with a FOLDER, which keeps its files, a FLUX.2 Klein of full width and few
blocks at 256x256. All combinations take turns in each round, in one process, so that what else the machine does falls
on all of them. Figures are medians; ratios are medians of the rounds' own ratios to waits that sleep at once (0
microseconds). A million stands for waits that spin throughout.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from full_size import record, section, written

from sdcpp_py import Generator
from sdcpp_py._native.library import MODULE_DIR, cpu_module


def spin_for(microseconds: int) -> None:
    """How long the threads of a graph look for each other before they sleep, from now on."""
    module = cpu_module()
    name = "libggml-cpu.so" if module == "x64" else f"libggml-cpu-{module}.so"
    loaded = ctypes.CDLL(str(MODULE_DIR / name), mode=os.RTLD_NOLOAD)
    ctypes.c_int.in_dll(loaded, "sdpy_spin_microseconds").value = microseconds


@contextmanager
def busy(programs: int) -> Iterator[None]:
    """So many programs that compute without end."""
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(programs)]
    try:
        time.sleep(0.2)
        yield
    finally:
        for other in others:
            other.kill()
            other.wait()


def opened(options: argparse.Namespace) -> Generator:
    """The generator that draws, with a thread for each core."""
    if options.folder is None:
        return Generator.from_pretrained("tiny", device="cpu")
    options.folder.mkdir(parents=True, exist_ok=True)
    files = written("klein-4b-short", options.folder, options.quant)
    return Generator(files.diffusion_model, files.text_encoder, files.vae, device="cpu")


def measured(generator: Generator, options: argparse.Namespace) -> dict[tuple[int, int], list[float]]:
    """Seconds of a picture in each round, by busy programs and microseconds of spinning."""
    drawing: dict[str, Any] = {} if options.folder is None else {"width": 256, "height": 256, "steps": 1}
    times: dict[tuple[int, int], list[float]] = {}
    generator.generate("a red circle", seed=0, **drawing)  # encodes the prompt, and warms up
    for number in range(options.rounds):
        for programs in options.busy:
            with busy(programs):
                for spin in options.spin if number % 2 else reversed(options.spin):
                    spin_for(spin)
                    begin = time.perf_counter()
                    generator.generate("a red circle", seed=number, **drawing)
                    times.setdefault((programs, spin), []).append(time.perf_counter() - begin)
    return times


def table(times: dict[tuple[int, int], list[float]], spins: list[int], busies: list[int]) -> str:
    """A row for each number of busy programs: seconds, and the ratio to the first of ``spins``."""
    lines = [
        "| busy programs | " + " | ".join(f"{spin} \N{MICRO SIGN}s" for spin in spins) + " |",
        "| --- |" + " --- |" * len(spins),
    ]
    for programs in busies:
        cells = []
        for spin in spins:
            pairs = zip(times[programs, spin], times[programs, spins[0]], strict=True)
            ratio = statistics.median(one / first for one, first in pairs)
            cells.append(f"{statistics.median(times[programs, spin]):.2f} s ({ratio:.2f}x)")
        lines.append(f"| {programs} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    """Prints the table, and records it where wanted."""
    parser = argparse.ArgumentParser(description="Times pictures beside programs that keep the cores busy.")
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--quant", default="Q4_K")
    parser.add_argument("--spin", type=int, nargs="+", default=[0, 100, 1000000], help="microseconds")
    parser.add_argument("--busy", type=int, nargs="+", default=[0, 1, 2], help="numbers of programs")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--record", type=Path, metavar="FILE.md", help="append the result to this file")
    options = parser.parse_args()
    with opened(options) as generator:
        times = measured(generator, options)
    folder = [] if options.folder is None else ["FOLDER", "--quant", options.quant]
    counts = ["--busy", *map(str, options.busy), "--rounds", str(options.rounds)]
    command = " ".join(["python benchmarks/busy_machine.py", *folder, *counts])
    text = section(table(times, options.spin, options.busy), command)
    print(text)
    if options.record is not None:
        record(text, options.record)


if __name__ == "__main__":
    main()
