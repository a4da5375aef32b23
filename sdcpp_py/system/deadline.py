"""Until when a call has to be done."""

from __future__ import annotations

import math
import numbers
import time

from sdcpp_py.errors import GenerationTimeoutError, SettingsError
from sdcpp_py.naming import named


class Deadline:
    """The end of a call's time, which begins as this is made.

    Args:
        seconds: more than 0; None: there is no end.

    Raises SettingsError where they are no number of seconds.
    """

    def __init__(self, seconds: float | None = None) -> None:
        if seconds is not None:
            if isinstance(seconds, bool) or not isinstance(seconds, numbers.Real):
                raise SettingsError(f"{named('timeout')} must be a number of seconds, not {seconds!r}")
            if not 0 < seconds < math.inf:
                raise SettingsError(f"{named('timeout')} must be more than 0 seconds, not {seconds}; None is no limit")
        self._seconds = seconds
        self._end = math.inf if seconds is None else time.monotonic() + float(seconds)

    @classmethod
    def of(cls, timeout: float | Deadline | None) -> Deadline:
        """That of a call's ``timeout``. One that was begun before counts for several calls together."""
        return timeout if isinstance(timeout, Deadline) else cls(timeout)

    @property
    def left(self) -> float | None:
        """Seconds until it is over, 0 then; None where there is no end."""
        return None if self._seconds is None else max(0.0, self._end - time.monotonic())

    def check(self, doing: str) -> None:
        """Raises GenerationTimeoutError where it is over; ``doing`` says in words what was done just then."""
        if time.monotonic() >= self._end:
            raise self.error(doing)

    def error(self, doing: str) -> GenerationTimeoutError:
        """The error of a call whose time is over."""
        assert self._seconds is not None
        seconds = int(self._seconds) if self._seconds == int(self._seconds) else float(self._seconds)
        return GenerationTimeoutError(
            f"{named('timeout', seconds)} was over while {doing}; give it more seconds, or less to do"
        )
