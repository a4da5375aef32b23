"""Pictures an hour of a batch with one half at work after the other, and with both at once, beside a pretended GPU.

    python benchmarks/both_halves.py [--size 256] [--count 12] [--share 0.333] [--repeat 2] [--threads N]

The GPU is pretended: it sleeps for as long as a denoiser would take of which decoding is ``--share`` of the whole, and
hands over the latents that the CPU made of the same seeds before, so that nothing but the order of the work differs.
The VAE is the package's model's, and computes on the CPU. The pictures of both ways are compared to the byte. What a
real GPU takes of the CPU, of the memory's bandwidth and of the power that both share is not in the figures.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sdcpp_py import GeneratedImage, Generator
from sdcpp_py._native import library
from sdcpp_py._native.engine import Engine, Report, ignore
from sdcpp_py._native.requests import DenoiseRequest, Request
from sdcpp_py.pipeline import pipeline
from sdcpp_py.progress import Phase

GPU = "vulkan0"
REPORTS_SECONDS = 0.05


class SleepingGpu(Engine):
    """An engine whose denoiser computes a seed's latent once, and then sleeps.

    Attributes:
        seconds: of sleep for a picture; 0: it computes.
    """

    seconds = 0.0

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._latents: dict[int, dict[str, NDArray[Any]]] = {}

    def run(self, request: Request, listen: Callable[[Report], object] = ignore) -> dict[str, NDArray[Any]]:
        """As in ``Engine``."""
        if not isinstance(request, DenoiseRequest):
            return super().run(request, listen)
        seed = request.settings["seed"]
        if not self.seconds:
            self._latents[seed] = super().run(request, listen)
            return self._latents[seed]
        begin = time.perf_counter()
        done = 0.0
        while done < 1:
            listen(Report(Phase.DENOISE, done, step=0, steps=1, bytes_done=0, bytes_total=0))
            time.sleep(min(REPORTS_SECONDS, self.seconds))
            done = (time.perf_counter() - begin) / self.seconds
        listen(Report(Phase.DENOISE, 1.0, step=1, steps=1, bytes_done=0, bytes_total=0))
        return self._latents[seed]


def pretend() -> None:
    """Gives this process a GPU that sleeps."""
    [cpu] = [device for device in library.devices() if device.name == "cpu"]
    played = replace(cpu, name=GPU, description="a GPU that sleeps", is_gpu=True)
    library.devices = lambda: [cpu, played]
    pipeline.new_engine = lambda *arguments: SleepingGpu()  # type: ignore[attr-defined]


def batch(generator: Generator, options: argparse.Namespace, overlap: bool) -> tuple[float, list[GeneratedImage]]:
    """Seconds of one batch, and its pictures."""
    begin = time.perf_counter()
    drawn = generator.generate_batch(
        "a red circle", width=options.size, height=options.size, steps=1, seed=1, count=options.count, overlap=overlap
    )
    return time.perf_counter() - begin, drawn


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description="Times batches beside a pretended GPU that sleeps.")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--count", type=int, default=12)
    parser.add_argument("--share", type=float, default=1 / 3, help="of decoding in a picture")
    parser.add_argument("--repeat", type=int, default=2)
    parser.add_argument("--threads", type=int)
    options = parser.parse_args()
    pretend()
    places = {"text_encoder": "cpu", "diffusion_model": GPU, "vae": "cpu"}
    with Generator.from_pretrained(
        "tiny", device=places, threads=options.threads, isolation="thread", self_test="off"
    ) as generator:
        batch(generator, options, overlap=False)  # makes the latents, and warms up
        _, drawn = batch(generator, options, overlap=False)
        decode = float(np.median([one.timings["decode"] for one in drawn]))
        SleepingGpu.seconds = decode * (1 - options.share) / options.share
        found: dict[bool, list[float]] = {False: [], True: []}
        for _ in range(options.repeat):
            for overlap in found:
                seconds, pictures = batch(generator, options, overlap)
                found[overlap].append(seconds)
                if [one.image.tobytes() for one in pictures] != [one.image.tobytes() for one in drawn]:
                    raise SystemExit("the pictures differ")
    print(f"{options.count} pictures of {options.size}x{options.size}, decoded in {decode:.2f} s by the CPU, "
          f"denoised in {SleepingGpu.seconds:.2f} s by a GPU that sleeps")  # fmt: skip
    hourly = {overlap: 3600 * options.count / min(seconds) for overlap, seconds in found.items()}
    print(f"one after the other {hourly[False]:7.0f} pictures an hour")
    print(f"both at work        {hourly[True]:7.0f} pictures an hour, {hourly[True] / hourly[False]:.2f} times as many")


if __name__ == "__main__":
    main()
