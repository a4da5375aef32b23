"""Times diffusers with PyTorch and this library in turn, on the shapes of FLUX.2 Klein 4B.

    python benchmarks/pytorch.py FOLDER [--python ENVIRONMENT/bin/python] [--quant Q4_K] [--sizes 256 ...] [--steps 1]
        [--repeat 1] [--dtype bfloat16|float32] [--record docs/measurements.md]

FOLDER keeps this library's model files (random weights). PyTorch is in an environment of its own, FOLDER/environment,
which is made with training/requirements.txt where ``--python`` names no other. The pipeline takes 18 GB of memory.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

from full_size import PROMPT, draw_apart, written
from upstream import Row, add_options, in_turn, record_rows, table

from sdcpp_py.system.cpu import physical_cores

FAMILY = "klein-4b"
REQUIREMENTS = Path(__file__).parent.parent / "training" / "requirements.txt"


def environment(folder: Path) -> Path:
    """The interpreter of the environment in ``folder``, which is made where it is not there yet."""
    python = folder / "environment" / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder / "environment")], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "-q", "-r", str(REQUIREMENTS)], check=True)
    return python


def draw_pytorch(python: Path, size: int, steps: int, dtype: str) -> dict[str, Any]:
    """One picture by the pipeline: seconds by phase, and the peak of its memory in bytes."""
    command = [python, Path(__file__).parent / "pytorch_pipeline.py", "--prompt", PROMPT, "--dtype", dtype]
    command += ["--size", size, "--steps", steps, "--threads", physical_cores()]
    output = subprocess.run(list(map(str, command)), check=True, stdout=subprocess.PIPE, text=True).stdout
    result: dict[str, Any] = json.loads(output.splitlines()[-1])
    return result


def main() -> None:
    """Times both sides for each size, and prints, and where wanted records, what they took."""
    parser = argparse.ArgumentParser(description="Times diffusers with PyTorch and this library in turn.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--python", type=Path, help="of an environment with PyTorch, diffusers and transformers")
    parser.add_argument("--quant", default="Q4_K")
    parser.add_argument("--dtype", choices=("bfloat16", "float32"), default="bfloat16")
    add_options(parser)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    python = options.python or environment(options.folder)
    files = written(FAMILY, options.folder, options.quant)
    name = f"PyTorch {options.dtype}"
    rows: list[Row] = []
    for size in options.sizes:
        theirs, ours = in_turn(
            options.repeat,
            partial(draw_pytorch, python, size, options.steps, options.dtype),
            partial(draw_apart, FAMILY, files, options.folder, options.quant, size, options.steps),
        )
        rows.append((f"{FAMILY} {options.quant}", size, theirs, ours))
        print(table(rows[-1:], options.full_steps, name), flush=True)
    command = f"python benchmarks/pytorch.py FOLDER --quant {options.quant} --dtype {options.dtype}"
    record_rows(rows, options, command, name)


if __name__ == "__main__":
    main()
