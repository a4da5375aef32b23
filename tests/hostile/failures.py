"""Failures at every place of a tiny run: each read of a file, each node of a graph, each native allocation."""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from random import Random

import numpy as np

from sdcpp_py import GenerationError, Generator, ModelLoadError, OutOfMemoryError, SdcppError
from sdcpp_py._native.library import lib
from sdcpp_py.models.files import arguments_of
from tests.hostile.attempts import SMALL, TINY, Attempts
from tests.support.reading import reading

_STRIDE = 7919
"""A prime that no count of places is a multiple of: numbers go over all places, far from each other."""
_PROMPT = "a red circle"


class Failures(Attempts):
    """Fails at one place for each number, and with as many numbers as there are places at all of them."""

    errors: tuple[type[SdcppError], ...] = ()
    """Those that are documented for it."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        # Of its own: generators over equal files share their weights, and would have them read already.
        self._files = {role: Path(shutil.copy(path, folder)) for role, path in TINY.items()}
        self._generator: Generator | None = None
        self._expected = self._drawn()
        self.places = self.count()

    def count(self) -> int:
        """How many places a run has."""
        raise NotImplementedError

    def failing(self, place: int) -> Callable[[], None]:
        """Arranges the failure, and returns what takes it away."""
        raise NotImplementedError

    def attempt(self, random: Random, number: int) -> str:
        """As in the base."""
        del random
        place = number * _STRIDE % self.places
        end = self.failing(place)
        try:
            outcome = "the right picture"
            if not np.array_equal(self._drawn(), self._expected):
                raise AssertionError(f"another picture, without an error, at {place} of {self.places}")
        except self.errors as error:
            outcome = type(error).__name__
        finally:
            end()
        if not np.array_equal(self._drawn(), self._expected):
            raise AssertionError(f"another picture after {outcome} at {place} of {self.places}")
        return outcome

    def close(self) -> None:
        """The next picture opens the model anew."""
        if self._generator is not None:
            self._generator.close()
        self._generator = None

    def _drawn(self) -> np.ndarray:
        if self._generator is None:
            self._generator = Generator(
                **arguments_of(self._files), device="cpu", threads=1, cache_prompts=False, isolation="thread"
            )
        return np.asarray(self._generator.generate(_PROMPT, **SMALL))


class _Nodes(Failures):
    """A node of a graph, of the text encoder, the denoiser or the VAE."""

    errors = (GenerationError,)
    fault: int

    def count(self) -> int:
        """As in the base."""
        lib.sdpy_arrange_node_fault(lib.SDPY_NODE_WORKS, 0)
        self._drawn()
        return int(lib.sdpy_nodes_computed())

    def failing(self, place: int) -> Callable[[], None]:
        """As in the base."""
        lib.sdpy_arrange_node_fault(self.fault, place)
        return lambda: lib.sdpy_arrange_node_fault(lib.SDPY_NODE_WORKS, 0)


class NodeThrows(_Nodes):
    """An exception."""

    fault = lib.SDPY_NODE_THROWS


class NodeFails(_Nodes):
    """The backend says that it failed."""

    fault = lib.SDPY_NODE_FAILS


class NodeWithoutMemory(_Nodes):
    """The backend says that memory ran out."""

    fault = lib.SDPY_NODE_NO_MEMORY
    errors = (OutOfMemoryError,)


class NodeCheck(_Nodes):
    """A check fails on the job's thread."""

    fault = lib.SDPY_NODE_CHECK


class NodeNan(_Nodes):
    """Its result is not numbers."""

    fault = lib.SDPY_NODE_NAN


class NodeInfinity(_Nodes):
    """Its result is infinite."""

    fault = lib.SDPY_NODE_INFINITY


class _Reads(Failures):
    """A read of a file, while a model is opened and the first picture generated."""

    errors = (ModelLoadError,)
    fault: str

    def count(self) -> int:
        """As in the base."""
        self.close()
        with reading():
            self._drawn()
            return int(lib.sdpy_reads_made())

    def failing(self, place: int) -> Callable[[], None]:
        """As in the base."""
        self.close()
        stack = contextlib.ExitStack()
        stack.enter_context(reading(fault=self.fault, at=place))
        return stack.close


class ReadShort(_Reads):
    """Half of the bytes come at first."""

    fault = "short"


class ReadEnds(_Reads):
    """The file is shorter than it was."""

    fault = "ends"


class ReadFails(_Reads):
    """An error of the disk."""

    fault = "fails"


class Allocations(Failures):
    """An allocation of a thread that is none of Python's, by a library that stands before the system's."""

    errors = (GenerationError, ModelLoadError)

    def __init__(self, folder: Path) -> None:
        self._shim = ctypes.CDLL(None)
        self._shim.sdpy_test_allocations.restype = ctypes.c_long
        super().__init__(folder)

    def count(self) -> int:
        """As in the base."""
        self._shim.sdpy_test_fail_allocation(ctypes.c_long(-1))
        self._drawn()
        return int(self._shim.sdpy_test_allocations())

    def failing(self, place: int) -> Callable[[], None]:
        """As in the base."""
        self._shim.sdpy_test_fail_allocation(ctypes.c_long(place))
        return self._none_fails

    def _none_fails(self) -> None:
        self._shim.sdpy_test_fail_allocation(ctypes.c_long(-1))


def allocation_shim(folder: Path) -> dict[str, str]:
    """Compiles the library that fails allocations. Returns the environment in which a process has it."""
    built = folder / "allocation_faults.so"
    source = Path(__file__).with_name("allocation_faults.c")
    compiler = os.environ.get("CC", "cc")
    subprocess.run([compiler, "-shared", "-fPIC", "-O2", "-o", str(built), str(source)], check=True)
    return {"LD_PRELOAD": str(built)}


FAILURES: dict[str, type[Failures]] = {
    "node-throws": NodeThrows,
    "node-fails": NodeFails,
    "node-without-memory": NodeWithoutMemory,
    "node-check": NodeCheck,
    "node-nan": NodeNan,
    "node-infinity": NodeInfinity,
    "read-short": ReadShort,
    "read-ends": ReadEnds,
    "read-fails": ReadFails,
    "allocation": Allocations,
}
