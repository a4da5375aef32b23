"""Plans that need more memory than a limit that was given, or than there is."""

from __future__ import annotations

import logging

from sdcpp_py.errors import GenerationError, OutOfMemoryError
from sdcpp_py.memory.limits import Limits
from sdcpp_py.memory.plan import MemoryPlan

logger = logging.getLogger("sdcpp_py")


def is_short(plan: MemoryPlan, given: Limits) -> bool:
    """Whether a plan needs more than a limit that was given."""
    shared = plan.pool.devices if plan.pool is not None else "cpu"
    if given.together is not None and plan.least(shared) > given.together:
        return True
    return any(plan.least(device) > given.exact[device] for device in plan.devices if device in given.exact)


def refuse_if_short(plan: MemoryPlan, given: Limits) -> None:
    """Raises OutOfMemoryError where a plan does not fit into a limit that was given, GenerationError where a device
    cannot compute it.

    Where it does not fit into what is free now, that is a warning in the log: it may change.
    """
    if plan.unsupported:
        raise GenerationError(plan.advice())
    if is_short(plan, given):
        raise OutOfMemoryError(plan.advice())
    if not plan.fits:
        logger.warning("there may be too little memory: %s", plan.advice())
