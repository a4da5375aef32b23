"""``sdcpp-py recommend``."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from typing import Any

from sdcpp_py.cli.opening import add_hub_cache, device_choice, memory_choice
from sdcpp_py.cli.planning import plain_plan
from sdcpp_py.cli.sd_cli.values import threads
from sdcpp_py.memory.plan import MemoryPlan, Stay
from sdcpp_py.preflight.recommendation import PATIENCE, SIZES, Recommendation, recommend
from sdcpp_py.system.byte_sizes import format_bytes


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser], common: argparse.ArgumentParser) -> None:
    """Adds the command to the command line."""
    command = commands.add_parser(
        "recommend", parents=[common], help="say which models suit this machine, and how long their pictures will take"
    )
    command.set_defaults(run=run)
    command.add_argument("words", metavar="WORD", nargs="*", help="only models with this in their name or family")
    command.add_argument(
        "--memory",
        default="auto",
        type=memory_choice,
        metavar="SIZE",
        help="what a picture may take (default: what is free)",
    )
    command.add_argument("--device", default="auto", help="auto, cpu, vulkan0, ... (see `sdcpp-py doctor`)")
    command.add_argument("-t", "--threads", type=threads, help="CPU threads (default: the physical cores)")
    command.add_argument(
        "--commercial", action="store_true", help="only models that anybody may use commercially, by their licences"
    )
    command.add_argument(
        "--patience", type=float, default=PATIENCE, metavar="SECONDS", help="for a picture (default: %(default).0f)"
    )
    command.add_argument("--count", type=int, default=5, metavar="N", help="at most so many (default: %(default)s)")
    add_hub_cache(command)
    command.add_argument("--json", action="store_true", help="as JSON")


def run(options: argparse.Namespace) -> None:
    """Prints the models that suit this machine. Raises SdcppError."""
    found = recommend(
        *options.words,
        memory=options.memory,
        device=device_choice(options.device),
        threads=options.threads,
        commercial=options.commercial,
        patience=options.patience,
        count=options.count,
        hub_cache=options.hub_cache,
        on_stage=lambda text: print(f"sdcpp-py: {text}", file=sys.stderr),
    )
    if options.json:
        print(json.dumps([_plain(one) for one in found], indent=2))
    elif found:
        print(table(found))
        print(f"\ntimes are estimated from this machine's speed; `generate -m {found[0].name}` takes the first")
    else:
        print("no such model fits into this memory; `sdcpp-py fit` says what each needs")


def table(found: Sequence[Recommendation]) -> str:
    """A line for each model."""
    lines = [
        f"{'model':<32}{'memory':>9}  {'how':<10}"
        + "".join(f"{size:>8}" for size in SIZES)
        + f"{'download':>10}  licence"
    ]
    for one in found:
        memory = "+".join(format_bytes(size) for size in one.memory.values())
        seconds = "".join(f"{_seconds(one, size):>8}" for size in SIZES)
        download = format_bytes(one.missing) if one.missing else "on disk"
        lines.append(
            f"{one.name:<32}{memory:>9}  {_how(one.plans[max(one.plans)]):<10}{seconds}{download:>10}  {one.licence}"
        )
    return "\n".join(lines)


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
