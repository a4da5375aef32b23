"""Loading the native library once, and asking it about the machine."""

from __future__ import annotations

import atexit
import importlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sdcpp_py._native.status import raise_failure
from sdcpp_py._native.vulkan_build import check_environment, needed_switches, switched, vulkan_build
from sdcpp_py.errors import NativeLibraryError, SettingsError
from sdcpp_py.parts import ROLES
from sdcpp_py.system.forks import ProcessLock
from sdcpp_py.system.gpu_access import missing_gpu
from sdcpp_py.system.gpu_watchdog import submission_target


def _in_subinterpreter() -> bool:
    for name in ("_interpreters", "_xxsubinterpreters"):  # the second until Python 3.12
        try:
            module = importlib.import_module(name)
            current, main = module.get_current(), module.get_main()
        except (ImportError, AttributeError):
            continue
        return bool(current != main)
    return False


if _in_subinterpreter():
    raise NativeLibraryError(
        "sdcpp_py does not work in a subinterpreter, whose modules the native library cannot be one of; use the main "
        "interpreter (WSGIApplicationGroup %{GLOBAL} with mod_wsgi), a thread or a process"
    )

if TYPE_CHECKING:
    ffi: Any
    lib: Any
    _sdcpp: Any
else:
    try:
        from sdcpp_py._native import _sdcpp
        from sdcpp_py._native._sdcpp import ffi, lib
    except ImportError as error:
        sources = Path(__file__).parents[2]
        raise NativeLibraryError(
            f"Python imports the sources in {sources}, which have no native library; start it in another folder, so "
            "that it finds the installed package, or install the sources themselves with `pip install -e .`"
            if (sources / "native" / "base" / "sdpy.h").is_file()
            else f"the native library of sdcpp_py cannot be loaded ({error}); reinstall with "
            "`pip install --force-reinstall sdcpp_py`"
        ) from error

# Not this file's folder: in an editable installation the built files lie apart from the sources.
MODULE_DIR = Path(_sdcpp.__file__).parent

_NO_VULKAN = "Vulkan was not built, so no GPU is used; docs/building.md says how to build it"

# Closes the race of two threads that both make the process's first engine: modules are registered once.
_start_lock = ProcessLock()
_started = False
_build: tuple[str, ...] | None = None
_switches: tuple[str, ...] = ()


@dataclass(frozen=True)
class Device:
    """A device that a model's parts can compute on.

    Attributes:
        name: what ``Generator(device=...)`` takes ("cpu", "vulkan0").
        description: the hardware's own name.
        is_gpu: whether it is a GPU.
        is_integrated: whether it is a GPU that shares the host's memory.
        memory_free: bytes free now, as the driver says; some integrated GPUs' drivers say 0.
        memory_total: bytes in all.
        native_name: what the engine calls it ("Vulkan0").
        driver: the name of a GPU's driver, where ggml says it ("radv").
        float16: whether a GPU computes in half precision.
        matrix_cores: how a GPU multiplies matrices by units of their own ("KHR_coopmat"); "" where it has none, or this
            build cannot use them.
        integer_dot: whether a GPU has products of four bytes at once, and this build can use them.
    """

    name: str
    description: str
    is_gpu: bool
    is_integrated: bool
    memory_free: int
    memory_total: int
    native_name: str
    driver: str = ""
    float16: bool = False
    matrix_cores: str = ""
    integer_dot: bool = False


