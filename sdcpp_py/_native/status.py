"""From native statuses to Python's errors. The one place where that is decided."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Any, NoReturn

from sdcpp_py.errors import (
    DeviceLostError,
    GenerationCancelled,
    GenerationError,
    ModelLoadError,
    NativeLibraryError,
    OutOfMemoryError,
    SdcppError,
    SettingsError,
)


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
}
_ADVICE: Mapping[Status, str] = {
    Status.OUT_OF_MEMORY: "draw a smaller picture, set vae_tile_size=256, or take a smaller quantization",
    Status.DEVICE_LOST: "draw a smaller picture, raise the GPU watchdog's timeout (see `sdcpp-py doctor`), "
    "or use device='cpu'; the driver gives a lost device back to a new process only",
    Status.BROKEN: "the model will be loaded anew for the next picture",
}


def raise_failure(failure: Any, ffi: Any) -> NoReturn:
    """Raises the error that a filled ``sdpy_failure`` stands for."""
    status = Status(failure.status)
    message = bytes(ffi.string(failure.message)).decode("utf-8", errors="replace")
    detail = bytes(ffi.string(failure.detail)).decode("utf-8", errors="replace")
    if status in _ADVICE:
        message = f"{message}; {_ADVICE[status]}"
    raise ERRORS[status](message, detail=detail)
