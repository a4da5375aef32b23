"""What pictures take of memory, against what was planned, and beside the engine's own program.

    python benchmarks/memory.py FOLDER predictions [--record docs/measurements.md]
    python benchmarks/memory.py FOLDER least [--size 512] [--steps 4] [--record docs/measurements.md]
    python benchmarks/memory.py FOLDER shared [--record docs/measurements.md]

FOLDER keeps the model files (random weights of the true size) and the build of the program. Every figure is of a
process of its own.

``predictions``: models, sizes, quantizations and limits; of each, the planned and the measured peak. ``least``: the
engine's program, and Klein with all its weights in memory and with less and less of it. ``shared``: Klein and
Z-Image-Turbo with one text encoder, and what a second picture and a change of model take.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from full_size import PROMPT, SEED, record, section, written
from upstream import build, draw_upstream

from sdcpp_py import Generator, Phase, Progress, TextEncoder
from sdcpp_py.models.files import arguments_of
from sdcpp_py.preflight.plan_files import plan_files
from sdcpp_py.synth import SyntheticSet
from sdcpp_py.system.byte_sizes import format_bytes
from sdcpp_py.system.ram import resident_bytes

Job = dict[str, Any]

PREDICTIONS: list[Job] = [
    *({"family": "klein-4b", "quant": "Q4_K", "size": size, "memory": "all"} for size in (256, 512, 768)),
    *(
        {"family": "klein-4b", "quant": "Q4_K", "size": 512, "memory": memory}
        for memory in ("4GiB", "2.5GiB", "1.5GiB")
    ),
    {"family": "klein-4b", "quant": "Q4_K", "size": 768, "memory": "all", "tile": 256},
    {"family": "klein-4b", "quant": "Q8_0", "size": 256, "memory": "all"},
    {"family": "klein-4b", "quant": "Q8_0", "size": 512, "memory": "4GiB"},
    *({"family": "z-image-turbo", "quant": "Q4_K", "size": size, "memory": "all"} for size in (256, 512)),
    *({"family": "z-image-turbo", "quant": "Q4_K", "size": 512, "memory": memory} for memory in ("3GiB", "2GiB")),
]


def draw(job: Job) -> Job:
    """Draws in this process: seconds by phase, and bytes that were planned and were taken."""
    size, tile, memory = job["size"], job.get("tile", 0), job["memory"]
    plan = plan_files(
        job["files"], width=size, height=size, memory=memory, device="cpu", prompt=PROMPT, vae_tile_size=tile
    )
    # What Python and the libraries take, before any weight is there.
    planned = resident_bytes() + plan.peak("cpu")
    begin = time.perf_counter()
    with Generator(**arguments_of(job["files"]), memory=memory, device="cpu") as generator:
        loaded = time.perf_counter() - begin
        steps = job.get("steps", 1)
        picture = generator.generate(PROMPT, seed=SEED, steps=steps, width=size, height=size, vae_tile_size=tile)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    times = {"opened": loaded, "picture": sum(picture.timings.values()), **picture.timings}
    return {"planned": planned, "peak": peak, "plan": str(plan), "times": times}


def both(job: Job) -> Job:
    """Klein and Z-Image-Turbo open at once; a second picture of one prompt; closing one and opening it again."""
    klein, z_image = job["sets"]
    before = resident_bytes()
    with TextEncoder(klein["llm"]) as encoder:
        generators = [
            Generator(files["diffusion_model"], encoder, files["vae"], device="cpu", memory="all")
            for files in (klein, z_image)
        ]
        weights = [generator.weight_bytes for generator in generators]
        taken = resident_bytes() - before
        pictures = [generators[0].generate(PROMPT, seed=seed, steps=1, width=256, height=256) for seed in (1, 2)]
        times = [picture.timings["encode"] for picture in pictures]
        generators[0].close()
        loads: list[Progress] = []
        begin = time.perf_counter()
        with Generator(
            klein["diffusion_model"], encoder, klein["vae"], device="cpu", memory="all", on_progress=loads.append
        ):
            reopened = time.perf_counter() - begin
        generators[1].close()
    shares = sum(weights[0][part] + weights[1][part] for part in ("diffusion_model", "vae"))
    one = shares + max(each["text_encoder"] for each in weights)
    read = max(progress.bytes_total for progress in loads if progress.phase is Phase.LOAD)
    return {"taken": taken, "expected": one, "encodes": times, "reopened": reopened, "read": read}


def apart(job: Job, do: str) -> Job:
    """The same in a process of its own, so that its memory is counted alone."""
    command = [sys.executable, __file__, ".", do, "--job", json.dumps(job)]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    result: Job = json.loads(output.splitlines()[-1])
    return result


def predictions(folder: Path) -> str:
    """The table of planned and measured peaks."""
    lines = ["| model | size | limit | planned | measured | off by |", "| --- | --- | --- | --- | --- | --- |"]
    for job in PREDICTIONS:
        result = apart({**job, "files": _files(written(job["family"], folder, job["quant"]))}, "draw")
        tiles = f", tiles of {job['tile']}" if "tile" in job else ""
        lines.append(
            f"| {job['family']} {job['quant']} | {job['size']}x{job['size']}{tiles} | {job['memory']} "
            f"| {format_bytes(result['planned'])} | {format_bytes(result['peak'])} "
            f"| {result['planned'] / result['peak'] - 1:+.1%} |"
        )
        print(lines[-1], flush=True)
    return "\n".join(lines)


def least(folder: Path, size: int, steps: int) -> str:
    """The table of Klein in less and less memory, the engine's program first."""
    files = written("klein-4b", folder, "Q4_K")
    # Its steps are slow, and take the same memory each.
    theirs = draw_upstream(build(folder, "best"), files, folder, size, 1)
    picture = theirs["encode"] + steps * theirs["step"] + theirs["decode"]
    lines = ["| who | limit | peak memory | load | picture | with loading |", "| --- | --- | --- | --- | --- | --- |"]
    lines.append(f"| upstream | | {format_bytes(theirs['peak'])} | | {picture:.1f} s | |")
    for memory in ("all", "2.7GiB", "1.2GiB"):
        result = apart({"files": _files(files), "size": size, "steps": steps, "memory": memory}, "draw")
        times = result["times"]
        drawing = sum(times[phase] for phase in ("encode", "denoise", "decode"))
        loading = times["opened"] + times.get("load", 0)
        lines.append(
            f"| here | {memory} | {format_bytes(result['peak'])} | {loading:.1f} s | {drawing:.1f} s "
            f"| {loading + drawing:.1f} s |"
        )
        print(lines[-1], flush=True)
    return "\n".join(lines)


