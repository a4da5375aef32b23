"""Draws with models of full size (random weights, which take the time and memory of real ones) and records both.

    python benchmarks/full_size.py FOLDER [--families klein-4b ...] [--quant Q4_K] [--size 256] [--steps N]
        [--record docs/measurements.md]

FOLDER keeps the model files: about 5.5 GB for Klein 4B and 6.7 GB for Z-Image-Turbo in Q4_K, and up to 17 GB for the
others. Each family is drawn with in a process of its own, so that the peak of its memory is its own.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import resource
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from sdcpp_py import Generator, Phase, Progress, synth
from sdcpp_py.models.files import arguments_of
from sdcpp_py.preflight.machine import describe_machine
from sdcpp_py.synth import SyntheticSet, write_set

FAMILIES = ("klein-4b", "z-image-turbo")
PROMPT = "a lovely cat on a windowsill"
SEED = 42


def draw(
    family: str, files: Mapping[str, str], folder: Path, quant: str, size: int, count: int | None
) -> dict[str, Any]:
    """Draws one picture of ``count`` steps in this process; returns seconds by phase and bytes."""
    load: list[Progress] = []
    with Generator(**arguments_of(files), device="cpu", on_progress=load.append) as generator:
        steps: list[Progress] = []
        picture = generator.generate(PROMPT, width=size, height=size, steps=count, seed=SEED, on_progress=steps.append)
        picture.save(folder / f"{family}-{quant}-{size}.png")
        count = picture.settings.steps
        return {
            "family": family,
            "quant": quant,
            "size": size,
            "steps": count,
            "load": load[-1].elapsed,
            **picture.timings,
            "step": picture.timings["denoise"] / count,
            "weights": sum(generator.weight_bytes.values()),
            "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
            "phases_seen": sorted({progress.phase.value for progress in [*load, *steps]}),
        }


def written(family: str, folder: Path, quant: str) -> SyntheticSet:
    """The files of a family, on the disk: it must not be busy with writing while reading is timed."""
    files = write_set(family, folder, quant=quant)
    os.sync()
    return files


def draw_apart(
    family: str,
    files: SyntheticSet,
    folder: Path,
    quant: str,
    size: int,
    steps: int | None = None,
    environment: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, Any]:
    """``draw`` in a process of its own, with additions to its environment, so that its memory is counted alone."""
    command = [sys.executable, __file__, str(folder), "--only", family, "--quant", quant, "--size", str(size)]
    command += ["--files", *(f"{role}={path}" for role, path in files.files.items())]
    command += ["--steps", str(steps)] if steps else []
    output = subprocess.run(
        command, check=True, stdout=subprocess.PIPE, text=True, env={**os.environ, **environment}
    ).stdout
    result: dict[str, Any] = json.loads(output.splitlines()[-1])
    assert len(result["phases_seen"]) == len(Phase)
    return result


def table(results: list[dict[str, Any]]) -> str:
    """The results as a Markdown table, seconds and GiB."""
    lines = [
        "| model | size | steps | load | encode | one step | decode | picture | weights | peak memory |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for result in results:
        picture = result["encode"] + result["denoise"] + result["decode"]
        lines.append(
            f"| {result['family']} {result['quant']} | {result['size']}x{result['size']} | {result['steps']} "
            f"| {result['load']:.1f} s | {result['encode']:.1f} s | {result['step']:.1f} s | {result['decode']:.1f} s "
            f"| {picture:.0f} s | {result['weights'] / 2**30:.2f} GiB | {result['peak'] / 2**30:.2f} GiB |"
        )
    return "\n".join(lines)


def section(table: str, command: str) -> str:
    """A table of results with what is needed to judge them."""
    machine = describe_machine()
    cpu = machine["cpu"]
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    return (
        f"\n### {datetime.datetime.now(datetime.timezone.utc):%Y-%m-%d}, commit {commit or 'unknown'}\n\n"
        f"{cpu['name']}, {cpu['physical_cores']} cores, CPU module {cpu['module']}, "
        f"engine {machine['engine_commit']}; `{command}`\n\n{table}\n"
    )


def record(text: str, file: Path) -> None:
    """Appends a section to a document."""
    with open(file, "a", encoding="utf-8") as stream:
        stream.write(text)


def main() -> None:
    """Draws with the families and prints, and where wanted records, what it took."""
    parser = argparse.ArgumentParser(description="Draws with models of full size and records time and memory.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--quant", default="Q4_K")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--families", nargs="+", choices=synth.FAMILIES, default=FAMILIES, metavar="NAME")
    parser.add_argument("--only", choices=synth.FAMILIES, help=argparse.SUPPRESS)
    parser.add_argument("--files", nargs="+", help=argparse.SUPPRESS)
    parser.add_argument("--steps", type=int, help="(default: the model's own)")
    parser.add_argument("--record", type=Path, metavar="FILE.md", help="append the result to this file")
    options = parser.parse_args()
    if options.only:
        given = dict(file.split("=", 1) for file in options.files)
        print(json.dumps(draw(options.only, given, options.folder, options.quant, options.size, options.steps)))
        return
    options.folder.mkdir(parents=True, exist_ok=True)
    results = []
    for family in options.families:
        files = written(family, options.folder, options.quant)
        results.append(draw_apart(family, files, options.folder, options.quant, options.size, options.steps))
        print(json.dumps(results[-1]), file=sys.stderr, flush=True)  # a long run may be stopped
    command = ["python benchmarks/full_size.py FOLDER", f"--quant {options.quant} --size {options.size}"]
    command += [f"--families {' '.join(options.families)}"] * (options.families is not FAMILIES)
    command += [f"--steps {options.steps}"] * (options.steps is not None)
    text = section(table(results), " ".join(command))
    print(text)
    if options.record:
        record(text, options.record)


if __name__ == "__main__":
    main()
