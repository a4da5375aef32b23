"""Encoding a prompt once: what text encoders gave is kept in memory, and on disk where that is wanted."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import time
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sdcpp_py._native import library
from sdcpp_py.errors import (
    MetadataError,
    MetadataNotFoundError,
    ModelLoadError,
    ModelMismatchError,
    OutputError,
    SettingsError,
)
from sdcpp_py.models.files import ModelFiles
from sdcpp_py.progress import Phase
from sdcpp_py.prompts.encoded import EncodedPrompt
from sdcpp_py.settings import GenerationSettings
from sdcpp_py.system.atomic_write import PARTIAL
from sdcpp_py.system.file_identity import identity_of
from sdcpp_py.system.forks import ProcessLock
from sdcpp_py.system.paths import StrPath, absolute
from sdcpp_py.version import __version__

logger = logging.getLogger("sdcpp_py")

_SUFFIX = ".prompt.npz"
_ABANDONED_SECONDS = 3600
# How text is read into tokens. Counts up whenever some prompt gets other tokens than before: a folder keeps states for
# years, and those of another reading are wrong under the same prompt.
_READING = 2
# Files up to this size are read whole; of larger ones, as much is read in samples.
_WHOLE = 32 << 20
_SAMPLE = 8 << 10


def cache_key(conditions: Mapping[str, object]) -> str:
    """A key of everything that decides what an encoder makes of a prompt, in hexadecimal."""
    return hashlib.sha256(json.dumps(conditions, sort_keys=True).encode()).hexdigest()


class PromptCache:
    """Prompt embeddings by key; the least recently used go first. From several threads at once, and several processes.

    Args:
        folder: keeps them on disk too; is made where it is missing. Where None, memory alone.
        memory_bytes: how much to keep in memory. A prompt of FLUX.2 Klein 4B takes 15 MiB.
        folder_bytes: how much to keep on disk.
    """

    def __init__(
        self,
        folder: StrPath | None = None,
        *,
        memory_bytes: int = 256 << 20,
        folder_bytes: int = 2 << 30,
    ) -> None:
        self.folder = None if folder is None else absolute(folder)
        self._memory_bytes = memory_bytes
        self._folder_bytes = folder_bytes
        self._kept: OrderedDict[str, EncodedPrompt] = OrderedDict()
        # Closes the race of generators in two threads that find, add and drop prompts.
        self._lock = ProcessLock()
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
        """Keeps a prompt embedding. A folder that cannot be written is left alone, with a warning in the log."""
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


def chosen_cache(wanted: bool, folder: StrPath | None) -> PromptCache | None:
    """The cache of a generator: the shared one, one with a folder, or none. Raises SettingsError, OutputError."""
    if folder is None:
        return SHARED if wanted else None
    if not wanted:
        raise SettingsError("cache_dir keeps prompt embeddings, and cache_prompts=False keeps none; give one of them")
    return PromptCache(folder)


class Encodings:
    """The prompts that a cache keeps for one model.

    Args:
        files: of the model, as it was opened just now.
        cache: keeps them; None: nothing is known, ever.
        device: what the text encoder computes on, in the hardware's own words.
        threads: CPU threads.
    """

    def __init__(self, files: ModelFiles, cache: PromptCache | None, device: str, threads: int) -> None:
        self._files = files
        self._cache = cache
        self._device = device
        self._threads = threads
        self._identity = self._identify()
        self._kernels = library.kernels()  # tables are loaded in other types without them
        self._fingerprint = ""

    def find(self, prompt: str, settings: GenerationSettings) -> EncodedPrompt | None:
        """What was kept for a prompt of a picture with these settings, or None."""
        key = self._key(prompt, settings)
        found = self._cache.find(key, prompt) if key and self._cache is not None else None
        try:
            if found is not None:
                check_encoded(found, self._files)
        except ModelMismatchError as error:
            logger.warning("ignoring an entry of the prompt cache: %s", error)
            return None
        return found

    def keep(self, encoded: EncodedPrompt, settings: GenerationSettings) -> None:
        """Keeps what the text encoder made just now for a picture with these settings."""
        key = self._key(encoded.prompt, settings)
        if key and self._cache is not None:
            self._cache.keep(key, encoded)

    def _identify(self) -> list[tuple[int, ...]]:
        return [_identity(file) for file in self._files.of_part("text_encoder")]

    def _key(self, prompt: str, settings: GenerationSettings) -> str:
        """The cache's key of a prompt; "" where an encoder's file is no longer the one that was opened."""
        if self._cache is None or self._identify() != self._identity:
            return ""
        if not self._fingerprint:
            self._fingerprint = " ".join(fingerprint(file) for file in self._files.of_part("text_encoder"))
        return cache_key(
            {
                "encoder": self._fingerprint,
                "family": self._files.family.name,
                "prompt": prompt,
                "reading": _READING,
                "options": self._read_by_encoding(settings),
                # What the last bits may depend on.
                "device": self._device,
                "threads": self._threads,
                "cpu": library.cpu_module(),
                "kernels": [self._kernels, library.kernels()],
                "versions": [__version__, library.engine_commit(), library.ggml_version()],
            }
        )

    def _read_by_encoding(self, settings: GenerationSettings) -> dict[str, Any]:
        """The options that decide what the encoder gives."""
        sizes = () if self._files.family.prompts_have_sizes else ("width", "height")
        return {name: value for name, value in settings.of_phase(Phase.ENCODE).items() if name not in sizes}


def check_encoded(prompt: EncodedPrompt, files: ModelFiles) -> None:
    """Raises ModelMismatchError where a prompt was encoded for another model than that of the files."""
    family = files.family
    prompt.check_for(family.name, family.title, files.context_width, family.context_tokens)


def _identity(file: Path) -> tuple[int, ...]:
    """What tells a file from one that takes its place; empty where there is none."""
    try:
        return identity_of(file.stat())
    except OSError:
        return ()


def fingerprint(file: StrPath) -> str:
    """A digest of a file's size and bytes, in hexadecimal.

    Of files above 32 MiB it reads 4,096 samples of 8 KiB, spread evenly, the header and the end among them: reading
    gigabytes takes longer than what the digest is for. Files that differ in other places only pass for the same one.

    Raises ModelLoadError where the file cannot be read.
    """
    digest = hashlib.sha256()
    try:
        size = Path(file).stat().st_size
        digest.update(size.to_bytes(8, "little"))
        with Path(file).open("rb", buffering=0) as stream:
            if size <= _WHOLE:
                while chunk := stream.read(1 << 20):
                    digest.update(chunk)
            else:
                count = _WHOLE // _SAMPLE
                for index in range(count):
                    stream.seek((size - _SAMPLE) * index // (count - 1))
                    digest.update(stream.read(_SAMPLE))
    except OSError as error:
        raise ModelLoadError(f"{file} cannot be read: {error.strerror}") from error
    return digest.hexdigest()
