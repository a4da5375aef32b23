"""Draws on a GPU with less memory than the model needs, and counts the bytes. Runs inside the Debian 13 root as well.

limited.py DEVICE FAMILY FOLDER VAE_DEVICE SIZE[:STEPS]...

FAMILY is one of ``sdcpp_py.synth.FAMILIES``; FOLDER keeps its denoiser and VAE of random weights. The text encoder is
not needed: states of random numbers are drawn from. Each size is drawn without a limit, with one that makes parts come
for their phase, and with the least. The latents must be equal to the last bit, and what is allocated on the device must
never be more than the limit. How long a submission takes is said and not judged: a driver that computes on the CPU
compiles in the middle of one, and waits for other programs. tests/vulkan/test_wall.py judges the work in it.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from sdcpp_py import EncodedPrompt, Generator, MemoryPlan
from sdcpp_py._native.library import device_usage
from sdcpp_py.models.files import arguments_of
from sdcpp_py.preflight.plan_files import plan_files
from sdcpp_py.synth import FAMILIES, write, write_hollow_set

OFF_BY = 0.07


def random_prompt(family: str, width: int, tokens: int) -> EncodedPrompt:
    """States that no text encoder made, of the size that they have."""
    states = np.random.default_rng(0).standard_normal((tokens, width)).astype(np.float32)
    return EncodedPrompt("random numbers", family, {"crossattn": states})


def limits_of(plan: MemoryPlan, device: str) -> list[tuple[str, int | str]]:
    """Limits to draw with, by what they make happen."""
    need = plan.part("diffusion_model").need
    whole = need.weights + need.working
    least = max(part.need.least_room + part.need.working for part in plan.parts if part.need.device == device)
    return [("no limit", "all"), ("one part at a time", max(whole, least)), ("the least", least)]


def draw(device: str, family: str, folder: Path, vae_device: str, size: int, steps: int) -> None:
    """Draws one size with each limit, and ends with an error where something is not as it should be."""
    folder.mkdir(parents=True, exist_ok=True)
    hollow = write_hollow_set(family, folder / "hollow")
    denoiser, vae = (write(FAMILIES[family][role], folder) for role in ("diffusion_model", "vae"))
    files = {"diffusion_model": denoiser, "llm": hollow.text_encoder, "vae": vae}
    devices = {"text_encoder": "cpu", "diffusion_model": device, "vae": vae_device}
    plan = plan_files(files, width=size, height=size, device=devices, memory="all")
    expected = None
    for name, limit in limits_of(plan, device):
        device_usage(device, reset=True)
        memory = limit if isinstance(limit, str) else {device: limit}
        with Generator(**arguments_of(files), device=devices, memory=memory) as generator:
            prompt = random_prompt(generator.family.name, generator.files.context_width, 512)
            drawn = generator.generate(prompt, width=size, height=size, steps=steps, seed=1, return_latent=True)
            assert drawn.latent is not None
            usage = generator._pipeline.engine.usage(device)  # of the process that computes
            made = generator.plan(width=size, height=size)
        stays = ", ".join(f"{part.need.name} {part.stay.value}" for part in made.parts)
        times = ", ".join(f"{phase} {seconds:.1f} s" for phase, seconds in drawn.timings.items() if seconds)
        of = limit if isinstance(limit, str) else f"{limit >> 20} MiB"
        print(
            f"{family} {size}x{size}, {name} ({of}): {usage.most_bytes >> 20} MiB on {device}, "
            f"{made.peak(device) >> 20} MiB planned; longest submission {usage.longest_submission * 1000:.0f} ms; "
            f"{times}; {stays}",
            flush=True,
        )
        if not isinstance(limit, str) and usage.most_bytes > limit:
            sys.exit(f"{usage.most_bytes} bytes were allocated on {device}, and the limit was {limit}")
        if abs(made.peak(device) - usage.most_bytes) > OFF_BY * usage.most_bytes:
            sys.exit(f"{made.peak(device)} bytes were planned for {device}, and {usage.most_bytes} were allocated")
        if expected is not None and not np.array_equal(drawn.latent, expected):
            sys.exit("the latent differs from the one that was drawn without a limit")
        expected = drawn.latent


if __name__ == "__main__":
    for wanted in sys.argv[5:]:
        edge, _, count = wanted.partition(":")
        draw(sys.argv[1], sys.argv[2], Path(sys.argv[3]), sys.argv[4], int(edge), int(count or 2))
