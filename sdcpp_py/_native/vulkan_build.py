"""The Vulkan module: which one it is, and the switches that are set while it is loaded."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from sdcpp_py.errors import NativeLibraryError
from sdcpp_py.system.vulkan_drivers import driver_version
from sdcpp_py.version import __version__

SELF_TEST_VARIABLE = "SDCPP_PY_SELF_TEST"
"""The environment variable that, as "off", has GPUs used as if nothing were known of them."""
WEIGHTS_VARIABLE = "SDCPP_PY_WEIGHTS"
"""The environment variable that says how weights come to GPUs, whatever the self-test found."""
_SETTINGS = "GGML_VK_"


def vulkan_build(module_dir: Path) -> tuple[str, ...]:
    """What decides how a GPU computes and may change: this library, its module, drivers, kernel, the environment.

    The module is known by its size and time: every process asks, and reading its 30 MB would take longer than a start.

    Args:
        module_dir: where the module lies. Empty where there is none.
    """
    try:
        found = (module_dir / "libggml-vulkan.so").stat()
    except OSError:
        return ()
    module = f"{found.st_size} {found.st_mtime_ns}"
    settings = sorted(f"{name}={value}" for name, value in os.environ.items() if name.startswith(_SETTINGS))
    kernel = os.uname().release if hasattr(os, "uname") else ""
    return (__version__, module, driver_version(), kernel, " ".join(settings))


def check_environment() -> None:
    """Raises NativeLibraryError where the environment says something of GPUs that means nothing."""
    for variable, *wishes in ((SELF_TEST_VARIABLE, "auto", "off"), (WEIGHTS_VARIABLE, "imported", "uploaded")):
        wish = os.environ.get(variable, "")
        if wish not in ("", *wishes):
            raise NativeLibraryError(f"{variable} is {wish!r}; it must be {' or '.join(wishes)}, or left unset")


def heeds_records() -> bool:
    """Whether what is known of GPUs is heeded in this process."""
    return os.environ.get(SELF_TEST_VARIABLE) != "off"


def wished_weights() -> str:
    """How weights are to come to GPUs: "imported", "uploaded", or "" where that is left to the self-test."""
    return os.environ.get(WEIGHTS_VARIABLE, "")


def needed_switches(build: Sequence[str]) -> tuple[str, ...]:
    """The switches for GPUs of which records are kept for a build; none where records are not heeded.

    The module is loaded before it says which GPUs there are: a switch of one that is gone is set all the same.
    """
    if not build or not heeds_records():
        return ()
    # Records are read where there is a GPU module; `import sdcpp_py` is quicker without.
    from sdcpp_py.system.gpu_records import HOST_MEMORY, SWITCHES, WRITTEN, gpu_records

    usable = [record for record in gpu_records(build).values() if record.usable]
    needed = {switch for record in usable for switch in record.switches}
    # It holds for all GPUs of the process, and one with a memory of its own would be slow with it.
    if usable and all(record.weights == WRITTEN for record in usable) and not wished_weights():
        needed.add(HOST_MEMORY)
    return tuple(switch for switch in (*SWITCHES, HOST_MEMORY) if switch in needed)


@contextlib.contextmanager
def switched(switches: Sequence[str]) -> Iterator[None]:
    """Sets switches in the environment, for the module that is loaded meanwhile and copies it, and takes them back.

    C code of another library that reads the environment at that moment, on a thread of its own, is as much at risk as
    by any ``os.environ[...] =`` of the program: it is done once in a process, and where a GPU needs it alone.
    """
    new = [name for name in switches if name not in os.environ]
    os.environ.update(dict.fromkeys(new, "1"))
    try:
        yield
    finally:
        for name in new:
            os.environ.pop(name, None)
