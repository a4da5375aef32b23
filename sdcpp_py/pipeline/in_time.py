"""Work that cannot be stopped inside, and is left alone where a call's time is over, as a download is."""

from __future__ import annotations

import contextvars
import queue
import threading
from collections.abc import Callable
from typing import TypeVar

from sdcpp_py.errors import GenerationCancelled
from sdcpp_py.pipeline.stopping import doing
from sdcpp_py.progress import Progress, ProgressCallback
from sdcpp_py.system.deadline import Deadline

Result = TypeVar("Result")

# How often it looks whether the time is over, in seconds.
_GLANCE = 0.05


def in_time(
    work: Callable[[ProgressCallback | None], Result], deadline: Deadline, on_progress: ProgressCallback | None
) -> Result:
    """What the work gives, which is handed the callback that it has to tell.

    Where there is a deadline, it is done in a thread, which is left alone when the time is over or ``on_progress``
    raises: it then ends at its next report, and nobody hears of it. ``on_progress`` is called in this thread.

    Raises what the work raises, and GenerationTimeoutError.
    """
    if deadline.left is None:
        return work(on_progress)
    said: queue.SimpleQueue[Progress | None] = queue.SimpleQueue()
    left_alone = threading.Event()
    results: list[Result] = []
    errors: list[BaseException] = []

    def tell(progress: Progress) -> None:
        if left_alone.is_set():
            raise GenerationCancelled("the call that wanted this has ended")
        said.put(progress)

    def run() -> None:
        try:
            results.append(work(tell))
        except BaseException as error:  # for the thread that waits
            errors.append(error)
        said.put(None)

    # Messages name options as the caller's thread has them.
    target = contextvars.copy_context().run
    threading.Thread(target=target, args=(run,), name="sdcpp_py fetching", daemon=True).start()
    now = "the model's files were looked for"
    try:
        while True:
            deadline.check(now)
            try:
                progress = said.get(timeout=_GLANCE)
            except queue.Empty:
                continue
            if progress is None:
                break
            now = doing(progress)
            if on_progress is not None:
                on_progress(progress)
    finally:
        left_alone.set()
    if errors:
        raise errors[0]
    return results[0]
