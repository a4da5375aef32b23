"""From native statuses to Python's errors. The one place where that is decided."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
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
    NOT_NUMBERS = 11


class NotNumbersError(GenerationError):
    """A part gave values that are not numbers. Who knows the files turns it into an error that says why."""


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
    Status.NOT_NUMBERS: NotNumbersError,
}


def _advice(status: Status, *, renewed: bool) -> str:
    if status is Status.OUT_OF_MEMORY:
        return f"generate a smaller picture, set {named('vae_tile_size', 256)}, or take a smaller quantization"
    if status is Status.DEVICE_LOST:
        again = (
            "the next picture has it back, in a new process"
            if renewed
            else "the driver gives a lost device back to a new process only"
        )
        return (
            "generate a smaller picture, raise the GPU watchdog's timeout (see `sdcpp-py doctor`), or use "
            f"{named('device', 'cpu')}; {again}"
        )
    return "the model will be loaded anew for the next picture" if status is Status.BROKEN else ""


@dataclass(frozen=True)
class Failure:
    """What the native library says of a failure.

    Attributes:
        status: its kind.
        message: what happened, without advice.
        detail: the engine's own last log lines.
    """

    status: Status
    message: str
    detail: str

    @classmethod
    def read(cls, failure: Any, ffi: Any) -> Failure:
        """That of a filled ``sdpy_failure``."""
        message, detail = (
            bytes(ffi.string(text)).decode("utf-8", errors="replace") for text in (failure.message, failure.detail)
        )
        return cls(Status(failure.status), message, detail)

    def error(self, *, renewed: bool = False) -> SdcppError:
        """The error that it is. ``renewed``: a device that was lost is had back by itself, in a new process."""
        advice = _advice(self.status, renewed=renewed)
        return ERRORS[self.status](f"{self.message}; {advice}" if advice else self.message, detail=self.detail)


def raise_failure(failure: Any, ffi: Any) -> NoReturn:
    """Raises the error that a filled ``sdpy_failure`` stands for."""
    raise Failure.read(failure, ffi).error()
