"""One native engine: jobs started, listened to and awaited, arrays carried in and out."""

from __future__ import annotations

import logging
import os
import threading
import time
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sdcpp_py._native.library import ffi, lib, start, text
from sdcpp_py._native.status import raise_failure
from sdcpp_py.errors import GenerationError
from sdcpp_py.progress import Phase

logger = logging.getLogger("sdcpp_py")
# Silent unless a program asks: without this, Python would print warnings of an unconfigured logger.
logger.addHandler(logging.NullHandler())

# How long one wait inside the native library lasts. Python notices Ctrl-C between two waits.
_WAIT_MS = 50
# After an exception the job is told to stop. A matrix product of a large model may take seconds to come to its end; the
# exception is not held back for that long, and the next job waits for the rest.
_PATIENCE_SECONDS = 0.3

_PHASES = (Phase.LOAD, Phase.ENCODE, Phase.DENOISE, Phase.DECODE)
_LEVELS = (logging.DEBUG, logging.DEBUG, logging.WARNING, logging.ERROR)
_DTYPES: tuple[type[np.generic], ...] = (np.float32, np.int32, np.uint8)

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Report:
    """One progress event of the native library."""

    phase: Phase
    fraction: float
    step: int
    steps: int
    bytes_done: int
    bytes_total: int


Listener = Callable[[Report], object]


@dataclass(frozen=True)
class ModelInfo:
    """What the engine says of a loaded model; sizes in bytes of memory."""

    family: str
    device: str
    text_encoder_bytes: int
    diffusion_model_bytes: int
    vae_bytes: int


