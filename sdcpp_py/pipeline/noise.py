"""Noise that a caller brings along instead of having it drawn from a seed."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sdcpp_py.errors import SettingsError


def check_noise(noise: ArrayLike, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """``noise`` as contiguous float32. Raises SettingsError where it is not finite, or of another shape."""
    try:
        array = np.ascontiguousarray(noise, dtype=np.float32)
    except (TypeError, ValueError, OverflowError) as error:
        raise SettingsError(f"noise must be an array of numbers of shape {shape}") from error
    if array.shape != shape:
        raise SettingsError(f"noise must have shape {shape} for a picture of this size, not {array.shape}")
    if not np.isfinite(array).all():
        raise SettingsError("noise must be finite; it holds NaN or infinity")
    return array
