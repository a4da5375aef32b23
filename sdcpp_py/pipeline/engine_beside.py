"""The other half at work: an engine on the CPU that decodes a picture while the next one is denoised on a GPU."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from sdcpp_py._native.any_engine import AnyEngine
from sdcpp_py._native.engine import Listener
from sdcpp_py._native.library import find_device
from sdcpp_py._native.requests import DecodeRequest, OpenRequest
from sdcpp_py.memory.plan import MemoryPlan
from sdcpp_py.memory.residency import Residency
from sdcpp_py.models.files import ModelFiles
from sdcpp_py.parts import PARTS
from sdcpp_py.pipeline.isolation.choice import new_engine


class EngineBeside:
    """An engine over the files of a model, all of it on the CPU, of which it has the VAE's weights alone.

    As the other engine, it is for one thread, except ``cancel``. What it decodes has the bits that the other one would
    give on the CPU.

    Args:
        files: of the model.
        threads: CPU threads.
        isolated: whether it has a process of its own.
        check: the engine's, which says by what it raises that the call is to stop.

    Raises as ``new_engine`` does.
    """

    def __init__(self, files: ModelFiles, threads: int, isolated: bool, check: Callable[[], None]) -> None:
        self._files = files
        self._threads = threads
        self._engine: AnyEngine = new_engine(isolated, check=check)
        self._residency: Residency | None = None
        self._measured: tuple[object, ...] = ()

    @property
    def bytes_held(self) -> int:
        """Bytes of the VAE's weights in memory."""
        return 0 if self._residency is None else self._residency.bytes_held["vae"]

    def prepare(self, plan: MemoryPlan, latent: NDArray[np.float32], listen: Listener) -> None:
        """Makes ready for pictures of a plan, of which ``latent`` is one, where it is not. Raises as engines do."""
        if self._residency is None:
            self._engine.run(
                OpenRequest(self._files.sources, dict.fromkeys(PARTS, find_device("cpu").native_name), self._threads),
                listen,
            )
            self._residency = Residency(self._engine, None)
        if self._measured != (latent.shape, plan.vae_tile_size):
            # What the VAE does not use for this, such as its encoder, is left in the file.
            self._engine.measure(self._request(latent, plan))
            self._measured = (latent.shape, plan.vae_tile_size)
        self._residency.prepare(plan, "vae", listen)

    def begin(self, latent: NDArray[np.float32], plan: MemoryPlan) -> None:
        """Begins to decode a latent, once it is ready for that."""
        self._engine.begin(self._request(latent, plan))

    def hear(self, listen: Listener, seconds: float) -> NDArray[np.uint8] | None:
        """The pixels of the latent, uint8 of shape (height, width, 3); None where it is not through after a while.

        Args:
            listen: is told of progress.
            seconds: to wait, at most.

        Raises as ``AnyEngine.hear`` does.
        """
        found = self._engine.hear(listen, seconds=seconds)
        return None if found is None else found["image"]

    def cancel(self) -> None:
        """Tells it to stop. From any thread."""
        self._engine.cancel()

    def close(self) -> None:
        """Stops it and frees what it has. May be called twice."""
        self._engine.close()

    def _request(self, latent: NDArray[np.float32], plan: MemoryPlan) -> DecodeRequest:
        return DecodeRequest(latent, plan.vae_tile_size // self._files.family.pixels_per_latent)
