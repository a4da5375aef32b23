"""The noise levels (sigmas) that a model's reference pipeline visits.

The engine's own default schedule spends the last step of a flow model on almost nothing; a model distilled to four
steps then gets three, at other points than it was trained for. These functions compute what the reference pipelines do
(those of diffusers with ``FlowMatchEulerDiscreteScheduler``), in float64; the engine takes the result in float32.

All take the same arguments. A picture with an init image begins at the sigma ``strength``, and the steps are
spread evenly over what is left of the way; fewer are run, as many as that part of the whole way had. The pipelines of
diffusers cut whole steps off instead; of four steps, none of which begins below a sigma of 0.7, that leaves no choice.
"""

from __future__ import annotations

import math
from collections.abc import Callable

Schedule = Callable[..., tuple[float, ...]]
"""(steps, width, height, strength=1.0) -> falling values, the last one 0.

``steps``: sampling steps of the whole way, 1 or more. ``width``, ``height``: of the picture in pixels. ``strength``:
the first sigma, above 0 to 1.
"""


def _even(steps: int, start: float) -> list[float]:
    """As many of ``steps`` as lie between ``start`` and 0, rounded up, evenly spaced from there."""
    # 25 * 0.28 is a little more than 7 in floating point, and is 7.
    run = max(1, math.ceil(steps * start - 1e-9))
    return [start * (1.0 - i / run) for i in range(run)]


def _shifted(even: float, shift: float) -> float:
    return shift * even / (1.0 + (shift - 1.0) * even)


def _unshifted(sigma: float, shift: float) -> float:
    return sigma / (shift - (shift - 1.0) * sigma)


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


def _linear_mu(width: int, height: int, most_tokens: int, most: float) -> float:
    """The shift that grows with the number of image tokens, from 0.5 at 256 of them to ``most`` at ``most_tokens``."""
    tokens = (width // 16) * (height // 16)
    return 0.5 + (tokens - 256) * (most - 0.5) / (most_tokens - 256)


def _falling(steps: int, strength: float, shift: float) -> tuple[float, ...]:
    way = _even(steps, _unshifted(strength, shift))
    return (strength, *(_shifted(even, shift) for even in way[1:]), 0.0)


def flux2_sigmas(steps: int, width: int, height: int, strength: float = 1.0) -> tuple[float, ...]:
    """Sigmas of FLUX.2 Klein: ``steps`` evenly spaced values from 1 to 1/steps, shifted exponentially, then 0."""
    return _falling(steps, strength, math.exp(empirical_mu((width // 16) * (height // 16), steps)))


def z_image_sigmas(steps: int, width: int, height: int, strength: float = 1.0) -> tuple[float, ...]:
    """Sigmas of Z-Image: evenly spaced, shifted by 3 for every size."""
    del width, height
    return _falling(steps, strength, 3.0)


def flux1_sigmas(steps: int, width: int, height: int, strength: float = 1.0) -> tuple[float, ...]:
    """Sigmas of FLUX.1 dev, Fill and Kontext: evenly spaced, shifted exponentially by the number of image tokens."""
    return _falling(steps, strength, math.exp(_linear_mu(width, height, 4096, 1.15)))


def even_sigmas(steps: int, width: int, height: int, strength: float = 1.0) -> tuple[float, ...]:
    """Sigmas of FLUX.1 schnell: evenly spaced."""
    del width, height
    return _falling(steps, strength, 1.0)


def sd3_sigmas(steps: int, width: int, height: int, strength: float = 1.0) -> tuple[float, ...]:
    """Sigmas of Stable Diffusion 3: evenly spaced down to the last of a thousand shifted ones, shifted by 3 again."""
    del width, height
    start = _unshifted(strength, 3.0)
    last = min(_shifted(0.001, 3.0), start)
    run = len(_even(steps, start))
    way = [start - (start - last) * i / max(1, run - 1) for i in range(run)]
    return (strength, *(_shifted(even, 3.0) for even in way[1:]), 0.0)


def qwen_image_sigmas(steps: int, width: int, height: int, strength: float = 1.0) -> tuple[float, ...]:
    """Sigmas of Qwen-Image: shifted by the number of image tokens, and stretched so that the last step is from 0.02."""
    shift, last = math.exp(_linear_mu(width, height, 8192, 0.9)), 0.02
    stretch = (1.0 - _shifted(1.0 / steps, shift)) / (1.0 - last)
    if stretch <= 0:  # a single step from pure noise has nothing to stretch
        return (strength, 0.0)
    if strength <= last:
        return (strength, 0.0)
    way = _even(steps, _unshifted(1.0 - (1.0 - strength) * stretch, shift))
    stretched = (1.0 - (1.0 - _shifted(even, shift)) / stretch for even in way[1:])
    return (strength, *(sigma for sigma in stretched if sigma > last / 2), 0.0)
