"""``sdcpp-py bench``."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from typing import Any

from sdcpp_py.cli.opening import device_choice, name_asked_for, size_asked_for, sizes_of
from sdcpp_py.errors import SettingsError
from sdcpp_py.models.bundled import TINY
from sdcpp_py.preflight.bench import Benchmark, Times, benchmark
from sdcpp_py.preflight.machine import cpu_name


def run(options: argparse.Namespace) -> None:
    """Times a model and prints what pictures will take. Raises SdcppError."""
    result = benchmark(
        name_asked_for(options) or TINY,
        quant=options.quant,
        folder=options.folder,
        hub_cache=options.hub_cache,
        device=device_choice(options.device),
        threads=options.threads,
        sizes=_sizes(options),
        repeat=options.repeat,
        on_stage=None if options.no_progress else lambda text: print(f"sdcpp-py: {text}", file=sys.stderr),
    )
    print(json.dumps(_plain(result), indent=2) if options.json else _table(result))


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


def _table(result: Benchmark) -> str:
    lines = [
        f"{result.model} ({result.quant}) on {result.device}, {result.threads} threads, {cpu_name()}",
        f"weights in memory: {result.weight_bytes / 2**30:.2f} GiB",
        "",
        f"{'':<18} {'median':>9} {'spread':>7} {'times':>6}",
        _row("load", result.load),
        _row("encode", result.encode),
    ]
    lines += [_row(f"step {size}x{size}", times) for size, times in result.steps.items()]
    lines += [_row(f"decode {size}x{size}", times) for size, times in result.decodes.items()]
    lines += ["", f"{'a picture of':<18} {'seconds':>9}"]
    for estimate in result.estimates:
        how = "" if estimate.measured else "  (estimated)"
        size = f"{estimate.size}x{estimate.size}, {estimate.steps} steps"
        lines.append(f"{size:<18} {estimate.picture:>9.1f}{how}")
    return "\n".join(lines)


def _row(name: str, times: Times) -> str:
    spread = f"{times.spread:.0%}" if len(times.seconds) > 1 else ""
    return f"{name:<18} {times.median:>7.2f} s {spread:>7} {len(times.seconds):>6}"
