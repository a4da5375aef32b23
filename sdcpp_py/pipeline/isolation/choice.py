"""Where an engine computes: in a thread of this process, or in a process of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress

from sdcpp_py._native.any_engine import AnyEngine
from sdcpp_py._native.engine import Engine, go_on
from sdcpp_py.errors import SettingsError
from sdcpp_py.memory.placement import Placement
from sdcpp_py.naming import named
from sdcpp_py.pipeline.isolation import ISOLATIONS, channel
from sdcpp_py.pipeline.isolation.process import interpreter
from sdcpp_py.pipeline.isolation.remote_engine import RemoteEngine
from sdcpp_py.settings.domains import check_one_of


def isolated(wish: object, placements: Sequence[Placement], *, shared_encoder: bool) -> bool:
    """Whether the engine gets a process of its own.

    Args:
        wish: "process", "thread", or "auto": a process where a part may be on a GPU, whose driver may take down the
            process that uses it, and gives a lost device back to a new one only.
        placements: those that are left open.
        shared_encoder: whether generators of this process share a text encoder, which is in its memory then.

    Raises SettingsError where there is no such choice, or a process cannot be had.
    """
    check_one_of("isolation", wish, ISOLATIONS)
    if wish == "auto":
        on_gpu = any(device.is_gpu for placement in placements for device in placement.all)
        return on_gpu and isolates_gpus(wish, shared_encoder=shared_encoder)
    if wish == "thread":
        return False
    if shared_encoder:
        raise SettingsError(
            f"{named('isolation')} is 'process', and a TextEncoder is in the memory of this one; give the encoder as a "
            f"file, or set {named('isolation', 'thread')}"
        )
    if not channel.SUPPORTED:
        raise SettingsError(
            f"{named('isolation')} is 'process', and this system has no sockets that carry descriptors message by "
            f"message; set {named('isolation', 'thread')}"
        )
    interpreter()
    return True


def isolates_gpus(wish: str, *, shared_encoder: bool) -> bool:
    """Whether an engine on a GPU gets a process of its own. Arguments as of ``isolated``."""
    return wish == "process" or (wish == "auto" and not shared_encoder and _possible())


def _possible() -> bool:
    with suppress(SettingsError):
        return channel.SUPPORTED and bool(interpreter())
    return False


def new_engine(
    in_process: bool,
    steps_file: int | None = None,
    submission_target: int | None = None,
    check: Callable[[], None] = go_on,
) -> AnyEngine:
    """An engine, in a process of its own or in a thread. Arguments and errors are those of ``RemoteEngine``."""
    if in_process:
        return RemoteEngine(steps_file, submission_target, check)
    return Engine(steps_file=steps_file, check=check)
