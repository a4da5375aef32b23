"""Times steps of a denoiser without LoRAs, with one, and with four, in turns.

    python benchmarks/loras.py FOLDER [--size 512] [--rounds 5] [--quant Q4_0] [--blocks 4] [--record FILE.md]

FOLDER keeps the files: a FLUX.2 Klein of full width and few blocks of random weights, and LoRAs in float16 for all
matrices of its blocks. Ways take turns in each round, so that what else the machine does falls on all; ratios are
medians of the rounds' own ratios. Also timed is a change of LoRAs: what a picture of 64x64 in one step takes with other
LoRAs than the picture before it had, less what it takes with the same.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

import numpy as np
from full_size import record, section
from safetensors.numpy import save_file
from streaming import denoiser

from sdcpp_py import EncodedPrompt, Generator
from sdcpp_py.models.detect.headers import read_header
from sdcpp_py.synth import write, write_hollow_set

WAYS = {"none": (0, 0), "one of rank 16": (1, 16), "four of rank 32": (4, 32)}


def lora(folder: Path, model: Path, rank: int, number: int) -> Path:
    """A LoRA for all matrices of the model's blocks."""
    path = folder / f"{model.stem}-lora-{rank}-{number}.safetensors"
    if not path.exists():
        rng = np.random.default_rng(number)
        halves = {}
        for name, tensor in read_header(model).tensors.items():
            if "blocks." in name and name.endswith(".weight") and len(tensor.shape) == 2:
                outputs, inputs = tensor.shape
                layer = f"diffusion_model.{name.removesuffix('.weight')}"
                halves[f"{layer}.lora_A.weight"] = (rng.standard_normal((rank, inputs)) / inputs**0.5).astype("f2")
                halves[f"{layer}.lora_B.weight"] = (rng.standard_normal((outputs, rank)) / 100).astype("f2")
        save_file(halves, path)
    return path


def main() -> None:
    """Prints the table, and records it where wanted."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quant", default="Q4_0")
    parser.add_argument("--blocks", type=int, default=4)
    parser.add_argument("--record", type=Path)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    model = denoiser(options.folder, options.blocks, options.quant)
    encoder, vae = (
        write_hollow_set("klein-4b-short", options.folder / "hollow").text_encoder,
        write("flux2-vae", options.folder),
    )
    loras = {
        way: [lora(options.folder, model, rank, number) for number in range(count)]
        for way, (count, rank) in WAYS.items()
    }
    states = np.random.default_rng(0).standard_normal((512, 3 * 2560)).astype(np.float32)
    prompt = EncodedPrompt("random numbers", "flux2-klein", {"crossattn": states})
    seconds: dict[str, list[float]] = {way: [] for way in WAYS}
    changes: dict[str, list[float]] = {way: [] for way in WAYS}
    with Generator(model, encoder, vae, device="cpu", memory="all") as generator:

        def draw(way: str, size: int) -> tuple[float, float]:
            began = time.perf_counter()
            picture = generator.generate(prompt, width=size, height=size, steps=1, seed=0, loras=loras[way])
            return time.perf_counter() - began, picture.timings["denoise"]

        for _ in range(options.rounds):
            for way in WAYS:
                changed, same = draw(way, 64)[0], draw(way, 64)[0]
                changes[way].append(changed - same)
                seconds[way].append(draw(way, options.size)[1])
    lines = ["| LoRAs | files | step | of the step without | change |", "| --- | --- | --- | --- | --- |"]
    for way, own in seconds.items():
        ratio = statistics.median(one / plain for one, plain in zip(own, seconds["none"], strict=True))
        mib = sum(file.stat().st_size for file in loras[way]) / (1 << 20)
        lines.append(
            f"| {way} | {mib:.0f} MiB | {statistics.median(own):.2f} s | {ratio:.3f} | "
            f"{statistics.median(changes[way]):.2f} s |"
        )
    counts = f"--size {options.size} --rounds {options.rounds} --quant {options.quant} --blocks {options.blocks}"
    text = section("\n".join(lines), f"python benchmarks/loras.py FOLDER {counts}")
    print(text)
    if options.record is not None:
        record(text, options.record)


if __name__ == "__main__":
    main()