class Engine:
    """An engine with its own native thread. Not for two threads at once, except ``cancel``."""

    def __init__(self) -> None:
        start()
        failure = ffi.new("sdpy_failure *")
        self._handle = lib.sdpy_engine_new(failure)
        if not self._handle:
            raise_failure(failure, ffi)
        self._event = ffi.new("sdpy_event *")
        self._failure = ffi.new("sdpy_failure *")
        self._running = False
        self.broken = False
        # Closes the race of ``cancel`` in one thread against ``close`` in another, which frees the handle.
        self._handle_lock = threading.Lock()
        self._open = True
        # Runs at the latest when the interpreter ends: the native thread must not outlive what it uses.
        self._process = os.getpid()
        self._finalizer = weakref.finalize(self, _free, self._handle, self._process)

    def close(self) -> None:
        """Cancels what runs and frees the model. May be called twice.

        A job that does not end at once (a matrix product of a large model takes seconds) is waited for in the
        background, and then the model is freed; the interpreter does not end before that.
        """
        self.cancel()
        with self._handle_lock:
            self._open = False
        if self._finalizer.alive:
            self._settle(_PATIENCE_SECONDS)
        if not self._running:
            self._finalizer()
            return
        try:
            threading.Thread(target=self._finalizer, name="sdcpp_py closing").start()
        except RuntimeError:  # the interpreter is ending, and starts no more threads
            self._finalizer()

    def cancel(self) -> None:
        """Tells the running job to stop. From any thread; without effect when none runs."""
        with self._handle_lock:
            if self._open and os.getpid() == self._process:
                lib.sdpy_cancel(self._handle)

    def settle(self) -> None:
        """Waits until a job that was told to stop has come to its end; ``broken`` is certain then."""
        self._settle(None)

    def load(
        self,
        *,
        diffusion_model: Path,
        text_encoder: Path,
        vae: Path,
        vae_is_tiny: bool,
        device: str,
        threads: int,
        listen: Listener,
    ) -> ModelInfo:
        """Reads the weights of a model.

        Args:
            diffusion_model, text_encoder, vae: files.
            vae_is_tiny: whether the autoencoder is one in TAESD's format.
            device: a native device name.
            threads: CPU threads.
            listen: is told of progress and log lines.
        """
        paths = [ffi.new("char[]", str(path).encode()) for path in (diffusion_model, text_encoder, vae)]
        name = ffi.new("char[]", device.encode())
        request = ffi.new("sdpy_load_request *", [*paths, vae_is_tiny, name, threads])
        self._run(lib.sdpy_begin_load, request, listen)
        info = ffi.new("sdpy_model_info *")
        if lib.sdpy_model_info_get(self._handle, info, self._failure):
            raise_failure(self._failure, ffi)
        return ModelInfo(
            family=text(info.family),
            device=text(info.device),
            text_encoder_bytes=info.text_encoder_bytes,
            diffusion_model_bytes=info.diffusion_model_bytes,
            vae_bytes=info.vae_bytes,
        )

    def encode(
        self, *, prompt: str, max_tokens: int, width: int, height: int, threads: int, listen: Listener
    ) -> dict[str, NDArray[Any]]:
        """The text encoder's states for a prompt, by name."""
        encoded = ffi.new("char[]", prompt.encode())
        request = ffi.new("sdpy_encode_request *", [encoded, max_tokens, width, height, threads])
        self._run(lib.sdpy_begin_encode, request, listen)
        return self._results()

    def denoise(
        self,
        *,
        text_states: Arrays,
        negative_states: Arrays,
        noise: NDArray[np.float32] | None,
        width: int,
        height: int,
        seed: int,
        sampler: str,
        scheduler: str,
        steps: int,
        sigmas: tuple[float, ...],
        cfg_scale: float,
        threads: int,
        listen: Listener,
    ) -> NDArray[np.float32]:
        """Runs the sampler; returns the latent (channels, height, width). Empty ``sigmas``: the scheduler's own."""
        positive, keep_positive = _to_native(text_states)
        negative, keep_negative = _to_native(negative_states)
        noises, keep_noise = _to_native({} if noise is None else {"noise": noise})
        names = [ffi.new("char[]", name.encode()) for name in (sampler, scheduler)]
        schedule = ffi.new("float[]", list(sigmas))
        request = ffi.new("sdpy_denoise_request *")
        request.text, request.text_count = positive, len(text_states)
        request.negative, request.negative_count = negative, len(negative_states)
        request.noise = ffi.NULL if noise is None else noises
        request.width, request.height, request.seed, request.steps = width, height, seed, steps
        request.sampler, request.scheduler = names
        request.sigmas, request.sigma_count = schedule, len(sigmas)
        request.cfg_scale, request.eta, request.flow_shift = cfg_scale, float("inf"), float("inf")
        request.threads = threads
        self._run(lib.sdpy_begin_denoise, request, listen)
        del keep_positive, keep_negative, keep_noise  # the request has been copied by now
        return self._results()["latent"]

    def decode(
        self, *, latent: NDArray[np.float32], tile_size: int, threads: int, listen: Listener
    ) -> NDArray[np.uint8]:
        """The picture (height, width, 3) of a latent. ``tile_size`` in latent cells, 0 for one piece."""
        arrays, keep = _to_native({"latent": latent})
        request = ffi.new("sdpy_decode_request *", [arrays, tile_size, threads])
        self._run(lib.sdpy_begin_decode, request, listen)
        del keep
        return self._results()["image"]

    def fail(self, fault: int) -> None:
        """Makes the engine fail in one of the ways of ``sdpy_fault``: for the tests of what follows from it."""
        self._run(lambda handle, request, failure: lib.sdpy_begin_fault(handle, fault, failure), None, lambda _: None)

    def _run(self, begin: Callable[[Any, Any, Any], int], request: Any, listen: Listener) -> None:
        if os.getpid() != self._process:
            raise GenerationError("this generator was made before a fork; make it in the process that draws")
        self._settle(None)
        # Before the job begins: Ctrl-C may strike between any two lines, and waiting for a job that never began returns
        # at once, while a job that is forgotten would be in the way of the next.
        self._running = True
        try:
            if begin(self._handle, request, self._failure):
                self._running = False
                raise_failure(self._failure, ffi)
            while not self._hear(listen):
                pass
        except BaseException:
            self.cancel()
            self._settle(_PATIENCE_SECONDS)
            raise
        if self._failure.status:
            raise_failure(self._failure, ffi)

    def _hear(self, listen: Listener) -> bool:
        """Takes one event; returns whether the job has ended."""
        kind = lib.sdpy_wait(self._handle, _WAIT_MS, self._event, self._failure)
        event = self._event
        if kind == lib.SDPY_EVENT_PROGRESS:
            listen(
                Report(_PHASES[event.phase], event.fraction, event.step, event.steps, event.bytes, event.total_bytes)
            )
        elif kind == lib.SDPY_EVENT_LOG:
            logger.log(_LEVELS[event.level], "%s", text(event.text))
        elif kind == lib.SDPY_EVENT_DONE:
            self._running = False
            self.broken = bool(lib.sdpy_engine_spent(self._handle))
            return True
        return False

    def _settle(self, patience: float | None) -> None:
        """Lets a job that was told to stop come to its end, for ``patience`` seconds at most (None: however long)."""
        if os.getpid() != self._process:
            return  # a fork copies the handle and not the thread behind it, which would be waited for without end
        deadline = None if patience is None else time.monotonic() + patience
        while self._running and (deadline is None or time.monotonic() < deadline):
            self._hear(lambda _: None)

    def _results(self) -> dict[str, NDArray[Any]]:
        raw = ffi.new("sdpy_array *")
        results = {}
        for index in range(lib.sdpy_result_count(self._handle)):
            if lib.sdpy_result_at(self._handle, index, raw):
                raise GenerationError("the native library gave no result")
            shape = tuple(raw.shape[axis] for axis in range(raw.ndim))
            dtype = np.dtype(_DTYPES[raw.dtype])
            size = int(np.prod(shape)) * dtype.itemsize
            # A copy: the native library's memory is gone with the next job.
            results[text(raw.name)] = np.frombuffer(ffi.buffer(raw.data, size), dtype).reshape(shape).copy()
        return results


def _free(handle: Any, process: int) -> None:
    # As in _settle: after a fork, there is nothing here to wait for.
    if os.getpid() == process:
        lib.sdpy_engine_free(handle)


def _to_native(arrays: Arrays) -> tuple[Any, list[Any]]:
    """A C array of ``sdpy_array``, and what must be kept alive while it is used."""
    native = ffi.new("sdpy_array[]", max(1, len(arrays)))
    keep: list[Any] = []
    for place, (name, array) in enumerate(arrays.items()):
        contiguous = np.ascontiguousarray(array)
        native[place].name = name.encode()
        native[place].dtype = [np.dtype(dtype) for dtype in _DTYPES].index(contiguous.dtype)
        native[place].ndim = contiguous.ndim
        native[place].shape = list(contiguous.shape)
        native[place].data = ffi.from_buffer(contiguous)
        keep.append(contiguous)
    return native, keep