def start() -> None:
    """Loads the backend modules beside the extension, and reads the environment, once: later changes of it do nothing.

    Raises NativeLibraryError where no CPU module loads, or the environment names one, or kernels, that there are not,
    or a wish about the self-test that means nothing.
    """
    global _started, _switches
    with _start_lock:
        if _started:
            return
        # The environment is read here, where Python keeps other threads from writing to it, and never in C.
        module, kernels = (os.environ.get(f"SDCPP_PY_{name}", "") for name in ("CPU_MODULE", "KERNELS"))
        if module and module not in modules_built("cpu"):
            raise NativeLibraryError(
                f"SDCPP_PY_CPU_MODULE is {module!r}, and this installation has no such module; "
                f"take one of {', '.join(modules_built('cpu'))}, or leave it unset"
            )
        choose_kernels(kernels)
        check_environment()
        failure = ffi.new("sdpy_failure *")
        _switches = needed_switches(gpu_build())
        with switched(_switches):
            if lib.sdpy_start(os.fsencode(MODULE_DIR), module.encode(), failure):
                raise_failure(failure, ffi)
        lib.sdpy_set_submission_target(submission_target())
        atexit.register(_end)
        _started = True


def started() -> bool:
    """Whether the backend modules are loaded."""
    return _started


def gpu_build() -> tuple[str, ...]:
    """What records of GPUs hold for, as ``vulkan_build`` says it; empty where Vulkan was not built. Loads nothing."""
    global _build
    with _start_lock:
        if _build is None:
            _build = vulkan_build(MODULE_DIR)
        return _build


def switches() -> tuple[str, ...]:
    """The switches that were set for the Vulkan module when it was loaded."""
    start()
    return _switches


def _end() -> None:
    # Threads that nobody waits for go on using engines, and make new ones, until the interpreter is gone. Engines that
    # were still there then would use what is destroyed. In a fork, those of the first process are not among them.
    lib.sdpy_end()


def devices() -> list[Device]:
    """The devices of this machine that a loaded backend module offers. Raises NativeLibraryError."""
    start()
    found = []
    raw, failure = ffi.new("sdpy_device *"), ffi.new("sdpy_failure *")
    for index in range(lib.sdpy_device_count()):
        if lib.sdpy_device_at(index, raw, failure):
            raise_failure(failure, ffi)
        name, features = text(raw.name), _features(text(raw.features))
        found.append(
            Device(
                name=name.lower(),
                description=text(raw.description),
                is_gpu=bool(raw.is_gpu),
                is_integrated=bool(raw.is_integrated),
                memory_free=raw.memory_free,
                memory_total=raw.memory_total,
                native_name=name,
                driver=features.get("driver", ""),
                float16=features.get("fp16") == "1",
                matrix_cores=features.get("matrix cores", "none").replace("none", ""),
                integer_dot=features.get("int dot") == "1",
            )
        )
    return found


def _features(listed: str) -> dict[str, str]:
    """What ggml lists of a device, by name: "driver: radv | fp16: 1 | matrix cores: none"."""
    pairs = (feature.partition(": ") for feature in listed.split(" | "))
    return {name: value for name, _, value in pairs}


@dataclass(frozen=True)
class DeviceUsage:
    """What this library has allocated on a device.

    Attributes:
        bytes: of weights and compute buffers, now.
        most_bytes: since the process began, or since the count began anew.
        longest_submission: seconds that the longest submission to a GPU took, since then.
    """

    bytes: int
    most_bytes: int
    longest_submission: float


def device_usage(name: str, *, reset: bool = False) -> DeviceUsage:
    """What is allocated on the device of that name. ``reset`` begins to count the most anew, after this."""
    usage, failure = ffi.new("sdpy_device_usage *"), ffi.new("sdpy_failure *")
    if lib.sdpy_device_usage_get(find_device(name).native_name.encode(), reset, usage, failure):
        raise_failure(failure, ffi)
    return DeviceUsage(usage.bytes, usage.most_bytes, usage.longest_submission_ms / 1000)


def find_device(name: str) -> Device:
    """The device of that name; "auto" takes a GPU where there is one, the largest, and else the CPU.

    Raises NativeLibraryError with the names there are, SettingsError where ``name`` is no string.
    """
    if not isinstance(name, str):
        raise SettingsError(f"device must be a string such as 'auto' or 'cpu', not {name!r}")
    found = devices()
    if name.lower() == "auto":
        gpus = [device for device in found if device.is_gpu]
        wanted = max(gpus, key=lambda device: (not device.is_integrated, device.memory_total), default=None)
        return wanted or next(device for device in found if device.name == "cpu")
    for device in found:
        if device.name == name.lower():
            return device
    cure = vulkan_cure() if name.lower().startswith("vulkan") else ""
    raise NativeLibraryError(
        f"there is no device '{name}' here; there is {', '.join(device.name for device in found)} (and 'auto')"
        + (f". {cure}" if cure else "")
    )


