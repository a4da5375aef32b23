"""Times the engine's own program, built as its README says, and this library in turn, on the same files.

    python benchmarks/upstream.py FOLDER [--models klein-4b:Q4_K ...] [--sizes 256 ...] [--steps 1]
        [--repeat 1] [--level best|avx2] [--record docs/measurements.md]

FOLDER keeps the build of the program and the model files (random weights of the true size, 5 to 8 GB for each model).
The source of the engine is the pinned one, vendor/stable-diffusion.cpp. One run times both, one after the other:
machines differ from hour to hour, and what counts are the ratios. ``--level avx2`` builds the program for such a CPU
and holds this library to its modules for one.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from full_size import PROMPT, SEED, draw_apart, record, section, written

from sdcpp_py.synth import SyntheticSet
from sdcpp_py.system.cpu import physical_cores

ENGINE = Path(__file__).parent.parent / "vendor" / "stable-diffusion.cpp"
# The README's own build is for the CPU that it is built on.
BUILDS = {
    "best": [],
    "avx2": ["-DGGML_NATIVE=OFF", "-DGGML_AVX2=ON", "-DGGML_FMA=ON", "-DGGML_F16C=ON", "-DGGML_BMI2=ON"],
}
OURS = {"best": {}, "avx2": {"SDCPP_PY_CPU_MODULE": "haswell", "SDCPP_PY_KERNELS": "avx2"}}
# What the program says about itself: "... completed, taking 123 ms", or seconds.
PHASES = {
    "encode": r"get_learned_condition completed, taking ([\d.]+) ?(m?s)",
    "denoise": r"sampling completed, taking ([\d.]+) ?(m?s)",
    "decode": r"decode_first_stage completed, taking ([\d.]+) ?(m?s)",
}

# Model, edge of the picture in pixels, what they took, what this library took.
Row = tuple[str, int, dict[str, Any], dict[str, Any]]


def build(folder: Path, level: str) -> Path:
    """The engine's program, built where it is not there yet."""
    place = folder / f"sd-cli-{level}"
    configure = ["cmake", "-S", ENGINE, "-B", place, "-DCMAKE_BUILD_TYPE=Release", *BUILDS[level]]
    subprocess.run(list(map(str, configure)), check=True, stdout=subprocess.DEVNULL)
    jobs = str(os.cpu_count() or 1)
    make = ["cmake", "--build", str(place), "--config", "Release", "--target", "sd-cli", "-j", jobs]
    subprocess.run(make, check=True, stdout=subprocess.DEVNULL)
    return place / "bin" / "sd-cli"


def draw_upstream(program: Path, files: SyntheticSet, folder: Path, size: int, steps: int) -> dict[str, Any]:
    """One picture by the engine's program: seconds by phase, and the peak of its memory in bytes."""
    command = [program, "--diffusion-model", files.diffusion_model, "--llm", files.text_encoder, "--vae", files.vae]
    command += ["-p", PROMPT, "--cfg-scale", 1, "--steps", steps, "-W", size, "-H", size, "-s", SEED, "-v"]
    command += ["-t", physical_cores(), "-o", folder / "upstream.png"]
    with open(folder / "upstream.log", "w+", encoding="utf-8", errors="replace") as log:
        process = subprocess.Popen(list(map(str, command)), stdout=log, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
        log.seek(0)
        text = log.read()
    if status:
        raise SystemExit(f"sd-cli ended with status {status}:\n{text[-2000:]}")
    times = {name: seconds_in(text, pattern) for name, pattern in PHASES.items()}
    return {**times, "step": times["denoise"] / steps, "peak": usage.ru_maxrss * 1024}


def seconds_in(log: str, pattern: str) -> float:
    """What the last line of the program's log that is like the pattern says."""
    found = re.findall(pattern, log)
    if not found:
        raise SystemExit(f"sd-cli's log has no line like {pattern!r}")
    number, unit = found[-1]
    return float(number) / (1000 if unit == "ms" else 1)


def table(rows: list[Row], full_steps: int, their_name: str = "upstream") -> str:
    """Both sides of each comparison, and what they are to each other."""
    lines = [
        f"| model | size | who | encode | one step | decode | picture of {full_steps} steps | peak memory |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for model, size, theirs, ours in rows:
        sides = {their_name: theirs, "here": ours}
        for side in sides.values():
            side["picture"] = side["encode"] + full_steps * side["step"] + side["decode"]
        for who, side in sides.items():
            times = " | ".join(f"{side[name]:.1f} s" for name in ("encode", "step", "decode", "picture"))
            lines.append(f"| {model} | {size}x{size} | {who} | {times} | {side['peak'] / 2**30:.2f} GiB |")
        ratios = " | ".join(f"{theirs[name] / ours[name]:.2f}x" for name in ("encode", "step", "decode", "picture"))
        lines.append(f"| | | ratio | {ratios} | {ours['peak'] / theirs['peak']:.2f} of it |")
    return "\n".join(lines)


def in_turn(repeat: int, *sides: Callable[[], dict[str, Any]]) -> list[dict[str, Any]]:
    """Runs the sides one after the other, so many times, and keeps the least of each figure of each side."""
    rounds = [[side() for side in sides] for _ in range(repeat)]
    phases = ("encode", "step", "decode", "peak")
    return [{name: min(one[side][name] for one in rounds) for name in phases} for side in range(len(sides))]


def add_options(parser: argparse.ArgumentParser) -> None:
    """What to draw, how often, and where to write it down."""
    parser.add_argument("--sizes", nargs="+", type=int, default=[256])
    parser.add_argument("--steps", type=int, default=1, help="steps to time (default: %(default)s)")
    parser.add_argument("--full-steps", type=int, default=4, help="steps of a picture (default: %(default)s)")
    parser.add_argument("--repeat", type=int, default=1, help="rounds, of which the quickest counts")
    parser.add_argument("--record", type=Path, metavar="FILE.md", help="append the result to this file")


def record_rows(rows: list[Row], options: argparse.Namespace, command: str, their_name: str = "upstream") -> None:
    """Writes the table down where that is wanted, with the command and the common options that it came from."""
    command += f" --sizes {' '.join(map(str, options.sizes))} --steps {options.steps} --repeat {options.repeat}"
    if options.record:
        record(section(table(rows, options.full_steps, their_name), command), options.record)


def main() -> None:
    """Times both sides for each model and size, and prints, and where wanted records, what they took."""
    parser = argparse.ArgumentParser(description="Times the engine's own program and this library in turn.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--models", nargs="+", default=["klein-4b:Q4_K"], metavar="NAME:QUANT")
    parser.add_argument("--level", choices=BUILDS, default="best")
    add_options(parser)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    program = build(options.folder, options.level)
    rows = []
    for model in options.models:
        family, _, quant = model.partition(":")
        files = written(family, options.folder, quant)
        for size in options.sizes:
            theirs, ours = in_turn(
                options.repeat,
                partial(draw_upstream, program, files, options.folder, size, options.steps),
                partial(draw_apart, family, files, options.folder, quant, size, options.steps, OURS[options.level]),
            )
            rows.append((f"{family} {quant}", size, theirs, ours))
            print(table(rows[-1:], options.full_steps), flush=True)
    models = " ".join(options.models)
    record_rows(rows, options, f"python benchmarks/upstream.py FOLDER --models {models} --level {options.level}")


if __name__ == "__main__":
    main()
