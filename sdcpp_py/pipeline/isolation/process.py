"""The process of an engine: started by exec, ended, and what is to be said of how it ended."""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import subprocess
import sys
import time
import weakref
from contextlib import suppress
from pathlib import Path

import sdcpp_py
from sdcpp_py._native import library
from sdcpp_py._native.vulkan_build import needed_switches
from sdcpp_py.errors import GenerationError, SettingsError
from sdcpp_py.naming import named
from sdcpp_py.pipeline.isolation import common_memory
from sdcpp_py.pipeline.isolation.channel import Channel
from sdcpp_py.system import python_process

# For the terminal's keys and for those who end programs by signal: the program that generates decides what follows, and
# its engine's process ends with it in any case.
LEFT_TO_THE_PARENT = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

# Python's own path is the parent's: modules are found where it found them, and none in the current folder.
_PROGRAM = (
    "import sys; given, sys.path[:] = sys.argv[1:5], sys.argv[5:]; "
    "from sdcpp_py.pipeline.isolation.child import main; main(*given)"
)
_FLAGS = {
    "isolated": "-I", "ignore_environment": "-E", "no_user_site": "-s", "no_site": "-S", "optimize": "-O",
    "dev_mode": "-Xdev",
}  # fmt: skip

# After it was told to end by closing its channel, and after SIGKILL: what has gigabytes takes a moment to go. Who
# waits for an exception to come out does not wait for that.
_END_SECONDS = 0.5
_GONE_SECONDS = 10.0
_MOMENT = 0.05

# Numbers of processes that were ended and may not be gone yet, for a driver may hold them.
_leaving: list[int] = []
_running: weakref.WeakSet[subprocess.Popen[bytes]] = weakref.WeakSet()


def interpreter() -> str:
    """The program that runs Python. Raises SettingsError where this process knows of none."""
    path = python_process.interpreter()
    if path is None:
        raise SettingsError(
            f"{named('isolation')} is 'process', and this program has Python inside itself; name a Python interpreter "
            f"of the same version by multiprocessing.set_executable, or set {named('isolation', 'thread')}"
        )
    return path


def start(
    cpus: list[int], steps_file: int | None = None, submission_target: int | None = None
) -> tuple[subprocess.Popen[bytes], Channel]:
    """Starts a process whose engine computes on those CPUs, and the channel to it. Arguments as of ``RemoteEngine``.

    Raises GenerationError where the system starts none, SettingsError as ``interpreter`` does.
    """
    executable = interpreter()
    reap(_GONE_SECONDS)
    try:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            channel = Channel(ours)
            # Without a standard stream, a file may have its number, and the new process would write there.
            number = fcntl.fcntl(theirs, fcntl.F_DUPFD_CLOEXEC, 3)
    except OSError as error:
        raise GenerationError(f"there is no channel to a process of the engine ({error})") from error
    home = str(Path(sdcpp_py.__file__).parent.parent)
    # Of the channel, of the finished steps, of the memory that such processes have in common.
    files = number, steps_file, common_memory.common_file()
    told = ",".join("" if file is None else str(file) for file in files)
    command = [
        executable, *_flags(), "-c", _PROGRAM, told, str(os.getpid()), ",".join(map(str, cpus)),
        str(submission_target or ""), *(path for path in sys.path if path), home,
    ]  # fmt: skip
    # As they were read when the native library started here, whatever has become of the environment since.
    environment = {
        **os.environ, "SDCPP_PY_CPU_MODULE": library.cpu_module(), "SDCPP_PY_KERNELS": library.kernels(),
        # And those that a GPU needs, which may have been found out since.
        **dict.fromkeys(needed_switches(library.gpu_build()), "1"),
    }  # fmt: skip
    # Until it can leave these signals to us, the new process has them blocked, as this thread has for that moment.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, LEFT_TO_THE_PARENT)
    try:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=_standard_error(),
            env=environment, pass_fds=[file for file in files if file is not None],
        )  # fmt: skip
    except OSError as error:
        channel.close()
        raise GenerationError(f"the engine's process cannot be started ({error})") from error
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        os.close(number)
    _running.add(process)
    return process, channel


def end(process: subprocess.Popen[bytes], channel: Channel, *, politely: bool, owner: int) -> None:
    """Ends a process; not ``politely``: at once. What does not go is looked after later.

    Nothing in a fork of ``owner``, the process that started it.
    """
    channel.close()
    if os.getpid() != owner:
        return
    if politely:
        _gone_within(process, _END_SECONDS)
    # A program may have become another user's since; then it ends because its channel is closed.
    with suppress(ProcessLookupError, PermissionError):
        process.kill()
    if not _gone_within(process, _GONE_SECONDS if politely else _MOMENT):
        process.returncode = -signal.SIGKILL  # nobody asks, but subprocess would complain of one that goes on
        _leaving.append(process.pid)
    else:
        common_memory.free_abandoned()


def reap(seconds: float) -> None:
    """Waits for those that were ended: what they hold of memory is free then."""
    deadline = time.monotonic() + seconds
    while _leaving:
        with suppress(ChildProcessError):  # another part of the program has waited for it
            if os.waitpid(_leaving[-1], os.WNOHANG)[0] == 0:
                if time.monotonic() > deadline:
                    return
                time.sleep(_MOMENT / 10)
                continue
        _leaving.pop()
        common_memory.free_abandoned()


def ending_of(process: subprocess.Popen[bytes]) -> str:
    """How a process ended, in words."""
    code = process.returncode if _gone_within(process, _END_SECONDS) else None
    if code is not None and code < 0:
        name = signal.Signals(-code).name if -code in set(signal.Signals) else f"number {-code}"
        cause = ", as the system does where memory runs out" if name == "SIGKILL" else ""
        return f"was ended by the signal {name}{cause}"
    # 0 also where another part of the program has waited for it.
    return f"ended with the code {code}" if code else "ended"


def _gone_within(process: subprocess.Popen[bytes], seconds: float) -> bool:
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return False
    return True


def _flags() -> list[str]:
    given = [option for flag, option in _FLAGS.items() if getattr(sys.flags, flag)]
    return [*given, *(f"-W{option}" for option in sys.warnoptions)]


def _standard_error() -> int | None:
    """What the new process gets for it: this one's own, or nothing where it has none."""
    try:
        os.fstat(2)
    except OSError:
        return subprocess.DEVNULL
    return None


def _forget_all() -> None:
    # In a fork, they are another process's children: nothing is to be said of them.
    for process in _running:
        process.returncode = 0
    _leaving.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)
