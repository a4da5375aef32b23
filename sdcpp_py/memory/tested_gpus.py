"""Whether GPUs may be used, by what the self-test found; and the self-test, before one is first used."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import subprocess
import threading
from collections.abc import Iterable, Mapping
from typing import Literal, get_args

from sdcpp_py._native import library
from sdcpp_py._native.library import Device
from sdcpp_py._native.vulkan_build import heeds_records
from sdcpp_py.errors import GenerationTimeoutError
from sdcpp_py.naming import named
from sdcpp_py.parts import PARTS
from sdcpp_py.settings.domains import check_one_of
from sdcpp_py.system.deadline import Deadline
from sdcpp_py.system.forks import ProcessLock
from sdcpp_py.system.gpu_access import gpu_nodes, missing_gpu
from sdcpp_py.system.gpu_records import GpuRecord, gpu_records, learn
from sdcpp_py.system.kept_facts import KeptFacts
from sdcpp_py.system.python_process import module_command

logger = logging.getLogger("sdcpp_py")

SelfTest = Literal["auto", "off"]
"""What ``Generator(self_test=...)`` takes."""
SELF_TESTS: tuple[str, ...] = get_args(SelfTest)

# The room that has the program is above this one; it runs in a process of its own in any case.
_PROGRAM = "sdcpp_py.preflight.self_test"
# How long it has to end with what it has begun; and how much of that whoever told it to waits for.
_TO_END = 15.0
_MOMENT = 0.15
_NONE, _TOLD = "no_gpu", "said"

# Closes the race of threads that both use a GPU for the first time: it is tested once.
_lock = ProcessLock()
_not_testable: set[tuple[str, str]] = set()
_said: set[str] = set()


def check_self_test(wish: object) -> str:
    """A wish as it was given. Raises SettingsError where there is no such one."""
    return check_one_of("self_test", wish, SELF_TESTS)


def known_gpu(device: Device) -> GpuRecord | None:
    """What the self-test found out about a device; None where it was not tested, or nothing is heeded."""
    build = library.gpu_build()
    if not device.is_gpu or not build or not heeds_records():
        return None
    return gpu_records(build).get((device.description, device.driver))


def refusal(record: GpuRecord | None, *, apart: bool) -> str:
    """Why a GPU must not be used, in a sentence; "" where it may be.

    Args:
        record: what is known of it.
        apart: whether the engine has a process of its own, which gets the switches whenever they are found.
    """
    if record is None:
        return ""
    if not record.usable:
        return record.reason
    if apart or set(record.switches) <= set(library.switches()):
        return ""
    return (
        f"it computes rightly only {record.reason}; that is set when the native library starts, which was before the "
        "self-test was through: start this program anew"
    )


def ensure_tested(choice: str | Mapping[str, str], deadline: Deadline | None = None) -> None:
    """Tests the GPUs that a choice of devices may use, those of which nothing is known. In up to a minute, once.

    Args:
        choice: as ``Generator(device=...)`` takes it.
        deadline: until when.

    Raises GenerationTimeoutError.
    """
    wanted = _names(choice)
    build = library.gpu_build()
    if not wanted or not build or not heeds_records():
        return
    deadline = deadline or Deadline()
    if not _lock.acquire(deadline.left):
        raise deadline.error("another thread's self-test of the GPU was waited for")
    try:
        if not library.started() and not gpu_records(build) and _may_have_gpu(wanted):
            _test_first(wanted, deadline)
        for device in _gpus(wanted):
            if known_gpu(device) is None and (device.description, device.driver) not in _not_testable:
                _test([device.name], deadline)
                if known_gpu(device) is None:
                    _not_testable.add((device.description, device.driver))
    finally:
        _lock.release()


def _may_have_gpu(names: list[str]) -> bool:
    """Whether there may be a GPU, before the native library knows."""
    none = KeptFacts(_NONE).get(library.gpu_build())
    return names != ["auto"] or (not none and bool(gpu_nodes()) and not missing_gpu())


def _test_first(names: list[str], deadline: Deadline) -> None:
    """Tests before the native library starts, which sets what a GPU needs, and cannot later."""
    _test(names, deadline)
    # Where there is none, the next process need not look for it in this way; one that comes later is tested later.
    if not _gpus(names):
        facts = KeptFacts(_NONE)
        facts.put(library.gpu_build(), True)
        facts.save()


def _names(choice: str | Mapping[str, str]) -> list[str]:
    """The names of devices in a choice but the CPU's; what is no choice is refused elsewhere."""
    if isinstance(choice, str):
        found = {choice}
    elif isinstance(choice, Mapping):
        found = {str(name) for name in choice.values()} | ({"auto"} if set(PARTS) - set(choice) else set())
    else:
        found = set()
    return sorted({name.lower() for name in found} - {"cpu"})


