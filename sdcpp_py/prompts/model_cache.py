"""What is known of prompts for one open model: under which key, and whether it may be drawn from."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

from sdcpp_py._native import library
from sdcpp_py.errors import ModelMismatchError
from sdcpp_py.models.files import ModelFiles
from sdcpp_py.progress import Phase
from sdcpp_py.prompts.cache import PromptCache, cache_key
from sdcpp_py.prompts.encoded import EncodedPrompt
from sdcpp_py.prompts.fingerprint import fingerprint
from sdcpp_py.settings import GenerationSettings
from sdcpp_py.version import __version__

logger = logging.getLogger("sdcpp_py")

# How text is read into tokens. Counts up whenever some prompt gets other tokens than before: a folder keeps states for
# years, and those of another reading are wrong under the same prompt.
_READING = 2


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
        self._kernels = _kernels()  # tables are loaded in other types without them
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
                "kernels": [self._kernels, _kernels()],
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


def _kernels() -> str:
    return os.environ.get("SDCPP_PY_KERNELS", "")


def _identity(file: Path) -> tuple[int, ...]:
    """What tells a file from one that takes its place; empty where there is none."""
    try:
        status = file.stat()
    except OSError:
        return ()
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
