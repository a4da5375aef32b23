"""Writes tests/data/sigmas.json: the noise levels that diffusers' own pipelines visit.

Run `python tests/reference/write_sigmas.py` after a change of the diffusers version in requirements.txt.
"""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path
from types import ModuleType

import diffusers
import numpy as np
from diffusers import FlowMatchEulerDiscreteScheduler
from diffusers.pipelines.flux import pipeline_flux
from diffusers.pipelines.flux2 import pipeline_flux2_klein
from diffusers.pipelines.qwenimage import pipeline_qwenimage
from diffusers.pipelines.stable_diffusion_3 import pipeline_stable_diffusion_3
from diffusers.pipelines.z_image import pipeline_z_image

SIGMAS_FILE = Path(__file__).parent.parent / "data" / "sigmas.json"
STEPS = (1, 2, 3, 4, 5, 8, 9, 12, 20, 28, 50)
SIZES = (
    (64, 64), (128, 128), (256, 256), (512, 512), (512, 768), (768, 512), (1024, 1024), (1536, 1024), (2048, 2048),
)  # fmt: skip


def klein_scheduler() -> FlowMatchEulerDiscreteScheduler:
    """The scheduler that FLUX.2 Klein ships: its shift depends on the picture's size and the number of steps."""
    return FlowMatchEulerDiscreteScheduler(
        num_train_timesteps=1000,
        shift=3.0,
        use_dynamic_shifting=True,
        base_shift=0.5,
        max_shift=1.15,
        base_image_seq_len=256,
        max_image_seq_len=4096,
        time_shift_type="exponential",
    )


def z_image_scheduler() -> FlowMatchEulerDiscreteScheduler:
    """The scheduler that Z-Image-Turbo ships: one shift for every size."""
    return FlowMatchEulerDiscreteScheduler(num_train_timesteps=1000, shift=3.0, use_dynamic_shifting=False)


def flux1_scheduler() -> FlowMatchEulerDiscreteScheduler:
    """The scheduler that FLUX.1 dev ships: its shift depends on the picture's size."""
    return FlowMatchEulerDiscreteScheduler(
        num_train_timesteps=1000,
        shift=3.0,
        use_dynamic_shifting=True,
        base_shift=0.5,
        max_shift=1.15,
        base_image_seq_len=256,
        max_image_seq_len=4096,
    )


def schnell_scheduler() -> FlowMatchEulerDiscreteScheduler:
    """The scheduler that FLUX.1 schnell ships: without any shift."""
    return FlowMatchEulerDiscreteScheduler(
        num_train_timesteps=1000,
        shift=1.0,
        use_dynamic_shifting=False,
        base_shift=0.5,
        max_shift=1.15,
        base_image_seq_len=256,
        max_image_seq_len=4096,
    )


def sd3_scheduler() -> FlowMatchEulerDiscreteScheduler:
    """The scheduler that Stable Diffusion 3 and 3.5 ship: one shift for every size."""
    return FlowMatchEulerDiscreteScheduler(num_train_timesteps=1000, shift=3.0)


def qwen_image_scheduler() -> FlowMatchEulerDiscreteScheduler:
    """The scheduler that Qwen-Image ships: shifted by the size, and stretched to end at 0.02."""
    return FlowMatchEulerDiscreteScheduler(
        num_train_timesteps=1000,
        shift=1.0,
        shift_terminal=0.02,
        use_dynamic_shifting=True,
        base_shift=0.5,
        max_shift=0.9,
        base_image_seq_len=256,
        max_image_seq_len=8192,
        time_shift_type="exponential",
    )


