"""Making plans: which weights stay, which come for their phase, and which block by block, within limits."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import chain, combinations
from typing import NamedTuple

from sdcpp_py.memory.plan import MemoryPlan, PartNeed, PartPlan, Stay, least_limit
from sdcpp_py.memory.pool import Bounds, Pool
from sdcpp_py.parts import PARTS

# Edges in pixels of the tiles that a VAE on a GPU decodes where the whole picture does not fit, the largest first.
_TILES = (1024, 768, 512, 384, 256, 192, 128)


class _Bound(NamedTuple):
    """What devices may hold together, in bytes; or one device."""

    devices: tuple[str, ...]
    limit: int


def make_plan(
    needs: Sequence[PartNeed],
    limits: Mapping[str, int],
    *,
    width: int,
    height: int,
    vae_tile_size: int = 0,
    pool: Pool | None = None,
) -> MemoryPlan:
    """The plan that keeps as much in memory as the limits allow; where none does, the leanest, which does not fit.

    Args:
        needs: of each part.
        limits: bytes by device; a device that is not named has none.
        width, height, vae_tile_size: of the picture, in pixels.
        pool: what devices share, if any do.
    """
    bounds = [_Bound((device,), limit) for device, limit in limits.items()]
    if pool is not None and pool.limit is not None:
        bounds.append(_Bound(pool.devices, pool.limit))
    # A limit that is too low for any plan is planned with as the least that would do.
    enough = [
        _Bound(bound.devices, max(bound.limit, least_limit(need for need in needs if need.device in bound.devices)))
        for bound in bounds
    ]
    parts = sorted(_best(needs, enough), key=lambda part: PARTS.index(part.need.name))
    fits = enough == bounds and not any(need.unsupported for need in needs if need.needed)
    return MemoryPlan(width, height, tuple(parts), dict(limits), vae_tile_size, fits, pool)


def first_fitting(
    needs: Callable[[int], Sequence[PartNeed]],
    bounds: Bounds,
    *,
    width: int,
    height: int,
    tile: int,
) -> MemoryPlan:
    """The plan of a picture; on a GPU, the VAE works in tiles where it cannot have the whole picture.

    On the CPU it does so only when it is told to: tiles change the picture, a little, and a limit of memory must not.

    Args:
        needs: of each part, by the edge in pixels of the VAE's tiles; 0: in one piece.
        bounds: what devices may hold, each and together.
        width, height: of the picture, in pixels.
        tile: the tiles that were asked for; 0: none.
    """
    plans: list[MemoryPlan] = []
    tiles = [tile, *(smaller for smaller in _TILES if not tile and smaller < max(width, height))]
    for edge in tiles:
        found = needs(edge)
        plans.append(make_plan(found, bounds.devices, width=width, height=height, vae_tile_size=edge, pool=bounds.pool))
        device = next(need.device for need in found if need.name == "vae")
        if plans[-1].fits or device == "cpu":
            return plans[-1]
    return min(plans, key=lambda plan: (bool(plan.unsupported), plan.least(device)))


def overlapping(
    needs: Sequence[PartNeed],
    bounds: Bounds,
    beside: tuple[str, ...],
    *,
    width: int,
    height: int,
    vae_tile_size: int,
) -> MemoryPlan | None:
    """The plan of pictures whose denoiser computes while other parts do, one after the other, for other pictures.

    None where memory does not suffice for the weights of all these, the denoiser's compute buffer and the largest one
    of the others, at the same time; or where the VAE would have to make room for them.

    Args:
        needs: of each part.
        bounds: what devices may hold, each and together.
        beside: the names of the other parts, which are on one device.
        width, height, vae_tile_size: of the pictures, in pixels.
    """
    own = {need.name: need for need in needs}
    buffer = max(own[name].working for name in beside)
    # Parts without compute buffers, which hold as much all the time: the first of them has the buffer that all share.
    sizes = {name: own[name].weights + (buffer if name == beside[0] else 0) for name in beside}
    steady = [
        replace(need, weights=sizes[need.name], least_room=sizes[need.name], working=0) if need.name in sizes else need
        for need in needs
    ]
    plan = make_plan(steady, bounds.devices, width=width, height=height, vae_tile_size=vae_tile_size, pool=bounds.pool)
    working = {"diffusion_model", "vae", *beside}
    if not plan.fits or any(plan.part(name).stay is not Stay.RESIDENT for name in working):
        return None
    parts = [
        PartPlan(own[part.need.name], part.stay, own[part.need.name].weights) if part.need.name in sizes else part
        for part in plan.parts
    ]
    return replace(plan, parts=tuple(parts), beside=beside)


def _best(needs: Sequence[PartNeed], bounds: Sequence[_Bound]) -> list[PartPlan]:
    """The best plan of the parts within bounds, of which each is enough for every part by itself."""
    sets = chain.from_iterable(combinations(needs, count) for count in range(len(needs), -1, -1))
    plans = [_with_resident(needs, resident, bounds) for resident in sets]
    return max((plan for plan in plans if plan is not None), key=_worth)


def _with_resident(
    needs: Sequence[PartNeed], resident: Sequence[PartNeed], bounds: Sequence[_Bound]
) -> list[PartPlan] | None:
    parts = []
    for need in needs:
        if not need.needed and need not in resident:
            parts.append(PartPlan(need, Stay.ABSENT, 0))
            continue
        others = [other for other in resident if other is not need]
        rooms = [
            limit - need.working - sum(other.weights for other in others if other.device in devices)
            for devices, limit in bounds
            if need.device in devices
        ]
        room = min(rooms, default=need.weights)
        if room >= need.weights:
            parts.append(PartPlan(need, Stay.RESIDENT if need in resident else Stay.STAGED, need.weights))
        elif need not in resident and room >= need.least_room:
            parts.append(PartPlan(need, Stay.STREAMED, room))
        else:
            return None
    return parts


def _worth(plan: Sequence[PartPlan]) -> tuple[int, float]:
    """Streaming reads weights in every step, so it comes last; then what would have to be read least often goes.

    The text encoder is needed once for a prompt, the others for every picture.
    """
    streamed = -sum(part.need.weights - part.room for part in plan if part.stay is Stay.STREAMED)
    kept = sum(
        part.need.weights * (0.5 if part.need.name == "text_encoder" else 1)
        for part in plan
        if part.stay is Stay.RESIDENT
    )
    return streamed, kept
