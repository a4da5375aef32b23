"""``sdcpp-py bench``."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from typing import Any

from sdcpp_py.cli.opening import device_choice, name_asked_for, size_asked_for, sizes_of
from sdcpp_py.cli.output import complain
from sdcpp_py.cli.screen import Column, show_heading, show_table
from sdcpp_py.errors import SettingsError
from sdcpp_py.models.bundled import TINY
from sdcpp_py.preflight.bench import Benchmark, Times, benchmark
from sdcpp_py.preflight.machine import cpu_name

_MEASURED = (
    Column("", style="cyan", least=18),
    Column("median", right=True, style="bold"),
    Column("spread", right=True),
    Column("times", right=True),
)
_ESTIMATED = (Column("a picture of", style="cyan", least=18), Column("seconds", right=True, style="bold"), Column())


def run(options: argparse.Namespace) -> None:
    """Times a model and prints what pictures will take. Raises SdcppError."""
    result = benchmark(
        name_asked_for(options) or TINY,
        quant=options.quant,
        folder=options.folder,
        hub_cache=options.hub_cache,
        models_dir=options.models_dir,
        device=device_choice(options.device),
        threads=options.threads,
        precision=options.precision,
        isolation=options.isolation,
        self_test=options.self_test,
        sizes=_sizes(options),
        repeat=options.repeat,
        on_stage=None if options.no_progress else lambda text: complain(f"sdcpp-py: {text}"),
    )
    if options.json:
        print(json.dumps(_plain(result), indent=2))
    else:
        _show(result)


def _sizes(options: argparse.Namespace) -> list[int]:
    width, height = size_asked_for(options)
    if width is None and height is None:
        return sizes_of(options.sizes)
    if width is not None and height is not None and width != height:
        raise SettingsError(
            f"bench times square pictures, and {width}x{height} is none; a square of as many pixels takes as long"
        )
    return [width or height or 0]


def _plain(result: Benchmark) -> dict[str, Any]:
    plain = asdict(result)
    plain["cpu"] = cpu_name()
    for estimate, values in zip(result.estimates, plain["estimates"], strict=True):
        values["picture"] = estimate.picture
    return plain


def _show(result: Benchmark) -> None:
    show_heading(f"{result.model} ({result.quant}) on {result.device}, {result.threads} threads, {cpu_name()}")
    print(f"weights in memory: {result.weight_bytes / 2**30:.2f} GiB\n")
    rows = [_row("load", result.load), _row("encode", result.encode)]
    rows += [_row(f"step {size}x{size}", times) for size, times in result.steps.items()]
    rows += [_row(f"decode {size}x{size}", times) for size, times in result.decodes.items()]
    show_table(_MEASURED, rows)
    print()
    show_table(
        _ESTIMATED,
        [
            (
                f"{estimate.size}x{estimate.size}, {estimate.steps} steps",
                f"{estimate.picture:.1f}",
                "" if estimate.measured else "(estimated)",
            )
            for estimate in result.estimates
        ],
    )


def _row(name: str, times: Times) -> tuple[str, ...]:
    spread = f"{times.spread:.0%}" if len(times.seconds) > 1 else ""
    return name, f"{times.median:.2f} s", spread, str(len(times.seconds))
