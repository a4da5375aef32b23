"""From native statuses to Python's errors. The one place where that is decided."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Any, NoReturn

from sdcpp_py.errors import (
    DeviceLostError,
    GenerationCancelled,
    GenerationError,
    GeneratorClosedError,
    ModelLoadError,
    NativeLibraryError,
    OutOfMemoryError,
    SdcppError,
    SettingsError,
)
from sdcpp_py.naming import named


class Status(IntEnum):
    """``sdpy_status`` of native/base/sdpy.h (a test holds the two against each other)."""

    OK = 0
    CANCELLED = 1
    BUSY = 2
    BAD_SETTINGS = 3
    LOAD_FAILED = 4
    GENERATION_FAILED = 5
    OUT_OF_MEMORY = 6
    DEVICE_LOST = 7
    BROKEN = 8
    NO_BACKEND = 9
    CLOSED = 10


ERRORS: Mapping[Status, type[SdcppError]] = {
    Status.CANCELLED: GenerationCancelled,
    Status.BUSY: GenerationError,
    Status.BAD_SETTINGS: SettingsError,
    Status.LOAD_FAILED: ModelLoadError,
    Status.GENERATION_FAILED: GenerationError,
    Status.OUT_OF_MEMORY: OutOfMemoryError,
    Status.DEVICE_LOST: DeviceLostError,
    Status.BROKEN: GenerationError,
    Status.NO_BACKEND: NativeLibraryError,
    Status.CLOSED: GeneratorClosedError,
}


def _advice(status: Status) -> str:
    if status is Status.OUT_OF_MEMORY:
        return f"generate a smaller picture, set {named('vae_tile_size', 256)}, or take a smaller quantization"
    if status is Status.DEVICE_LOST:
        return (
            "generate a smaller picture, raise the GPU watchdog's timeout (see `sdcpp-py doctor`), or use "
            f"{named('device', 'cpu')}; the driver gives a lost device back to a new process only"
        )
    return "the model will be loaded anew for the next picture" if status is Status.BROKEN else ""


def raise_failure(failure: Any, ffi: Any) -> NoReturn:
    """Raises the error that a filled ``sdpy_failure`` stands for."""
    status = Status(failure.status)
    message = bytes(ffi.string(failure.message)).decode("utf-8", errors="replace")
    detail = bytes(ffi.string(failure.detail)).decode("utf-8", errors="replace")
    advice = _advice(status)
    if advice:
        message = f"{message}; {advice}"
    raise ERRORS[status](message, detail=detail)