def shared(folder: Path) -> str:
    """What two models take together, a second picture, and a change of model."""
    sets = [_files(written(family, folder, "Q4_K")) for family in ("klein-4b", "z-image-turbo")]
    result = apart({"sets": sets}, "both")
    first, second = result["encodes"]
    return "\n".join(
        [
            "| | |",
            "| --- | --- |",
            f"| denoisers, VAEs and one text encoder | {format_bytes(result['expected'])} |",
            f"| memory with both open | {format_bytes(result['taken'])} |",
            f"| encoding, first and second picture of a prompt | {first:.1f} s, {second:.3f} s |",
            f"| closing Klein and opening it again | {result['reopened']:.1f} s, {format_bytes(result['read'])} read |",
        ]
    )


def _files(files: SyntheticSet) -> dict[str, str]:
    return {role: str(path) for role, path in files.files.items()}


def main() -> None:
    """Does one of the measurements, prints it, and where wanted records it."""
    parser = argparse.ArgumentParser(description="Measures the memory that pictures take.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("what", choices=["predictions", "least", "shared", "draw", "both"])
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--job", type=json.loads, help=argparse.SUPPRESS)
    parser.add_argument("--record", type=Path, metavar="FILE.md", help="append the result to this file")
    options = parser.parse_args()
    if options.job:
        print(json.dumps({"draw": draw, "both": both}[options.what](options.job)))
        return
    options.folder.mkdir(parents=True, exist_ok=True)
    command = f"python benchmarks/memory.py FOLDER {options.what}"
    if options.what == "predictions":
        table = predictions(options.folder)
    elif options.what == "least":
        table = least(options.folder, options.size, options.steps)
        command += f" --size {options.size} --steps {options.steps}"
    else:
        table = shared(options.folder)
    text = section(table, command)
    print(text)
    if options.record:
        record(text, options.record)


if __name__ == "__main__":
    main()
