"""Times the opening of a model whose files are in the page cache, beside the engine's own program.

    python benchmarks/opening.py FOLDER [--family klein-4b] [--quant Q4_K] [--repeat 3] [--record docs/measurements.md]

FOLDER keeps the build of the program and the model files (random weights of the true size). Each round opens twice in
one process: the first time, and again, as after an eviction. The program reports its own loading; it draws one step of
a small picture after that, which does not count. As a yardstick, each round touches as many fresh bytes of anonymous
memory as the weights take, in large pages. A virtual machine has to be given its memory first, and again some seconds
after it was freed: there is a pause before each, so that none has what the one before it left.
"""

from __future__ import annotations

import argparse
import json
import mmap
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from full_size import PROMPT, record, section, written
from upstream import BUILDS, build

from sdcpp_py import Generator
from sdcpp_py.synth import SyntheticSet

PAUSE = 5.0
LOADED = r"loading tensors completed, taking ([\d.]+)s"


def open_twice(files: SyntheticSet) -> dict[str, float]:
    """Seconds of both times in this process, and the bytes of weights."""
    seconds, weights = [], 0
    for _ in range(2):
        began = time.perf_counter()
        with Generator(files.diffusion_model, files.text_encoder, files.vae, device="cpu", memory="all") as generator:
            seconds.append(time.perf_counter() - began)
            weights = sum(generator.weight_bytes.values())
    return {"first": seconds[0], "again": seconds[1], "weights": weights}


def touch(count: int) -> dict[str, float]:
    """Seconds to write into fresh memory of so many bytes, in this process, twice."""
    seconds = []
    for _ in range(2):
        began = time.perf_counter()
        memory = mmap.mmap(-1, count, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        memory.madvise(mmap.MADV_HUGEPAGE)
        numbers = np.frombuffer(memory, np.uint8)
        numbers[:: mmap.PAGESIZE] = 1
        seconds.append(time.perf_counter() - began)
        del numbers
        memory.close()
    return {"first": seconds[0], "again": seconds[1]}


def in_a_process(*arguments: object) -> dict[str, float]:
    """One of the two above, in a process of its own."""
    time.sleep(PAUSE)
    command = [sys.executable, __file__, *map(str, arguments)]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    found: dict[str, float] = json.loads(output.splitlines()[-1])
    return found


def open_upstream(program: Path, files: SyntheticSet, folder: Path) -> float:
    """Seconds that the program says it read for."""
    time.sleep(PAUSE)
    command = [program, "--diffusion-model", files.diffusion_model, "--llm", files.text_encoder, "--vae", files.vae]
    command += ["-p", PROMPT, "--cfg-scale", 1, "--steps", 1, "-W", 64, "-H", 64, "-v", "-o", folder / "opening.png"]
    log = subprocess.run(
        list(map(str, command)), check=True, stdout=subprocess.PIPE, text=True, errors="replace"
    ).stdout
    return sum(map(float, re.findall(LOADED, log)))


def main() -> None:
    """Prints, and where wanted records, the least of all rounds."""
    parser = argparse.ArgumentParser(description="Times the opening of a model.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--family", default="klein-4b")
    parser.add_argument("--quant", default="Q4_K")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--record", type=Path, metavar="FILE.md")
    parser.add_argument("--only", choices=["open", "touch"], help=argparse.SUPPRESS)
    parser.add_argument("--bytes", type=int, default=0, help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    if options.only == "touch":
        print(json.dumps(touch(options.bytes)))
        return
    files = written(options.family, options.folder, options.quant)
    if options.only == "open":
        print(json.dumps(open_twice(files)))
        return
    program = build(options.folder, next(iter(BUILDS)))
    ours, theirs, touched = [], [], []
    for _ in range(options.repeat):
        what = (options.folder, "--family", options.family, "--quant", options.quant)
        ours.append(in_a_process(*what, "--only", "open"))
        touched.append(in_a_process(*what, "--only", "touch", "--bytes", int(ours[-1]["weights"])))
        theirs.append(open_upstream(program, files, options.folder))
    lines = ["| what | first time in a process | again |", "| --- | --- | --- |"]
    lines.append(f"| the engine's own program, reading alone | {min(theirs):.2f} s | |")
    for name, rounds in (("here, all of it", ours), ("touching as much memory", touched)):
        lines.append(f"| {name} | {min(r['first'] for r in rounds):.2f} s | {min(r['again'] for r in rounds):.2f} s |")
    text = "\n".join(lines)
    print(text)
    if options.record:
        command = f"python benchmarks/opening.py FOLDER --family {options.family} --quant {options.quant}"
        record(section(text, f"{command} --repeat {options.repeat}"), options.record)


if __name__ == "__main__":
    main()
