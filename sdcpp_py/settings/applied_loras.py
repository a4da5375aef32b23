"""The LoRAs that a picture was generated with, as its file tells of them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

DIGITS = 10
"""Of a hash, so many are written: what Civitai calls AutoV2 and finds a file by."""
# What would end a name, or the line that it stands in.
_NO_NAME = re.compile(r'[\x00-\x1f\x7f-\x9f\ud800-\udfff\u2028\u2029,:"<>\\]')
_SHOWN = 100


@dataclass(frozen=True)
class AppliedLora:
    """A LoRA that a picture was generated with.

    Attributes:
        name: its file's, without the ending.
        weight: how many times what it was trained to change was added.
        sha256: the first ten hexadecimal digits of the file's SHA-256.
    """

    name: str
    weight: float
    sha256: str = ""

    @classmethod
    def from_plain(cls, value: Any) -> AppliedLora:
        """The opposite of ``as_plain``. Raises ValueError, TypeError, KeyError where a value is none."""
        name, weight, sha256 = value["name"], value["weight"], value.get("sha256", "")
        if not isinstance(name, str) or not isinstance(sha256, str) or isinstance(weight, (bool, str)):
            raise TypeError("it is no LoRA")
        if not math.isfinite(weight):
            raise ValueError("its weight is no number")
        return cls(name, float(weight), sha256)

    def as_plain(self) -> dict[str, Any]:
        """Its fields, as JSON has them."""
        return asdict(self)

    def __str__(self) -> str:
        return f"{self.name} at {self.weight:g}{f', sha256 {self.sha256}' if self.sha256 else ''}"


def untaken(loras: Iterable[str]) -> list[str]:
    """What to say where a picture's settings are taken and its LoRAs are not; nothing where there are none."""
    names = ", ".join(name[:_SHOWN] for name in loras)
    return [f"it was generated with LoRAs, which are not taken: {names}"] if names else []


def mentions(loras: Sequence[AppliedLora]) -> str:
    """What the web UI's users write at the end of a prompt: ``" <lora:ink:0.8>"`` for each."""
    return "".join(f" <lora:{_common_name(lora)}:{lora.weight:g}>" for lora in loras)


def hashes(loras: Sequence[AppliedLora]) -> str:
    """The web UI's ``Lora hashes``, with their quotation marks: ``"ink: 0123456789, ..."``."""
    return '"' + ", ".join(f"{_common_name(lora)}: {lora.sha256}" for lora in loras) + '"'


def names_in_hashes(text: str) -> list[str]:
    """The LoRAs in a ``Lora hashes`` that stands without its quotation marks, each with its hash for showing."""
    found = []
    for one in text.split(","):
        name, _, digest = (part.strip() for part in one.rpartition(":"))
        if name or digest:
            found.append(f"{name} ({digest})" if name and digest else name or digest)
    return found


def without_mentions(prompt: str, count: int) -> str:
    """The opposite of ``mentions`` for so many LoRAs, at the end of a prompt."""
    for _ in range(count):
        prompt = re.sub(r" <lora:[^<>]*>\Z", "", prompt)
    return prompt


def _common_name(lora: AppliedLora) -> str:
    return _NO_NAME.sub("_", lora.name)
