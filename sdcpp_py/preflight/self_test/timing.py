"""How fast a device computes each kind of operation, how fast what it reads comes to it, and the CPU beside it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

import numpy as np

from sdcpp_py._native import operations
from sdcpp_py._native.operations import Computed, Operation
from sdcpp_py.errors import OutOfMemoryError, SettingsError
from sdcpp_py.preflight.self_test.checks import Compute, Found
from sdcpp_py.preflight.self_test.stored_numbers import random_weights
from sdcpp_py.system.cpu import default_threads
from sdcpp_py.system.gpu_records import (
    CONVOLUTIONS,
    IM2COL,
    ON_CPU,
    OTHERS,
    PRODUCTS,
    PRODUCTS_IN_FLOAT32,
    PRODUCTS_OF_IMPORTS,
    PRODUCTS_OF_UPLOADS,
    ROUND_TRIP,
    UPLOAD,
    sound_figures,
)

# A layer's: tokens of a prompt, width; channels and edge of a VAE's picture.
_TOKENS, _WIDTH = 512, 2048
_CHANNELS, _EDGE = 128, 128
_TIMES = 3
_TURNS = 2


def speeds(compute: Compute, share: float = 1) -> dict[str, float]:
    """Speeds by the names that ``gpu_records`` has for them, without those that could not be timed.

    Args:
        share: of the usual work.
    """
    found: dict[str, float] = {}
    for name, timed in _timings(compute, share).items():
        # What a device does not compute has no speed, nor has what it has no memory for.
        with contextlib.suppress(SettingsError, OutOfMemoryError):
            found[name] = timed()
    with contextlib.suppress(SettingsError, OutOfMemoryError):
        found[OTHERS], found[UPLOAD], found[ROUND_TRIP] = _others(compute, share)
    return sound_figures(found)


def import_speeds(compute: Compute, share: float = 1) -> dict[str, float]:
    """Speeds of the same product, with weights that are uploaded and with those that are imported.

    They take turns: a device may be slow at first, to save energy.

    Args:
        share: of the usual work.
    """
    found = {PRODUCTS_OF_UPLOADS: 0.0, PRODUCTS_OF_IMPORTS: 0.0}
    with contextlib.suppress(SettingsError, OutOfMemoryError):
        for _ in range(_TURNS):
            for name, imported in ((PRODUCTS_OF_UPLOADS, False), (PRODUCTS_OF_IMPORTS, True)):
                found[name] = max(found[name], _product(compute, share, float32_sums=True, imported=imported))
    return sound_figures(found)


def _timings(compute: Compute, share: float) -> dict[str, Callable[[], float]]:
    return {
        PRODUCTS_IN_FLOAT32: lambda: _product(compute, share, float32_sums=True),
        PRODUCTS: lambda: _product(compute, share, float32_sums=False),
        CONVOLUTIONS: lambda: _convolution(compute, share, direct=True),
        IM2COL: lambda: _convolution(compute, share, direct=False),
        ON_CPU["text_encoder"]: lambda: _product(_on_cpu, share, kernels=True),
        ON_CPU["vae"]: lambda: _convolution(_on_cpu, share, kernels=True),
    }


def _on_cpu(*given: object, **how: object) -> Computed:
    """As the engine computes on the CPU, with all of its threads."""
    return operations.compute(*given, device="cpu", threads=default_threads(), **how)  # type: ignore[arg-type]


def _product(compute: Compute, share: float, **how: object) -> float:
    """TFLOP/s of a product with a layer's weights."""
    tokens = round(_TOKENS * share)
    weights, _ = random_weights("Q8_0", _WIDTH, _WIDTH)
    computed = compute(Operation.MULTIPLY, np.ones((tokens, _WIDTH), np.float32), weights, repeat=_TIMES, **how)
    return 2 * _WIDTH * _WIDTH * tokens / max(computed.seconds, 1e-9) / 1e12


def _convolution(compute: Compute, share: float, **how: object) -> float:
    """TFLOP/s of a convolution of a VAE."""
    edge = round(_EDGE * share)
    weights, _ = random_weights("F16", _CHANNELS, _CHANNELS, 3, 3)
    picture = np.ones((_CHANNELS, edge, edge), np.float32)
    seconds = compute(Operation.CONVOLVE, picture, weights, repeat=_TIMES, **how).seconds
    return 2 * _CHANNELS * _CHANNELS * 9 * edge * edge / max(seconds, 1e-9) / 1e12


def _others(compute: Compute, share: float) -> tuple[float, float, float]:
    """The slowest of what is between products, as its pace counts it; upload in MiB/s, there and back in GB/s."""
    numbers: Found = np.ones((16, 1024, round(1024 * share)), np.float32)
    found = [
        compute(operation, numbers, repeat=_TIMES)
        for operation in (Operation.SILU, Operation.RMS_NORM, Operation.SOFT_MAX)
    ]
    begin = time.perf_counter()
    seconds = compute(Operation.SILU, numbers).seconds
    there_and_back = 2 * numbers.nbytes / max(1e-6, time.perf_counter() - begin - seconds) / 1e9
    pace = min(sum(computed.costs) / max(computed.seconds, 1e-9) for computed in found)
    return pace / 1e12, max(computed.upload for computed in found) / 2**20, there_and_back
