"""Pictures an hour of a batch with one half at work after the other, and with both at once, beside a pretended GPU.

    python benchmarks/both_halves.py [--encode] [--size 256] [--count 12] [--share 0.333] [--repeat 2] [--threads N]

The GPU is pretended: it sleeps for as long as a denoiser would take where what the CPU does for a picture is
``--share`` of the whole, and hands over the latents that the CPU made of the same prompts and seeds before, so that
nothing but the order of the work differs. The CPU decodes each picture; with ``--encode``, each has a prompt of its
own, which the CPU encodes, and a third way has decoding alone beside the GPU. VAE and text encoder are the package's
model's. The pictures of all ways are compared to the byte. What a real GPU takes of the CPU, of the memory's bandwidth
and of the power that both share is not in the figures.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from typing import Any
from unittest import mock

import numpy as np
from numpy.typing import NDArray

from sdcpp_py import GeneratedImage, Generator
from sdcpp_py._native import library
from sdcpp_py._native.engine import Engine, Report, ignore
from sdcpp_py._native.requests import DenoiseRequest, Request
from sdcpp_py.memory.plan import MemoryPlan
from sdcpp_py.memory.planner import Planner
from sdcpp_py.pipeline import pipeline
from sdcpp_py.progress import Phase

GPU = "vulkan0"
REPORTS_SECONDS = 0.05
WAYS = (ONE_AFTER_THE_OTHER, DECODING_ALONE, _) = ("one after the other", "decoding beside", "both at work")
PLANNED = Planner.plan_beside


class SleepingGpu(Engine):
    """An engine whose denoiser computes the latent of a prompt and seed once, and then sleeps.

    Attributes:
        seconds: of sleep for a picture; 0: it computes.
    """

    seconds = 0.0

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._latents: dict[tuple[int, bytes], dict[str, NDArray[Any]]] = {}

    def run(self, request: Request, listen: Callable[[Report], object] = ignore) -> dict[str, NDArray[Any]]:
        """As in ``Engine``."""
        if not isinstance(request, DenoiseRequest):
            return super().run(request, listen)
        picture = request.settings["seed"], sha256(request.text["crossattn"].tobytes()).digest()
        if not self.seconds:
            self._latents[picture] = super().run(request, listen)
            return self._latents[picture]
        begin = time.perf_counter()
        done = 0.0
        while done < 1:
            listen(Report(Phase.DENOISE, done, step=0, steps=1, bytes_done=0, bytes_total=0))
            time.sleep(min(REPORTS_SECONDS, self.seconds))
            done = (time.perf_counter() - begin) / self.seconds
        listen(Report(Phase.DENOISE, 1.0, step=1, steps=1, bytes_done=0, bytes_total=0))
        return self._latents[picture]


def pretend() -> None:
    """Gives this process a GPU that sleeps."""
    [cpu] = [device for device in library.devices() if device.name == "cpu"]
    played = replace(cpu, name=GPU, description="a GPU that sleeps", is_gpu=True)
    library.devices = lambda: [cpu, played]
    pipeline.new_engine = lambda *arguments: SleepingGpu()  # type: ignore[attr-defined]


def without_encoding(planner: Planner, *arguments: Any, encodes: bool) -> MemoryPlan | None:
    """The plan where prompts are encoded before the first picture."""
    return PLANNED(planner, *arguments, encodes=False)


def batch(generator: Generator, options: argparse.Namespace, overlap: bool) -> tuple[float, list[GeneratedImage]]:
    """Seconds of one batch, and its pictures."""
    prompts = [f"a red circle, {number} of many" for number in range(options.count)]
    begin = time.perf_counter()
    drawn = generator.generate_batch(
        prompts if options.encode else prompts[:1],
        width=options.size, height=options.size, steps=1, seed=1, count=1 if options.encode else options.count,
        overlap=overlap,
    )  # fmt: skip
    return time.perf_counter() - begin, drawn


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description="Times batches beside a pretended GPU that sleeps.")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--count", type=int, default=12)
    parser.add_argument("--share", type=float, default=1 / 3, help="of the CPU's work in a picture")
    parser.add_argument("--encode", action="store_true", help="each picture has a prompt of its own")
    parser.add_argument("--repeat", type=int, default=2)
    parser.add_argument("--threads", type=int)
    options = parser.parse_args()
    pretend()
    places = {"text_encoder": "cpu", "diffusion_model": GPU, "vae": "cpu"}
    with Generator.from_pretrained(
        "tiny", device=places, threads=options.threads, isolation="thread", self_test="off", cache_prompts=False
    ) as generator:
        batch(generator, options, overlap=False)  # makes the latents, and warms up
        _, drawn = batch(generator, options, overlap=False)
        decode = float(np.median([one.timings["decode"] for one in drawn]))
        encode = sum(one.timings["encode"] for one in drawn) / options.count if options.encode else 0.0
        SleepingGpu.seconds = (encode + decode) * (1 - options.share) / options.share
        ways = [way for way in WAYS if options.encode or way != DECODING_ALONE]
        found: dict[str, list[float]] = {way: [] for way in ways}
        for _ in range(options.repeat):
            for way in ways:
                with mock.patch.object(Planner, "plan_beside", without_encoding if way == DECODING_ALONE else PLANNED):
                    seconds, pictures = batch(generator, options, overlap=way != ONE_AFTER_THE_OTHER)
                found[way].append(seconds)
                if [one.image.tobytes() for one in pictures] != [one.image.tobytes() for one in drawn]:
                    raise SystemExit("the pictures differ")
    work = (
        f"encoded in {encode:.2f} s and decoded in {decode:.2f} s" if options.encode else f"decoded in {decode:.2f} s"
    )
    print(f"{options.count} pictures of {options.size}x{options.size}, {work} by the CPU, "
          f"denoised in {SleepingGpu.seconds:.2f} s by a GPU that sleeps")  # fmt: skip
    hourly = {way: 3600 * options.count / min(seconds) for way, seconds in found.items()}
    for way, pictures_an_hour in hourly.items():
        times = pictures_an_hour / hourly[ONE_AFTER_THE_OTHER]
        print(f"{way:<19} {pictures_an_hour:7.0f} pictures an hour, {times:.2f} times as many")


if __name__ == "__main__":
    main()
