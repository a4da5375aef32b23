"""Whether a decoded picture can be one: a GPU that computes wrongly gives one colour, or noise."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Fault = Literal["", "flat", "noise"]

# Of 255: rounding alone makes so much of one colour.
_FLAT = 2
# How like its neighbour a number is, from 0 (noise) to 1. Pictures are above 0.8, and so are textures of single pixels
# by a VAE; their latents, whose cells are 8 or 16 pixels wide, are above 0.3.
_NOISE = 0.15
_SMOOTH = 0.3
# Of noise, so many neighbours differ by more than half of the spread: 72% of normal numbers do.
_EVERYWHERE = 0.5
# So many rows are looked at, all over the picture: it takes a thousandth of a second at 1024x1024.
_ROWS = 32


def fault_of(pixels: NDArray[np.uint8], latent: NDArray[np.float32]) -> Fault:
    """What is wrong with a picture as it was decoded; "" where it may be one.

    Args:
        pixels: (height, width, 3).
        latent: (channels, rows, columns), that it was decoded from.

    Returns:
        "flat" where it is of one colour, "noise" where pixels have nothing to do with their neighbours although the
        latent's cells have.
    """
    rows = pixels[:: max(1, len(pixels) // _ROWS)].astype(np.float32)
    if _is_flat(rows) and _is_flat(pixels):
        return "flat"
    if _is_noise(np.moveaxis(rows, -1, 0)) and likeness(latent) > _SMOOTH:
        return "noise"
    return ""


def likeness(channels: NDArray[np.float32]) -> float:
    """How like their right neighbours numbers of shape (channels, rows, columns) are: 0 for noise, 1 for one colour."""
    spread = _spread(channels)
    steps = np.diff(channels, axis=2)
    return 1 - float(np.square(steps).mean()) / (2 * spread) if spread > 0 and steps.size else 1.0


def _spread(channels: NDArray[np.float32]) -> float:
    return float(channels.var((1, 2)).mean())


def _is_noise(channels: NDArray[np.float32]) -> bool:
    """Whether numbers have nothing to do with their neighbours; and that everywhere, unlike stars in a night sky."""
    if likeness(channels) >= _NOISE:
        return False
    large = 0.5 * np.sqrt(_spread(channels))
    return bool((np.abs(np.diff(channels, axis=2)) > large).mean() > _EVERYWHERE)


def _is_flat(pixels: NDArray[np.float32] | NDArray[np.uint8]) -> bool:
    colours = pixels.reshape(-1, pixels.shape[-1])
    return bool((colours.max(0).astype(int) - colours.min(0).astype(int) <= _FLAT).all())