def _gpus(names: Iterable[str]) -> list[Device]:
    """The GPUs of these names, each once."""
    there = {device.name: device for device in library.devices()}
    best = library.find_device("auto")
    found = {best.name: best} if "auto" in names else {}
    found |= {name: there[name] for name in names if name in there}
    return [device for device in found.values() if device.is_gpu]


def _test(names: list[str], deadline: Deadline) -> None:
    """Runs the program that tests GPUs, and takes what it found."""
    command = module_command(_PROGRAM, *names)
    if command is None:
        logger.warning("the GPU is used untested: this process knows of no Python interpreter to test it with")
        return
    if gpu_nodes() or names != ["auto"]:  # before the native library starts, nobody knows whether there is one
        logger.warning(
            "the GPU is tested once, before it is first used, in up to a minute (%s 'off' leaves it out)",
            named("self_test"),
        )
    try:
        # Without `with`, which would wait for the test where Ctrl-C comes before it is listened to.
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8"
        )
        said, errors = _heard(process, deadline)
    except GenerationTimeoutError:
        raise
    except OSError as error:
        logger.warning("the GPU is used untested: %s", error)
        return
    for line in said.splitlines():
        # A driver may write lines of its own.
        with contextlib.suppress(ValueError, KeyError, TypeError):
            record = GpuRecord.from_plain(json.loads(line)["record"])
            if record is not None:
                learn(library.gpu_build(), record)
    if process.returncode:
        last = next((line for line in reversed(errors.splitlines()) if line.strip()), "")
        logger.warning("the self-test ended with status %d: %s", process.returncode, last)


def _heard(process: subprocess.Popen[str], deadline: Deadline) -> tuple[str, str]:
    """What a program says. Where this process is told to stop meanwhile, so is the program, with what it has begun."""
    try:
        return process.communicate(timeout=deadline.left)
    except BaseException as error:
        process.terminate()
        if not _ends(process, _MOMENT):
            # What a driver holds takes longer. Who cancelled does not wait for it, and the interpreter's end does.
            threading.Thread(target=_end, args=(process,), name="sdcpp_py self-test ending").start()
        if isinstance(error, subprocess.TimeoutExpired):
            raise deadline.error("the GPU was tested, which is done once, before it is first used") from None
        raise


def _end(process: subprocess.Popen[str]) -> None:
    if not _ends(process, _TO_END):
        process.kill()
        process.wait()


def _ends(process: subprocess.Popen[str], seconds: float) -> bool:
    """Whether a process ends within so many seconds."""
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return False
    return True


def say_once(sentence: str, *, for_good: bool = False) -> None:
    """Warns of something, once in a process; ``for_good``: once for this user and version of the library."""
    if not sentence or sentence in _said:
        return
    _said.add(sentence)
    if for_good:
        facts, key = KeptFacts(_TOLD), [*library.gpu_build(), sentence]
        if facts.get(key):
            return
        facts.put(key, True)
        facts.save()
    logger.warning("%s", sentence)


def advise(device: Device) -> None:
    """Says in one line what would make more of this machine, at the first use of a device that was chosen for it."""
    if device.is_gpu:
        say_once(library.shaders_lack(), for_good=True)
    elif gpu_nodes() and os.environ.get("GGML_VK_VISIBLE_DEVICES") is None:
        say_once(library.vulkan_cure(), for_good=True)
