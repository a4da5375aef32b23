"""The request to denoise: from a picture's settings and prompts to what the engine reads."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from sdcpp_py._native.requests import DenoiseRequest
from sdcpp_py.images.conditioning import EncodedPictures, Pictures
from sdcpp_py.models.families import Family
from sdcpp_py.prompts.encoded import EncodedPrompt
from sdcpp_py.settings import GenerationSettings
from sdcpp_py.settings.samplers import REFERENCE_SCHEDULER


def denoise_request(
    family: Family,
    settings: GenerationSettings,
    positive: EncodedPrompt,
    negative: EncodedPrompt | None,
    noise: NDArray[np.float32] | None,
    pictures: Pictures,
    encoded: EncodedPictures,
) -> DenoiseRequest:
    """The request for one picture.

    Args:
        family: of the model.
        settings: of the picture.
        positive, negative: its prompts; no negative: no classifier-free guidance.
        noise: float32 of the latent's shape; None: from the seed.
        pictures, encoded: those that were handed in, and what the VAE made of them.
    """
    sigmas: tuple[float, ...] = ()
    scheduler = settings.scheduler
    if scheduler == REFERENCE_SCHEDULER and family.sigmas is not None:
        sigmas = family.sigmas(settings.steps, settings.width, settings.height, settings.strength)
    elif scheduler == REFERENCE_SCHEDULER:
        scheduler = "discrete"
    own = {"scheduler": scheduler, "flow_shift": math.inf if family.flow_shift is None else family.flow_shift}
    return DenoiseRequest(
        text=positive.arrays,
        negative={} if negative is None else negative.arrays,
        noise=noise,
        settings={**settings.native(), **own},
        sigmas=sigmas,
        start=encoded.start,
        around=encoded.around,
        references=encoded.references,
        mask=pictures.mask,
    )
