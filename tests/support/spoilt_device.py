"""The self-test's process, over a device that plays a broken one: ``python tests/support/spoilt_device.py FAULT``."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sdcpp_py._native.operations import Computed, Operation, StoredWeights, compute
from sdcpp_py.errors import SettingsError
from sdcpp_py.preflight.self_test import child
from sdcpp_py.system.gpu_records import HOST_MEMORY

Array = NDArray[np.float32]
Spoil = Callable[[Operation, StoredWeights | None, dict[str, Any], Array], Array]


def _nothing(operation: Operation, weights: StoredWeights | None, how: dict[str, Any], result: Array) -> Array:
    return result


def _half_sums(operation: Operation, weights: StoredWeights | None, how: dict[str, Any], result: Array) -> Array:
    """As a GPU without matrix cores sums up, where it is not told otherwise: a per cent off, and cut off."""
    if operation is not Operation.MULTIPLY or how.get("float32_sums"):
        return result
    noise = np.random.default_rng(0).standard_normal(result.shape).astype(np.float32)
    return np.clip(result + 0.01 * float(result.std()) * noise, -65504, 65504)


def _clamped(operation: Operation, weights: StoredWeights | None, how: dict[str, Any], result: Array) -> Array:
    return np.clip(result, -65504, 65504)


def _overflowing(operation: Operation, weights: StoredWeights | None, how: dict[str, Any], result: Array) -> Array:
    """As it should: what is too large is no number."""
    return np.where(abs(result) > 65504, np.float32(np.inf), result)


def _eight_bits_wrong(operation: Operation, weights: StoredWeights | None, how: dict[str, Any], result: Array) -> Array:
    """As a driver with wrong products of bytes: quantized weights alone."""
    return -result if weights is not None and operation is Operation.MULTIPLY and weights.type > 1 else result


def _convolution(direct: bool | None) -> Spoil:
    def spoil(operation: Operation, weights: StoredWeights | None, how: dict[str, Any], result: Array) -> Array:
        hit = operation is Operation.CONVOLVE and direct in (None, how.get("direct", False))
        return result[::-1] if hit else result

    return spoil


def _last_token(operation: Operation, weights: StoredWeights | None, how: dict[str, Any], result: Array) -> Array:
    """As a shader that forgets the rest beside its tiles."""
    if operation is Operation.MULTIPLY and len(result) % 8:
        result = result.copy()
        result[-1] = 0
    return result


def _imports(operation: Operation, weights: StoredWeights | None, how: dict[str, Any], result: Array) -> Array:
    """As a driver that reads other memory than it has imported."""
    return np.zeros_like(result) if how.get("imported") else result


def _written(operation: Operation, weights: StoredWeights | None, how: dict[str, Any], result: Array) -> Array:
    """As a driver that does not see what the CPU writes into the GPU's memory."""
    return np.zeros_like(result) if HOST_MEMORY in os.environ else result


def _one(of: Operation) -> Spoil:
    return lambda operation, weights, how, result: result * 2 if operation is of else result


SPOILS: dict[str, Spoil] = {
    "nothing": _nothing,
    # What imports meet, and nothing else.
    **dict.fromkeys(("no imports", "dies of imports", "slow imports"), _nothing),
    # What memory that the CPU writes into meets; the clock of these devices stands still, so that figures are certain.
    **dict.fromkeys(("writes", "writes slowly", "writes late", "dies of writing"), _nothing),
    "writes wrongly": _written,
    "NaN": lambda operation, weights, how, result: np.full_like(result, np.nan),
    "one NaN": lambda operation, weights, how, result: np.where(result == result.max(), np.float32(np.nan), result),
    "zeros": lambda operation, weights, how, result: np.zeros_like(result),
    "noise": lambda operation, weights, how, result: (
        np.random.default_rng(0).standard_normal(result.shape).astype(np.float32)
    ),
    "half sums": _half_sums,
    "clamped": _clamped,
    "overflowing": _overflowing,
    "products of bytes": _eight_bits_wrong,
    "direct convolutions": _convolution(True),
    "im2col convolutions": _convolution(False),
    "all convolutions": _convolution(None),
    "last token": _last_token,
    "imports": _imports,
    **{operation.name: _one(operation) for operation in list(Operation)[2:]},
}


def spoilt(fault: str) -> Callable[..., Computed]:
    """``compute`` of such a device."""

    def on_device(
        operation: Operation, activations: Array, weights: StoredWeights | None = None, **how: Any
    ) -> Computed:
        if how.get("imported") and (fault == "no imports" or "writ" in fault):
            raise SettingsError("the device does not import memory of this process")
        if how.get("imported") and fault == "dies of imports":
            os.kill(os.getpid(), signal.SIGSEGV)
        found = compute(operation, activations, weights, threads=2, **how)
        if how.get("imported") and fault == "slow imports":
            found = replace(found, seconds=2 * found.seconds)
        if "writ" in fault:
            found = _steady(found, fault, HOST_MEMORY in os.environ)
        return replace(found, result=SPOILS[fault](operation, weights, how, found.result))

    return on_device


def _steady(found: Computed, fault: str, host_memory: bool) -> Computed:
    seconds = 0.012 if host_memory and fault == "writes slowly" else 0.01
    upload = 4e9 if host_memory and fault != "writes late" else 1e9
    return replace(found, seconds=seconds, upload=upload if found.upload else 0.0)


def _play(fault: str, options: list[str]) -> None:
    spoil, _, mended_by = fault.partition(" unless ")
    if mended_by and mended_by in os.environ:
        spoil = "nothing"
    if spoil == "dies":
        os.kill(os.getpid(), signal.SIGSEGV)
    if spoil == "dies of writing" and HOST_MEMORY in os.environ:
        os.kill(os.getpid(), signal.SIGSEGV)
    if spoil == "is ended":
        os.kill(os.getpid(), signal.SIGTERM)
    if spoil == "hangs":
        time.sleep(600)
    if spoil == "crawls":
        outcome = {"kind": "products", "name": "a, b", "most": 1e-3, "error": 0.0, "refused": ""}
        for said in (
            {"ahead": {"products": 3, "pictures": 1}},
            {"outcome": outcome},
            {"device": {"driver": "llvmpipe"}},
        ):
            print(f"{child.MARK}{json.dumps(said)}", flush=True)
        time.sleep(600)
    if spoil == "talks":
        sys.stdout.write('a driver\'s own words\nself-test {\nself-test 3\nself-test {"outcome": {}}\n')
    if spoil == "fails":
        raise RuntimeError("the device was lost")
    on_device = spoilt(spoil if spoil in SPOILS else "nothing")
    # The device's picture is drawn first, and then the CPU's.
    levels = iter([60 if spoil == "other picture" else 0, 0])
    child.main(["cpu", "quick", *options], on_device, lambda device: np.full((8, 8, 3), next(levels), np.uint8))


if __name__ == "__main__":
    _play(sys.argv[1], sys.argv[2:])
