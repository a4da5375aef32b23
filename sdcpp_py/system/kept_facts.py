"""Small facts that take a while to find out, kept in the user's cache folder from one process to the next."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from typing import Any

from sdcpp_py.system.atomic_write import whole_or_absent
from sdcpp_py.system.paths import cache_folder

logger = logging.getLogger("sdcpp_py")

_MOST = 2000


class KeptFacts:
    """JSON values by key, in one file. Where it cannot be read or written, nothing is kept, and that is no error.

    Args:
        name: of the file, without its suffix.
    """

    def __init__(self, name: str) -> None:
        folder = cache_folder()
        self._file = None if folder is None else folder / f"{name}.json"
        self._facts = self._read()
        self._new: dict[str, Any] = {}

    def get(self, key: Sequence[object]) -> Any:
        """What is kept under a key; None where nothing is."""
        return self._facts.get(json.dumps(key))

    def put(self, key: Sequence[object], value: Any) -> None:
        """Keeps a value; on disk once ``save`` is called."""
        self._facts[json.dumps(key)] = self._new[json.dumps(key)] = value

    def save(self) -> None:
        """Writes what is new. What another process wrote meanwhile stays; the oldest go where there are too many."""
        if self._file is None or not self._new:
            return
        facts = {**self._read(), **self._new}
        kept = dict(list(facts.items())[-_MOST:])
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with whole_or_absent(self._file) as partial:
                partial.write_text(json.dumps(kept), encoding="utf-8")
        except OSError as error:
            logger.debug("%s cannot be written: %s", self._file, error)
        self._new = {}

    def _read(self) -> dict[str, Any]:
        try:
            found = json.loads(self._file.read_text(encoding="utf-8")) if self._file is not None else {}
        except (OSError, ValueError, RecursionError):  # the last by brackets without end
            return {}
        return found if isinstance(found, dict) else {}
