"""The samplers and schedulers that there are, by the engine's names."""

from __future__ import annotations

REFERENCE_SCHEDULER = "reference"
"""The schedule of the model's reference pipeline; every other name is one of the engine's own."""

SAMPLERS = (
    "euler", "euler_a", "heun", "dpm2", "dpm++2s_a", "dpm++2m", "dpm++2mv2", "ipndm", "ipndm_v", "lcm",
    "ddim_trailing", "tcd", "res_multistep", "res_2s", "er_sde",
)  # fmt: skip
SAMPLERS_WITH_NOISE = ("euler_a", "dpm++2s_a", "ddim_trailing", "tcd", "er_sde", "res_2s", "res_multistep")
"""Those that can add fresh noise in each step, whose share ``eta`` is."""
SCHEDULERS = (
    REFERENCE_SCHEDULER, "discrete", "karras", "exponential", "ays", "gits", "sgm_uniform", "simple", "smoothstep",
    "kl_optimal", "lcm", "bong_tangent",
)  # fmt: skip
