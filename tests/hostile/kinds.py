"""The kinds of what is tried, by the names that commands know them by."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from random import Random
from typing import ClassVar

from tests.hostile import attempts
from tests.hostile.attempts import Attempts
from tests.hostile.failures import FAILURES

FILES: Mapping[str, type[Attempts]] = {
    "gguf": attempts.Gguf,
    "gguf-of-all-families": attempts.GgufOfAll,
    "safetensors": attempts.Safetensors,
    "safetensors-of-all-families": attempts.SafetensorsOfAll,
    "lora": attempts.Loras,
    "index": attempts.Indices,
    "prompt": attempts.Prompts,
    "catalogue": attempts.Catalogues,
    "picture": attempts.Pictures,
    "type": attempts.Retyped,
}
"""Of files; each is tried with mutants of its own."""


class _InTurns(Attempts):
    """Several kinds in turns: a sample of them that takes one process."""

    kinds: ClassVar[Mapping[str, type[Attempts]]]

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._all = []
        for name, kind in self.kinds.items():
            (folder / name).mkdir(exist_ok=True)
            self._all.append((name, kind(folder / name)))

    def attempt(self, random: Random, number: int) -> str:
        turn, kind = divmod(number, len(self._all))
        name, one = self._all[kind]
        return f"{name}: {one.attempt(random, turn)}"


class SomeFiles(_InTurns):
    """Of all kinds of files that need no model but the package's."""

    kinds: ClassVar[Mapping[str, type[Attempts]]] = {
        name: kind for name, kind in FILES.items() if not name.endswith("-of-all-families")
    }


class SomeFailures(_InTurns):
    """Of all failures that need no other allocator."""

    kinds: ClassVar[Mapping[str, type[Attempts]]] = {
        name: kind for name, kind in FAILURES.items() if name != "allocation"
    }


KINDS: Mapping[str, type[Attempts]] = {
    **FILES,
    **FAILURES,
    "some-files": SomeFiles,
    "some-failures": SomeFailures,
    "deadly": attempts.Deadly,
}
