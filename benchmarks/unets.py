"""Times one step of Stable Diffusion's U-Nets with classifier-free guidance: PyTorch, the engine's program, and here.

    python benchmarks/unets.py FOLDER [--models sd1 sdxl] [--size 512] [--quant F16] [--repeat 2]
        [--python ENVIRONMENT/bin/python] [--record docs/measurements.md]

FOLDER keeps the build of the program, the model files (random weights of the true size) and an environment with PyTorch
(made with training/requirements.txt where ``--python`` names no other). All three take turns in each round, and the
least of each counts. PyTorch computes in float32, both halves of the guidance in one batch.
"""

from __future__ import annotations

import argparse
import json
import subprocess
from pathlib import Path
from typing import Any

from full_size import PROMPT, SEED, record, section, written
from pytorch import environment
from upstream import BUILDS, PHASES, build, seconds_in

from sdcpp_py import Generator
from sdcpp_py.models.files import arguments_of
from sdcpp_py.synth import SyntheticSet
from sdcpp_py.system.cpu import physical_cores

CFG_SCALE = 7.0


def step_here(files: SyntheticSet, size: int, rounds: int = 2) -> float:
    """Seconds of a step, the quicker of two: the first one touches memory."""
    with Generator(**arguments_of(files.files), device="cpu", memory="all") as generator:
        pictures = [
            generator.generate(PROMPT, width=size, height=size, steps=1, seed=SEED, cfg_scale=CFG_SCALE)
            for _ in range(rounds)
        ]
        return min(picture.timings["denoise"] for picture in pictures)


def step_upstream(program: Path, files: SyntheticSet, size: int, folder: Path) -> float:
    """Seconds that the program says it sampled for."""
    command = [program, "-m", files.files["model"], "-p", PROMPT, "--cfg-scale", CFG_SCALE, "--steps", 1, "-v"]
    command += ["-W", size, "-H", size, "-s", SEED, "-t", physical_cores(), "-o", folder / "upstream.png"]
    log = subprocess.run(
        list(map(str, command)), check=True, stdout=subprocess.PIPE, text=True, errors="replace"
    ).stdout
    return seconds_in(log, PHASES["denoise"])


def step_pytorch(python: Path, model: str, size: int) -> float:
    """Seconds of a forward pass of both halves at once, the quicker of two."""
    script = Path(__file__).parent / "pytorch_unet.py"
    command = [python, script, model, "--size", size, "--threads", physical_cores()]
    output = subprocess.run(list(map(str, command)), check=True, stdout=subprocess.PIPE, text=True).stdout
    found: dict[str, Any] = json.loads(output.splitlines()[-1])
    return float(found["step"])


def main() -> None:
    """Prints, and where wanted records, the least of all rounds."""
    parser = argparse.ArgumentParser(description="Times one step of U-Nets, three ways.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--models", nargs="+", choices=["sd1", "sdxl"], default=["sd1"])
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--quant", default="F16")
    parser.add_argument("--repeat", type=int, default=2)
    parser.add_argument("--python", type=Path, help="of an environment with PyTorch and diffusers")
    parser.add_argument("--record", type=Path, metavar="FILE.md")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    program = build(options.folder, next(iter(BUILDS)))
    python = options.python or environment(options.folder)
    lines = ["| model | PyTorch float32 | sd-cli | here | PyTorch to here | sd-cli to here |", "| --- " * 6 + "|"]
    for model in options.models:
        files = written(model, options.folder, options.quant)
        rounds = [
            (
                step_pytorch(python, model, options.size),
                step_upstream(program, files, options.size, options.folder),
                step_here(files, options.size),
            )
            for _ in range(options.repeat)
        ]
        pytorch, upstream, here = (min(one[side] for one in rounds) for side in range(3))
        ratios = f"{pytorch / here:.2f}x | {upstream / here:.2f}x"
        lines.append(f"| {model} {options.quant} | {pytorch:.1f} s | {upstream:.1f} s | {here:.1f} s | {ratios} |")
        print("\n".join(lines), flush=True)
    if options.record:
        command = f"python benchmarks/unets.py FOLDER --models {' '.join(options.models)} --size {options.size}"
        record(section("\n".join(lines), f"{command} --repeat {options.repeat}"), options.record)


if __name__ == "__main__":
    main()
