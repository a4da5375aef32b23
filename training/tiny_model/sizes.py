"""Picture sizes that the tiny model is trained on."""

from __future__ import annotations

import numpy as np

SIZES = ((128, 128), (96, 96), (128, 96), (96, 128), (160, 128), (128, 160), (192, 128), (128, 192))
"""(width, height) in pixels, multiples of 16; the first is the model's own."""
_SHARES = (0.58, 0.06, 0.06, 0.06, 0.06, 0.06, 0.06, 0.06)


def random_size(random: np.random.Generator) -> tuple[int, int]:
    """A size, 128 x 128 most often."""
    return SIZES[int(random.choice(len(SIZES), p=_SHARES))]
