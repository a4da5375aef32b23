"""``sdcpp-py plan`` and ``sdcpp-py fit``."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from typing import Any

from sdcpp_py.cli.opening import device_choice, files_given, refuse_with_files, sizes_of
from sdcpp_py.errors import SettingsError
from sdcpp_py.memory.plan import MemoryPlan, Stay
from sdcpp_py.models.bundled import TINY
from sdcpp_py.models.files import check_files
from sdcpp_py.preflight.named_files import files_named
from sdcpp_py.preflight.plan_files import Fit, fits, plan_files
from sdcpp_py.system.byte_sizes import format_bytes

MODELS = (
    "flux2-klein-4b", "z-image-turbo", "flux2-klein-9b", "flux1-schnell", "flux1-dev", "chroma", "sd3.5-medium",
    "qwen-image",
)  # fmt: skip
QUANTS = ("Q2_K", "Q3_K", "Q4_0", "Q4_K", "Q5_K", "Q6_K", "Q8_0", "BF16")
_PARTS = {"text_encoder": "encoder", "diffusion_model": "denoiser", "vae": "VAE"}


def run_plan(options: argparse.Namespace) -> None:
    """Prints what is in memory when. Raises SdcppError."""
    given = files_given(options)
    wishes = {
        "memory": options.memory,
        "device": device_choice(options.device),
        "threads": options.threads,
        "vae_tile_size": options.vae_tile_size or 0,
    }
    if options.prompt is not None:
        wishes["prompt"] = options.prompt
    width, height = _size(options.size) if options.size else (None, None)
    if given:
        refuse_with_files(options, "name", "quant")
        plan = plan_files(check_files(**given), width=width, height=height, **wishes)
    else:
        with files_named(options.name or TINY, options.quant, hollow=True, hub_cache=options.hub_cache) as found:
            plan = plan_files(found.files, width=width, height=height, **wishes)
    print(json.dumps(_plain(plan), indent=2) if options.json else plan)


def run_fit(options: argparse.Namespace) -> None:
    """Prints which models fit, and how. Raises SdcppError."""
    sizes = sizes_of(options.sizes)
    found = fits(
        options.names or MODELS,
        QUANTS,
        sizes=sizes,
        memory=options.memory,
        device=device_choice(options.device),
        hub_cache=options.hub_cache,
    )
    if options.json:
        plain = [
            {"model": fit.model, "quant": fit.quant, "plans": [_plain(plan) for plan in fit.plans]} for fit in found
        ]
        print(json.dumps(plain, indent=2))
        return
    print(f"{'model':<15} {'weights':<8}" + "".join(f"  {f'{size}x{size}':<44}" for size in sizes))
    for fit in found:
        print(_row(fit), flush=True)


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.lower().partition("x")
    if not width.isdecimal() or not (height or width).isdecimal():
        raise SettingsError(f"--size is {text!r}; give pixels, as in 512x768")
    return int(width), int(height or width)


def _row(fit: Fit) -> str:
    return f"{fit.model:<15} {fit.quant:<8}" + "".join(f"  {_how(plan):<44}" for plan in fit.plans)


def _how(plan: MemoryPlan) -> str:
    if not plan.fits:
        needs = ", ".join(format_bytes(plan.least(device)) for device in plan.devices)
        return f"no: needs {needs}"
    peak = ", ".join(format_bytes(plan.peak(device)) for device in plan.devices)
    if all(part.stay is Stay.RESIDENT for part in plan.parts):
        return f"{peak}, all resident"
    moving = [f"{_PARTS[part.need.name]} {part.stay.value}" for part in plan.parts if part.stay is not Stay.RESIDENT]
    return f"{peak}, {', '.join(moving)}"


def _plain(plan: MemoryPlan) -> dict[str, Any]:
    plain = asdict(plan)
    for part, values in zip(plan.parts, plain["parts"], strict=True):
        values["stay"] = part.stay.name.lower()
        values["in_phase"] = {device: plan.in_phase(part.need.name, device) for device in plan.devices}
    plain["peaks"] = {device: plan.peak(device) for device in plan.devices}
    plain["least"] = {device: plan.least(device) for device in plan.devices}
    return plain
