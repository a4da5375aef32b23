"""A GPU that the CPU plays, and that is lost, or decodes to nothing, when a test says so."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from sdcpp_py import Generator
from sdcpp_py._native import library
from sdcpp_py._native.any_engine import AnyEngine
from sdcpp_py._native.engine import Engine
from sdcpp_py._native.requests import DecodeRequest, FaultRequest, Request
from sdcpp_py.pipeline.isolation import choice
from sdcpp_py.pipeline.isolation.remote_engine import RemoteEngine

GPU = "vulkan0"
Decoded = Callable[[NDArray[np.uint8]], NDArray[np.uint8]]


class PlayedGpu:
    """What the GPU does, and what was asked of it.

    Attributes:
        losses: for each engine that is made, in order: after how many steps it loses its device, what it does before
            each request, or None.
        targets: the submission target of each engine that was made.
        requests: all that were run, by their class's name.
    """

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.losses: list[int | Callable[[Request], object] | None] = []
        self.targets: list[int | None] = []
        self.requests: list[str] = []
        self._patch = patch
        [cpu] = [device for device in library.devices() if device.name == "cpu"]
        played = replace(cpu, name=GPU, description="a GPU that the CPU plays", is_gpu=True)
        patch.setattr(library, "devices", lambda: [cpu, played])
        made = choice.new_engine

        def new_engine(isolated: bool, file: int | None, target: int | None, check: Callable[[], None]) -> AnyEngine:
            engine = made(isolated, file, target, check)
            self.targets.append(target)
            self._prepare(engine, self.losses.pop(0) if self.losses else None)
            return engine

        patch.setattr("sdcpp_py.pipeline.pipeline.new_engine", new_engine)

    def _prepare(self, engine: AnyEngine, loss: int | Callable[[Request], object] | None) -> None:
        assert isinstance(engine, (Engine, RemoteEngine))
        run = engine.run
        if isinstance(loss, int):
            run(FaultRequest(library.lib.SDPY_FAULT_DEVICE_LOST, loss))

        def noted(request: Request, *listen: Any) -> dict[str, NDArray[Any]]:
            self.requests.append(type(request).__name__)
            if callable(loss) and loss(request):
                run(FaultRequest(library.lib.SDPY_FAULT_DEVICE_LOST))
            return run(request, *listen)

        self._patch.setattr(engine, "run", noted)

    @contextmanager
    def decoding(self, generator: Generator, spoil: Decoded) -> Iterator[None]:
        """Spoils what is decoded as long as the VAE is on the GPU."""
        run = generator._pipeline.engine.run

        def spoiled(request: Request, *listen: Any) -> dict[str, NDArray[Any]]:
            found = run(request, *listen)
            if isinstance(request, DecodeRequest) and generator._pipeline.placement["vae"].is_gpu:
                return {"image": spoil(found["image"])}
            return found

        with self._patch.context() as patch:
            patch.setattr(generator._pipeline.engine, "run", spoiled)
            yield
