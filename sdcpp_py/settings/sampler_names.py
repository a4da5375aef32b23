"""What other programs call the samplers and schedulers: sd-cli, AUTOMATIC1111's web UI, Forge and ComfyUI.

They differ in capitals, spaces and punctuation ("DPM++ 2M", "dpmpp_2m", "k_dpmpp_2m", "dpm++2m"), which do not count
here, and in some words, which the tables below have.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from sdcpp_py.settings.samplers import SAMPLERS, SCHEDULERS

COMMON_SAMPLERS = {
    "euler": "Euler", "euler_a": "Euler a", "heun": "Heun", "dpm2": "DPM2", "dpm++2s_a": "DPM++ 2S a",
    "dpm++2m": "DPM++ 2M", "lcm": "LCM", "ddim_trailing": "DDIM", "res_multistep": "Res Multistep",
}  # fmt: skip
"""The names that AUTOMATIC1111's web UI and its kin have for the engine's, which are the ones to write."""

_OTHER_SAMPLERS = {
    "euler_ancestral": "euler_a", "dpmpp_2s_ancestral": "dpm++2s_a", "DPM++ (2s)": "dpm++2s_a",
    "DPM++ 2M v2": "dpm++2mv2", "modified DPM++ (2M)": "dpm++2mv2", "DDIM trailing": "ddim_trailing",
}  # fmt: skip
_OTHER_SCHEDULERS = {
    # What k-diffusion calls uniform and ComfyUI normal is the engine's discrete schedule: even steps in time.
    "Uniform": "discrete", "Normal": "discrete", "Align Your Steps": "ays", "Align Your Steps GITS": "gits",
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
