"""What an option is: one line of ``GenerationSettings``, from which everything else about it follows.

``docs/contributing/add-an-option.md`` tells in order how to add one.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from sdcpp_py.progress import Phase
from sdcpp_py.settings.domains import Domain


class ModelDefaults(Protocol):
    """What settings ask of a family: its defaults stand in it by the options' names."""

    @property
    def title(self) -> str:
        """Its name in sentences."""

    @property
    def size_multiple(self) -> int:
        """Width and height must be multiples of this many pixels."""

    @property
    def encoders(self) -> tuple[str, ...]:
        """The roles of the text encoders that it reads."""


@dataclass(frozen=True)
class Option:
    """An option of a picture.

    Attributes:
        domain: the values that it may have.
        flags: of the command line, the long one last; "" for what the command takes in another way.
        help: on the command line.
        group: of the command's options that it stands among: "picture", "images" or "sampling".
        metavar: what its value is called there.
        phase: the first phase that reads it. What encoding a prompt reads is part of the prompt cache's key.
        common: its name in the ``parameters`` text of a PNG; "" where it has none there.
        read_as: the names that are read there, in lower case; None for ``common`` alone.
        family_default: whether a family has a default of its own for it, and a catalogue may have.
        only_for: which families read it; None for all, or where others leave it unread in silence.
        native: whether the engine is handed its value, in ``sdpy_settings`` by its name.
        unset: what stands there for None.
    """

    domain: Domain
    flags: tuple[str, ...] = ()
    help: str = ""
    group: str = "sampling"
    metavar: str | None = None
    phase: Phase = Phase.DENOISE
    common: str = ""
    read_as: tuple[str, ...] | None = None
    family_default: bool = False
    only_for: Callable[[ModelDefaults], bool] | None = None
    native: bool = True
    unset: float = 0.0

    @property
    def common_names(self) -> tuple[str, ...]:
        """The names in the ``parameters`` text that are read for it."""
        return self.read_as if self.read_as is not None else tuple(filter(None, [self.common.lower()]))


def option(default: Any, domain: Domain, *flags: str, **more: Any) -> Any:
    """A field of ``GenerationSettings`` with its ``Option``. The default must never change: PNGs leave it out."""
    return dataclasses.field(default=default, metadata={"option": Option(domain, flags, **more)})
