"""What is known of prompts for one open model: under which key, and whether it may be drawn from."""

from __future__ import annotations

import logging
import os
from pathlib import Path

from sdcpp_py._native import library
from sdcpp_py.errors import ModelMismatchError
from sdcpp_py.fingerprints import fingerprint
from sdcpp_py.models import ModelFiles
from sdcpp_py.prompt_cache import PromptCache, cache_key
from sdcpp_py.prompts import EncodedPrompt
from sdcpp_py.version import __version__

logger = logging.getLogger("sdcpp_py")


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
        self._identity = _identity(files.text_encoder)
        self._kernels = _kernels()  # tables are loaded in other types without them
        self._fingerprint = ""

    def find(self, prompt: str) -> EncodedPrompt | None:
        """What was kept for a prompt, or None."""
        key = self._key(prompt)
        found = self._cache.find(key, prompt) if key and self._cache is not None else None
        try:
            if found is not None:
                check_encoded(found, self._files)
        except ModelMismatchError as error:
            logger.warning("ignoring an entry of the prompt cache: %s", error)
            return None
        return found

    def keep(self, encoded: EncodedPrompt) -> None:
        """Keeps what the text encoder made just now."""
        key = self._key(encoded.prompt)
        if key and self._cache is not None:
            self._cache.keep(key, encoded)

    def _key(self, prompt: str) -> str:
        """The cache's key of a prompt; "" where the encoder's file is no longer the one that was opened."""
        if self._cache is None or _identity(self._files.text_encoder) != self._identity:
            return ""
        self._fingerprint = self._fingerprint or fingerprint(self._files.text_encoder)
        return cache_key(
            {
                "encoder": self._fingerprint,
                "family": self._files.family.name,
                "prompt": prompt,
                # What the last bits may depend on.
                "device": self._device,
                "threads": self._threads,
                "cpu": library.cpu_module(),
                "kernels": [self._kernels, _kernels()],
                "versions": [__version__, library.engine_commit(), library.ggml_version()],
            }
        )


def check_encoded(prompt: EncodedPrompt, files: ModelFiles) -> None:
    """Raises ModelMismatchError where a prompt was encoded for another model than that of the files."""
    family = files.family
    prompt.check_for(family.name, family.title, files.context_width, family.context_tokens)


def _kernels() -> str:
    return os.environ.get("SDCPP_PY_KERNELS", "")


def _identity(file: Path) -> tuple[int, ...]:
    """What tells a file from one that takes its place; empty where there is none."""
    try:
        status = file.stat()
    except OSError:
        return ()
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
