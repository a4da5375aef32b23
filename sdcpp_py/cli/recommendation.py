"""``sdcpp-py recommend``."""

from __future__ import annotations

import argparse
import json
from typing import Any

from sdcpp_py.cli.opening import device_choice
from sdcpp_py.cli.output import complain
from sdcpp_py.cli.planning import plain_plan
from sdcpp_py.cli.screen import Column, show_table, show_text
from sdcpp_py.memory.plan import MemoryPlan, Stay
from sdcpp_py.preflight.recommendation import PATIENCE, SIZES, Recommendation, recommend
from sdcpp_py.system.byte_sizes import format_bytes

_COLUMNS = (
    Column("model", style="cyan", folds=True, least=32),
    Column("memory", right=True),
    Column("how"),
    *(Column(str(size), right=True, style="bold") for size in SIZES),
    Column("download", right=True),
    Column("licence", folds=True),
)


def run(options: argparse.Namespace) -> None:
    """Prints the models that suit this machine. Raises SdcppError."""
    found = recommend(
        *options.words,
        memory=options.memory,
        device=device_choice(options.device),
        threads=options.threads,
        commercial=options.commercial,
        patience=PATIENCE if options.patience is None else options.patience,
        count=options.count,
        hub_cache=options.hub_cache,
        models_dir=options.models_dir,
        on_stage=lambda text: complain(f"sdcpp-py: {text}"),
    )
    if options.json:
        print(json.dumps([_plain(one) for one in found], indent=2))
    elif found:
        show_table(_COLUMNS, map(_row, found))
        show_text(f"\ntimes are estimated from this machine's speed; `generate -m {found[0].name}` takes the first")
    else:
        print("no such model fits into this memory; `sdcpp-py fit` says what each needs")


def _row(one: Recommendation) -> tuple[str, ...]:
    plan = one.plans[max(one.plans)]
    return (
        one.name,
        "+".join(format_bytes(plan.peak(devices)) for devices in plan.memories),
        _how(plan),
        *(_seconds(one, size) for size in SIZES),
        format_bytes(one.missing) if one.missing else "on disk",
        one.licence,
    )


def _seconds(one: Recommendation, size: int) -> str:
    if size not in one.seconds:
        return "-"
    seconds = one.seconds[size]
    unit, length = next((unit, length) for unit, length in _UNITS if seconds < 120 * length or unit == "h")
    return f"{'>' * one.streams}{seconds / length:.0f} {unit}"


def _how(plan: MemoryPlan) -> str:
    stays = {part.stay for part in plan.parts}
    return next(word for stay, word in _HOW.items() if stay in stays)


_UNITS = (("s", 1), ("min", 60), ("h", 3600))
_HOW = {Stay.STREAMED: "streamed", Stay.STAGED: "staged", Stay.RESIDENT: "resident"}


def _plain(one: Recommendation) -> dict[str, Any]:
    return {
        "name": one.name,
        "model": one.model,
        "quant": one.quant,
        "memory": one.memory,
        "streams": one.streams,
        "seconds": {str(size): seconds for size, seconds in one.seconds.items()},
        "download": one.download,
        "missing": one.missing,
        "licence": one.licence,
        "note": one.note,
        "plans": {str(size): plain_plan(plan) for size, plan in one.plans.items()},
    }