def klein_sigmas(steps: int, width: int, height: int) -> list[float]:
    """What Flux2KleinPipeline asks of its scheduler, and gets."""
    scheduler = klein_scheduler()
    tokens = (width // 16) * (height // 16)
    pipeline_flux2_klein.retrieve_timesteps(
        scheduler,
        steps,
        "cpu",
        sigmas=np.linspace(1.0, 1 / steps, steps),
        mu=pipeline_flux2_klein.compute_empirical_mu(image_seq_len=tokens, num_steps=steps),
    )
    return as_numbers(scheduler)


def z_image_sigmas(steps: int, width: int, height: int) -> list[float]:
    """What ZImagePipeline asks of its scheduler, and gets."""
    scheduler = z_image_scheduler()
    config = scheduler.config
    tokens = (width // 16) * (height // 16)
    mu = pipeline_z_image.calculate_shift(
        tokens, config.base_image_seq_len, config.max_image_seq_len, config.base_shift, config.max_shift
    )
    pipeline_z_image.retrieve_timesteps(
        scheduler, steps, "cpu", sigmas=pipeline_z_image.get_default_z_image_sigmas(steps), mu=mu
    )
    return as_numbers(scheduler)


def shifted_by_size(
    scheduler: FlowMatchEulerDiscreteScheduler, pipeline: ModuleType, steps: int, width: int, height: int
) -> list[float]:
    """What FluxPipeline and QwenImagePipeline ask of a scheduler, and get: both in the same words."""
    config = scheduler.config
    mu = pipeline.calculate_shift(
        (width // 16) * (height // 16),
        config.base_image_seq_len,
        config.max_image_seq_len,
        config.base_shift,
        config.max_shift,
    )
    pipeline.retrieve_timesteps(scheduler, steps, "cpu", sigmas=np.linspace(1.0, 1 / steps, steps), mu=mu)
    return as_numbers(scheduler)


def flux1_sigmas(steps: int, width: int, height: int) -> list[float]:
    """What FluxPipeline gets of dev's scheduler."""
    return shifted_by_size(flux1_scheduler(), pipeline_flux, steps, width, height)


def schnell_sigmas(steps: int, width: int, height: int) -> list[float]:
    """What FluxPipeline gets of schnell's scheduler."""
    return shifted_by_size(schnell_scheduler(), pipeline_flux, steps, width, height)


def qwen_image_sigmas(steps: int, width: int, height: int) -> list[float]:
    """What QwenImagePipeline gets of its scheduler."""
    return shifted_by_size(qwen_image_scheduler(), pipeline_qwenimage, steps, width, height)


def sd3_sigmas(steps: int, width: int, height: int) -> list[float]:
    """What StableDiffusion3Pipeline asks of its scheduler, and gets: it leaves the whole schedule to it."""
    del width, height
    scheduler = sd3_scheduler()
    pipeline_stable_diffusion_3.retrieve_timesteps(scheduler, steps, "cpu", sigmas=None)
    return as_numbers(scheduler)


def as_numbers(scheduler: FlowMatchEulerDiscreteScheduler) -> list[float]:
    """The scheduler's sigmas in as few digits as give the same float32 back."""
    return [float(str(sigma)) for sigma in scheduler.sigmas.numpy()]


SCHEDULES = {
    "klein": klein_sigmas,
    "z-image": z_image_sigmas,
    "flux1": flux1_sigmas,
    "flux1-schnell": schnell_sigmas,
    "sd3": sd3_sigmas,
    "qwen-image": qwen_image_sigmas,
}


def reference_sigmas() -> dict[str, object]:
    """The whole content of sigmas.json."""
    content: dict[str, object] = {"made_with": {"diffusers": diffusers.__version__}}
    for family, sigmas in SCHEDULES.items():
        with np.errstate(divide="ignore", invalid="ignore"):
            cases = [(steps, *size, sigmas(steps, *size)) for steps, size in product(STEPS, SIZES)]
        content[family] = [
            {"steps": steps, "width": width, "height": height, "sigmas": values}
            for steps, width, height, values in cases
            if np.isfinite(values).all()  # stretching a single step divides by zero: none draws Qwen-Image in one
        ]
    return content


def as_text(content: dict[str, object]) -> str:
    """JSON with one schedule a line, so that a change of one is a change of one line."""
    sections = []
    for name, value in content.items():
        if isinstance(value, list):
            lines = ",\n".join(f"    {json.dumps(entry)}" for entry in value)
            sections.append(f"  {json.dumps(name)}: [\n{lines}\n  ]")
        else:
            sections.append(f"  {json.dumps(name)}: {json.dumps(value)}")
    return "{\n" + ",\n".join(sections) + "\n}\n"


if __name__ == "__main__":
    SIGMAS_FILE.write_text(as_text(reference_sigmas()), encoding="utf-8")
