"""What other programs call the samplers and schedulers: sd-cli, AUTOMATIC1111's web UI, Forge, ComfyUI and diffusers.

They differ in capitals, spaces and punctuation ("DPM++ 2M", "dpmpp_2m", "k_dpmpp_2m", "dpm++2m"), which do not count
here, and in some words, which the tables below have.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from typing import Any

from sdcpp_py.errors import SettingsError
from sdcpp_py.naming import named
from sdcpp_py.settings.samplers import SAMPLERS, SCHEDULERS

COMMON_SAMPLERS = {
    "euler": "Euler", "euler_a": "Euler a", "heun": "Heun", "dpm2": "DPM2", "dpm++2s_a": "DPM++ 2S a",
    "dpm++2m": "DPM++ 2M", "lcm": "LCM", "ddim_trailing": "DDIM", "res_multistep": "Res Multistep",
}  # fmt: skip
"""The names that AUTOMATIC1111's web UI and its kin have for the engine's, which are the ones to write."""

_OTHER_SAMPLERS = {
    "euler_ancestral": "euler_a", "dpmpp_2s_ancestral": "dpm++2s_a", "DPM++ (2s)": "dpm++2s_a",
    "DPM++ 2M v2": "dpm++2mv2", "modified DPM++ (2M)": "dpm++2mv2", "DDIM trailing": "ddim_trailing",
    # diffusers' classes; what it calls a scheduler is both the sampler and the schedule.
    "EulerDiscreteScheduler": "euler", "EulerAncestralDiscreteScheduler": "euler_a", "HeunDiscreteScheduler": "heun",
    "FlowMatchEulerDiscreteScheduler": "euler", "FlowMatchHeunDiscreteScheduler": "heun",
    "KDPM2DiscreteScheduler": "dpm2", "DPMSolverMultistepScheduler": "dpm++2m", "IPNDMScheduler": "ipndm",
    "LCMScheduler": "lcm", "FlowMatchLCMScheduler": "lcm", "DDIMScheduler": "ddim_trailing", "TCDScheduler": "tcd",
}  # fmt: skip
_OTHER_SCHEDULERS = {
    # What k-diffusion calls uniform and ComfyUI normal is the engine's discrete schedule: even steps in time.
    "Uniform": "discrete", "Normal": "discrete", "Align Your Steps": "ays", "Align Your Steps GITS": "gits",
    "use_karras_sigmas": "karras", "use_exponential_sigmas": "exponential",
}  # fmt: skip
_AUTOMATIC = "Automatic"
# The web UIs' own default schedule of a sampler; for the others it is the one that is the default here too.
_AUTOMATICALLY = {"dpm++2m": "karras", "dpm++2s_a": "karras", "dpm2": "karras"}


def _plain(name: str) -> str:
    """What counts of a name."""
    plain = re.sub(r"[^a-z0-9+]", "", name.lower().removeprefix("k_"))
    return plain.replace("dpmpp", "dpm++")


def _table(names: tuple[str, ...], *others: Mapping[str, str]) -> dict[str, str]:
    table = {_plain(other): name for more in others for other, name in more.items()}
    return {**table, **{_plain(name): name for name in names}}


_SAMPLERS = _table(SAMPLERS, {common: name for name, common in COMMON_SAMPLERS.items()}, _OTHER_SAMPLERS)
_SCHEDULERS = _table(SCHEDULERS, _OTHER_SCHEDULERS)


def find_sampler(name: str) -> str | None:
    """Our name of a sampler; None where there is no such one here."""
    return _SAMPLERS.get(_plain(name))


def find_scheduler(name: str, sampler: str | None = None) -> str | None:
    """Our name of a schedule; None where there is no such one here, or "Automatic" means the default.

    ``sampler``: by our name, with which "Automatic" means a schedule of the sampler's.
    """
    if _plain(name) == _plain(_AUTOMATIC):
        return _AUTOMATICALLY.get(sampler or "")
    return _SCHEDULERS.get(_plain(name))


def find_both(text: str) -> tuple[str | None, str | None]:
    """Our names of the sampler and the schedule in a text that joins both ("euler discrete", "DPM++ 2M Karras").

    The schedule is None where the text has none, the sampler where there is no such one here.
    """
    whole = find_sampler(text)
    if whole is not None:
        return whole, None
    words = text.split()
    for count in range(1, len(words)):
        scheduler = find_scheduler(" ".join(words[count:]))
        if scheduler is not None:
            return find_sampler(" ".join(words[:count])), scheduler
    return None, None


def is_automatic(scheduler: str) -> bool:
    """Whether a schedule's name leaves it to the program."""
    return _plain(scheduler) in ("", _plain(_AUTOMATIC))


def in_our_names(given: Mapping[str, Any]) -> dict[str, Any]:
    """Settings by name, in which the sampler and the scheduler have our names where others' are understood.

    One text may name both ("DPM++ 2M Karras"). None counts as not given. What is not understood is left as it is, for
    ``explained`` to say.

    Raises SettingsError where the sampler's text names another schedule than the scheduler.
    """
    values = dict(given)
    sampler, scheduler = values.get("sampler"), values.get("scheduler")
    if isinstance(sampler, str):
        ours, joined = find_both(sampler)
        values["sampler"] = sampler if ours is None else ours
        if ours is not None and joined is not None:
            if isinstance(scheduler, str) and find_scheduler(scheduler, ours) not in (None, joined):
                raise SettingsError(
                    f"{named('sampler')} is {sampler!r}, which names the schedule {joined}, and {named('scheduler')} "
                    f"is {scheduler!r}; leave one of the two out"
                )
            values["scheduler"] = joined
    if isinstance(values.get("scheduler"), str):
        text = values["scheduler"]
        found = find_scheduler(text, values.get("sampler"))
        if found is not None:
            values["scheduler"] = found
        elif _plain(text) == _plain(_AUTOMATIC):
            values["scheduler"] = None
    return values


def explained(name: str, value: object) -> str:
    """What may have been meant by a sampler or scheduler that there is not, as the end of a message; or ""."""
    if not isinstance(value, str):
        return ""
    other, found = ("scheduler", find_scheduler(value)) if name == "sampler" else ("sampler", find_sampler(value))
    if found is not None:
        return f"; {value!r} is a {other}: {named(other, found)}"
    table = _SAMPLERS if name == "sampler" else _SCHEDULERS
    close = difflib.get_close_matches(_plain(value), table, n=1, cutoff=0.6)
    return f"; did you mean {table[close[0]]!r}?" if close else ""
