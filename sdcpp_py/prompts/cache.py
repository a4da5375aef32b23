"""Encoding a prompt once: what text encoders gave is kept in memory, and on disk where that is wanted."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping

from sdcpp_py.errors import MetadataError, MetadataNotFoundError, OutputError, SettingsError
from sdcpp_py.prompts.encoded import EncodedPrompt
from sdcpp_py.system.atomic_write import PARTIAL
from sdcpp_py.system.paths import absolute

logger = logging.getLogger("sdcpp_py")

_SUFFIX = ".prompt.npz"
_ABANDONED_SECONDS = 3600


def cache_key(conditions: Mapping[str, object]) -> str:
    """A key of everything that decides what an encoder makes of a prompt, in hexadecimal."""
    return hashlib.sha256(json.dumps(conditions, sort_keys=True).encode()).hexdigest()


class PromptCache:
    """Encoded prompts by key; the least recently used go first. From several threads at once, and several processes.

    Args:
        folder: keeps them on disk too; is made where it is missing. Where None, memory alone.
        memory_bytes: how much to keep in memory. A prompt of FLUX.2 Klein 4B takes 15 MiB.
        folder_bytes: how much to keep on disk.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str] | None = None,
        *,
        memory_bytes: int = 256 << 20,
        folder_bytes: int = 2 << 30,
    ) -> None:
        self.folder = None if folder is None else absolute(folder)
        self._memory_bytes = memory_bytes
        self._folder_bytes = folder_bytes
        self._kept: OrderedDict[str, EncodedPrompt] = OrderedDict()
        # Closes the race of generators in two threads that find, add and drop prompts.
        self._lock = threading.Lock()
        if self.folder is not None:
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise OutputError(f"the prompt cache {self.folder} cannot be made: {error.strerror}") from error

    def find(self, key: str, prompt: str) -> EncodedPrompt | None:
        """What was kept for a key, or None. A file that is damaged, or of another prompt, counts as none."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        if self.folder is None:
            return None
        path = self.folder / (key + _SUFFIX)
        try:
            found = EncodedPrompt.load(path)
        except MetadataNotFoundError:
            return None
        except MetadataError as error:
            logger.warning("ignoring a file of the prompt cache: %s", error)
            return None
        with contextlib.suppress(OSError):  # a folder that may only be read serves as well
            os.utime(path)
        if found.prompt != prompt:
            return None
        self._remember(key, found)
        return found

    def keep(self, key: str, encoded: EncodedPrompt) -> None:
        """Keeps an encoded prompt. A folder that cannot be written is left alone, with a warning in the log."""
        self._remember(key, encoded)
        if self.folder is None:
            return
        try:
            encoded.save(self.folder / (key + _SUFFIX))
            self._trim_folder()
        except (OutputError, OSError) as error:
            logger.warning("the prompt cache cannot be written: %s", error)

    def clear(self) -> None:
        """Forgets everything that is in memory."""
        with self._lock:
            self._kept.clear()

    def _remember(self, key: str, encoded: EncodedPrompt) -> None:
        for array in encoded.arrays.values():
            array.setflags(write=False)  # what is shared must not change under those who share it
        with self._lock:
            self._kept[key] = encoded
            self._kept.move_to_end(key)
            while self._kept and sum(kept.nbytes for kept in self._kept.values()) > self._memory_bytes:
                self._kept.popitem(last=False)

    def _trim_folder(self) -> None:
        assert self.folder is not None
        for path in self.folder.glob(f".*{PARTIAL}"):  # of processes that ended while they wrote
            with contextlib.suppress(OSError):
                if time.time() - path.stat().st_mtime > _ABANDONED_SECONDS:
                    path.unlink(missing_ok=True)
        files = []
        for path in self.folder.glob("*" + _SUFFIX):
            with contextlib.suppress(OSError):  # another process may have taken it away just now
                status = path.stat()
                files.append((status.st_mtime, status.st_size, path))
        excess = sum(size for _, size, _ in files) - self._folder_bytes
        for _, size, path in sorted(files):
            if excess <= 0:
                break
            path.unlink(missing_ok=True)
            excess -= size


SHARED = PromptCache()
"""The cache in memory of all generators that have no folder of their own."""


def chosen_cache(wanted: bool, folder: str | os.PathLike[str] | None) -> PromptCache | None:
    """The cache of a generator: the shared one, one with a folder, or none. Raises SettingsError, OutputError."""
    if folder is None:
        return SHARED if wanted else None
    if not wanted:
        raise SettingsError("cache_dir keeps encoded prompts, and cache_prompts=False keeps none; give one of them")
    return PromptCache(folder)