def text(raw: Any) -> str:
    """The Python string of a C string, whatever bytes it holds."""
    return bytes(ffi.string(raw)).decode("utf-8", errors="replace")


def cpu_module() -> str:
    """Which of the CPU modules was chosen for this CPU ("haswell", "zen4", "x64")."""
    start()
    return text(lib.sdpy_cpu_module())


def cpu_features() -> list[str]:
    """The instruction sets that the chosen CPU module uses."""
    start()
    return [feature for feature in text(lib.sdpy_cpu_features()).split(",") if feature]


def modules_built(backend: str) -> list[str]:
    """The modules of a backend ("cpu", "vulkan") that this installation has, by name; a plain one is "x64" for CPUs."""
    prefix = f"libggml-{backend}"
    names = []
    for file in sorted(MODULE_DIR.glob(f"{prefix}*.so")):
        kind = file.name.removeprefix(prefix).removesuffix(".so").removeprefix("-")
        names.append(kind or ("x64" if backend == "cpu" else backend))
    return names


def vulkan_cure() -> str:
    """Why there is no GPU here by Vulkan, and the commands that mend it, in a sentence; "" where there is one.

    "" also where Vulkan was built and nothing is known of a GPU.
    """
    if modules_built("vulkan"):
        return "" if any(device.is_gpu for device in devices()) else missing_gpu()
    try:
        # Written by the build, which alone knows what it did not find.
        return (MODULE_DIR / "vulkan.txt").read_text(encoding="utf-8").strip() or _NO_VULKAN
    except (OSError, ValueError):
        return _NO_VULKAN


def shaders_lack() -> str:
    """What the shaders of this build cannot use of newer GPUs, and the cure, in a sentence; "" where they use all."""
    try:
        return (MODULE_DIR / "vulkan_shaders.txt").read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        return ""


def native_paths(files: Mapping[str, Path]) -> list[Any]:
    """Paths by ``parts.ROLES``, null where there is none. They must be kept alive while they are used."""
    return [ffi.new("char[]", str(files[role]).encode()) if role in files else ffi.NULL for role in ROLES]


def detect_family(files: Mapping[str, Path]) -> str:
    """What the engine takes files for, by their roles, in its own words ("Flux.2 klein"); "" where it knows none.

    Raises ModelLoadError.
    """
    name, failure, paths = ffi.new("char[64]"), ffi.new("sdpy_failure *"), native_paths(files)
    if lib.sdpy_detect(ffi.new("char *[]", paths), name, 64, failure):
        raise_failure(failure, ffi)
    return text(name)


def choose_kernels(name: str) -> None:
    """Which of our kernels are used for graphs from now on: a level, "off" for the engine's own, "" for the fastest.

    Raises NativeLibraryError, which names those that this CPU can run, for any other.
    """
    failure = ffi.new("sdpy_failure *")
    if lib.sdpy_choose_kernels(os.fsencode(name), failure):
        raise_failure(failure, ffi)


def kernels() -> str:
    """Which of our kernels are used ("avx2", "avx512_vnni"); "off", or "" where this CPU can run none."""
    start()
    return text(lib.sdpy_kernels())


def set_submission_target(milliseconds: int) -> None:
    """How long one submission to a GPU should take at most, in this process."""
    start()
    lib.sdpy_set_submission_target(milliseconds)


def engine_commit() -> str:
    """The commit of stable-diffusion.cpp that this library is built from."""
    return text(lib.sdpy_engine_commit())


def ggml_version() -> str:
    """The version of ggml that this library is built from."""
    return text(lib.sdpy_ggml_version())
