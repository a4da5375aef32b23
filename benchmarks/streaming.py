"""Times steps of a streamed denoiser with blocks that are read when they are due, in one place, and ahead, in two.

    python benchmarks/streaming.py FOLDER [--blocks 8] [--size 64] [--steps 2] [--rounds 5]
        [--disk 0 400 100] [--record FILE.md]

FOLDER keeps the files: a FLUX.2 Klein of full width and few blocks of random weights. Both ways have the same limit of
memory, the least that has room for two places, and take turns in each round, so that what else the machine does falls
on both. ``--disk`` is how many MiB a second the disk gives at most; 0 is the disk as it is. What the system keeps of
the file in memory is dropped before every picture and after every step. Seconds are medians of the denoiser's steps;
ratios are medians of the rounds' own ratios. The latents must be equal to the last bit.
"""

from __future__ import annotations

import argparse
import os
import statistics
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from full_size import record, section

from sdcpp_py import EncodedPrompt, Generator, Phase, Progress
from sdcpp_py._native.library import ffi, lib
from sdcpp_py.preflight.plan_files import plan_files
from sdcpp_py.synth import ModelShape, write, write_hollow_set
from sdcpp_py.synth.formats import write_gguf
from sdcpp_py.synth.klein import Klein

MIB = 1 << 20


@dataclass(frozen=True)
class Drawing:
    """What the denoiser's steps of one picture took.

    Attributes:
        seconds: of the steps, without loading what stays.
        waited: of these, how long computing waited for blocks.
        latent: the result.
    """

    seconds: float
    waited: float
    latent: np.ndarray


def denoiser(folder: Path, blocks: int, quant: str) -> Path:
    """The file of a Klein with so many blocks, written if it is not there yet."""
    layout = Klein(hidden=3072, double=1, single=blocks - 1, context=3 * 2560)
    model = ModelShape(f"klein-{blocks}-blocks", layout, "flux")
    path = folder / model.file_name(quant)
    if not path.exists():
        write_gguf(path, model, quant, 0, lambda _: None)
        os.sync()
    return path


def drop_cache(path: Path) -> None:
    """Makes the next read of a file come from the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(descriptor)


def read_with(disk: int, *, ahead: bool) -> None:
    """How files are read from now on; ``disk`` in MiB a second."""
    conditions = {"bytes_per_second": disk * MIB, "not_ahead": not ahead}
    lib.sdpy_arrange_reading(ffi.new("sdpy_reading_conditions *", conditions))


def draw(generator: Generator, prompt: EncodedPrompt, path: Path, options: argparse.Namespace) -> Drawing:
    """One picture with a fresh cache of the disk's."""

    def waited() -> float:
        return generator._pipeline.engine.part("diffusion_model").waited

    def drop(progress: Progress) -> None:
        if progress.phase is Phase.DENOISE:
            drop_cache(path)

    drop_cache(path)
    before, size = waited(), options.size
    drawn = generator.generate(
        prompt, width=size, height=size, steps=options.steps, seed=1, return_latent=True, on_progress=drop
    )
    assert drawn.latent is not None
    return Drawing(drawn.timings["denoise"], waited() - before, drawn.latent)


def measured(options: argparse.Namespace) -> dict[tuple[int, bool], list[Drawing]]:
    """The drawings of all rounds, by the disk and by whether blocks were read ahead."""
    path = denoiser(options.folder, options.blocks, options.quant)
    files = {
        "diffusion_model": path,
        "llm": write_hollow_set("klein-4b-short", options.folder / "hollow").text_encoder,
        "vae": write("flux2-vae", options.folder),
    }
    states = np.random.default_rng(0).standard_normal((512, 3 * 2560)).astype(np.float32)
    prompt = EncodedPrompt("random numbers", "flux2-klein", {"crossattn": states})
    size = {"width": options.size, "height": options.size}
    plan = plan_files(files, **size, device="cpu", memory="all")
    need, vae = plan.part("diffusion_model").need, plan.part("vae").need
    limit = max(need.ahead_room + need.working, vae.least_room + vae.working)
    drawings: dict[tuple[int, bool], list[Drawing]] = {}
    with Generator(files["diffusion_model"], files["llm"], files["vae"], device="cpu", memory=limit) as generator:
        print(generator.plan(**size, prompt=prompt), flush=True)
        for number in range(options.rounds):
            for disk in options.disk:
                for ahead in (True, False) if number % 2 else (False, True):
                    read_with(disk, ahead=ahead)
                    drawings.setdefault((disk, ahead), []).append(draw(generator, prompt, path, options))
    first = next(iter(drawings.values()))[0].latent
    assert all(np.array_equal(one.latent, first) for some in drawings.values() for one in some)
    return drawings


def table(drawings: dict[tuple[int, bool], list[Drawing]], disks: list[int]) -> str:
    """A row for each disk."""
    lines = [
        "| disk | one place | of it waiting | two places | of it waiting | ratio of times |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for disk in disks:
        cells = [f"{disk} MiB/s" if disk else "as it is"]
        for ahead in (False, True):
            some = drawings[disk, ahead]
            cells += [
                f"{statistics.median(one.seconds for one in some):.2f} s",
                f"{statistics.median(one.waited for one in some):.2f} s",
            ]
        pairs = zip(drawings[disk, False], drawings[disk, True], strict=True)
        cells.append(f"{statistics.median(two.seconds / one.seconds for one, two in pairs):.2f}")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Prints the table, and records it where wanted."""
    parser = argparse.ArgumentParser(description="Times steps of a streamed denoiser.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--quant", default="Q4_K")
    parser.add_argument("--blocks", type=int, default=8)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--disk", type=int, nargs="+", default=[0, 400, 100], help="MiB a second; 0: as it is")
    parser.add_argument("--record", type=Path, metavar="FILE.md", help="append the result to this file")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    drawings = measured(options)
    counts = f"--blocks {options.blocks} --size {options.size} --steps {options.steps}"
    command = f"python benchmarks/streaming.py FOLDER --quant {options.quant} {counts} --rounds {options.rounds}"
    text = section(table(drawings, options.disk), f"{command} --disk {' '.join(map(str, options.disk))}")
    print(text)
    if options.record is not None:
        record(text, options.record)


if __name__ == "__main__":
    main()
