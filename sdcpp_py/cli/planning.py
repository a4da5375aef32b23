"""``sdcpp-py plan`` and ``sdcpp-py fit``."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from typing import Any

from sdcpp_py.cli.opening import (
    device_choice,
    files_given,
    name_asked_for,
    names_a_path,
    refuse_with_files,
    size_asked_for,
    sizes_of,
)
from sdcpp_py.cli.screen import Column, on_terminal, show_heading, show_table, show_text
from sdcpp_py.memory.plan import MemoryPlan, Stay
from sdcpp_py.models.bundled import TINY
from sdcpp_py.models.catalogue import open_catalogue
from sdcpp_py.models.downloads import Places
from sdcpp_py.models.files import check_files
from sdcpp_py.pipeline.options import PipelineOptions
from sdcpp_py.preflight.fits import best_first, choices, fits_of
from sdcpp_py.preflight.named_files import files_named
from sdcpp_py.preflight.plan_files import plan_files
from sdcpp_py.system.byte_sizes import format_bytes

_PARTS = {"text_encoder": "encoder", "diffusion_model": "denoiser", "vae": "VAE"}


def run_plan(options: argparse.Namespace) -> None:
    """Prints what is in memory when. Raises SdcppError."""
    given, name = files_given(options), name_asked_for(options)
    if name is not None and names_a_path(name, options.models_dir):
        given["model"], name = name, None
    wishes = {
        "memory": options.memory,
        "device": device_choice(options.device),
        "threads": options.threads,
        "precision": options.precision,
        "isolation": options.isolation,
        "self_test": options.self_test,
        "vae_tile_size": options.vae_tile_size or 0,
    }
    if options.prompt is not None:
        wishes["prompt"] = options.prompt
    width, height = size_asked_for(options)
    if given:
        if name is not None:
            refuse_with_files(options, "name", "model")
        refuse_with_files(options, "quant")
        plan = plan_files(check_files(**given), width=width, height=height, **wishes)
    else:
        places = Places.of(options.hub_cache, options.models_dir)
        with files_named(name or TINY, options.quant, hollow=True, places=places) as found:
            plan = plan_files(found.files, width=width, height=height, **wishes)
    if options.json:
        print(json.dumps(plain_plan(plan), indent=2))
    elif on_terminal(sys.stdout):
        _show_plan(plan)
    else:
        print(plan)


def run_fit(options: argparse.Namespace) -> None:
    """Prints which models fit, and how: the best first. Raises SdcppError."""
    sizes, device = sizes_of(options.sizes), device_choice(options.device)
    limit = PipelineOptions.of(device, options.memory, None).limit
    wanted = choices(options.names, open_catalogue(), every=options.all, limit=limit)
    places = Places.of(options.hub_cache, options.models_dir)
    fits = fits_of(wanted, sizes=sizes, memory=options.memory, device=device, places=places)
    found = best_first(fits, places)
    if options.json:
        plain = [
            {"model": fit.model, "quant": fit.quant, "plans": [plain_plan(plan) for plan in fit.plans]} for fit in found
        ]
        print(json.dumps(plain, indent=2))
        return
    columns = (
        Column("model", style="cyan", least=32),
        *(Column(f"{size}x{size}", folds=True, least=44) for size in sizes),
    )
    show_table(
        columns, [(f"{fit.model}:{fit.quant}" if fit.quant else fit.model, *map(_how, fit.plans)) for fit in found]
    )


def _show_plan(plan: MemoryPlan) -> None:
    """The plan's own text, with its rows as a table."""
    show_heading(plan.title())
    columns = [
        Column("part", style="cyan"),
        Column("device"),
        Column("weights", right=True),
        Column("buffer", right=True),
        *(Column(head, right=True, style="bold") for head in plan.held_in()),
        Column("", folds=True),
    ]
    show_table(columns, plan.rows())
    for line in plan.sums():
        show_text(line)


def _how(plan: MemoryPlan) -> str:
    if not plan.fits:
        needs = ", ".join(format_bytes(plan.least(devices)) for devices in plan.memories)
        return f"no: needs {needs}"
    peak = ", ".join(format_bytes(plan.peak(devices)) for devices in plan.memories)
    if all(part.stay is Stay.RESIDENT for part in plan.parts):
        return f"{peak}, all resident"
    moving = [f"{_PARTS[part.need.name]} {part.stay.value}" for part in plan.parts if part.stay is not Stay.RESIDENT]
    return f"{peak}, {', '.join(moving)}"


def plain_plan(plan: MemoryPlan) -> dict[str, Any]:
    """A plan as plain values, ready for JSON."""
    plain = asdict(plan)
    del plain["beside"]  # what is shown are plans of one picture
    for part, values in zip(plan.parts, plain["parts"], strict=True):
        values["stay"] = part.stay.name.lower()
        values["reads_ahead"] = part.reads_ahead
        values["in_phase"] = {device: plan.in_phase(part.need.name, device) for device in plan.devices}
    plain["peaks"] = {device: plan.peak(device) for device in plan.devices}
    plain["least"] = {device: plan.least(device) for device in plan.devices}
    if plan.pool is not None:
        shared = plan.pool.devices
        plain["pool"] |= {"peak": plan.peak(shared), "least": plan.least(shared)}
        plain["pool"]["in_phase"] = {part.need.name: plan.in_phase(part.need.name, shared) for part in plan.parts}
    return plain
