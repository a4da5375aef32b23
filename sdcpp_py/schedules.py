"""The noise levels (sigmas) that a model's reference pipeline visits.

The engine's own default schedule spends the last step of a flow model on almost nothing; a model distilled to four
steps then gets three, at other points than it was trained for. These functions compute what the reference pipelines do
(``Flux2KleinPipeline`` and ``ZImagePipeline`` of diffusers with ``FlowMatchEulerDiscreteScheduler``), in float64; the
engine takes the result in float32.
"""

from __future__ import annotations

import math


def empirical_mu(image_tokens: int, steps: int) -> float:
    """The shift of FLUX.2's schedule, fitted by its authors to the number of image tokens and steps.

    Args:
        image_tokens: (height / 16) * (width / 16).
        steps: sampling steps.
    """
    slope_200, offset_200 = 0.00016927, 0.45666666
    at_200 = slope_200 * image_tokens + offset_200
    if image_tokens > 4300:
        return at_200
    at_10 = 8.73809524e-05 * image_tokens + 1.89833333
    slope = (at_200 - at_10) / 190.0
    return slope * steps + at_200 - 200.0 * slope


def flux2_sigmas(steps: int, width: int, height: int) -> tuple[float, ...]:
    """Sigmas of FLUX.2 Klein: ``steps`` evenly spaced values from 1 to 1/steps, shifted exponentially, then 0.

    Args:
        steps: sampling steps, 1 or more.
        width: of the picture in pixels.
        height: of the picture in pixels.

    Returns:
        steps + 1 values, falling from 1 to 0.
    """
    shift = math.exp(empirical_mu((width // 16) * (height // 16), steps))
    even = [1.0 - i / steps for i in range(steps)]
    return (*(shift / (shift + (1.0 / sigma - 1.0)) for sigma in even), 0.0)


def z_image_sigmas(steps: int, width: int, height: int) -> tuple[float, ...]:
    """Sigmas of Z-Image.

    Args:
        steps: sampling steps, 1 or more.
        width: of the picture in pixels; not used, the shift is the same for every size.
        height: likewise.

    Returns:
        steps + 1 values, falling from 1 to 0.
    """
    del width, height
    shift = 3.0
    even = [1.0 - i / steps for i in range(steps)]
    return (*(shift * sigma / (1.0 + (shift - 1.0) * sigma) for sigma in even), 0.0)
