"""What a family's denoiser is called in the names of the diffusers format."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

# A block's number; names have no other that is between dots and changes.
_NUMBER = re.compile(r"\.(\d+)\.")
_ENDS = (".weight", ".bias")


@dataclass(frozen=True)
class OtherNames:
    """How tensors in diffusers' names become those of the original. "{}" stands for the number of a block.

    Names are those of layers, whose weight and bias go together, or of tensors. What is not named is called the same.

    Attributes:
        plain: what is only called otherwise: diffusers' name -> the original's.
        joined: what the original has in one: its name -> diffusers' names, in order, rows after rows.
        swapped: the original's names of layers of which diffusers has the second half of the rows first.
        swapped_in_last: those of which it has it so in the last block alone.
    """

    plain: Mapping[str, str] = field(hash=False)
    joined: Mapping[str, tuple[str, ...]] = field(hash=False)
    swapped: tuple[str, ...] = ()
    swapped_in_last: tuple[str, ...] = ()

    @cached_property
    def _targets(self) -> Mapping[str, tuple[str, int | None]]:
        targets: dict[str, tuple[str, int | None]] = {name: (own, None) for name, own in self.plain.items()}
        for own, names in self.joined.items():
            targets |= {name: (own, place) for place, name in enumerate(names)}
        return targets

    def of(self, name: str) -> tuple[str, int | None]:
        """The original's name of a tensor, and which part of it this is; None where it is the whole."""
        general, number = _generalised(name)
        for layer, end in _cuts(general):
            target = self._targets.get(layer)
            if target is not None:
                return target[0].replace("{}", number) + end, target[1]
        return name, None

    def parts_of(self, name: str) -> int:
        """How many parts the original's tensor has in diffusers."""
        return next(len(self.joined[layer]) for layer, _ in _cuts(_generalised(name)[0]) if layer in self.joined)

    def swapped_in(self, names: Iterable[str]) -> list[str]:
        """Those of the original's names whose halves are swapped."""
        found, last = [], -1
        of_last: dict[str, int] = {}
        for name in names:
            general, number = _generalised(name)
            if any(layer in self.swapped for layer, _ in _cuts(name)):
                found.append(name)
            elif any(layer in self.swapped_in_last for layer, _ in _cuts(general)):
                of_last[name] = int(number)
                last = max(last, int(number))
        return found + [name for name, number in of_last.items() if number == last]


def _generalised(name: str) -> tuple[str, str]:
    """A name with "{}" for its block's number, and the number; "" where it has none."""
    match = _NUMBER.search(name)
    return (name[: match.start(1)] + "{}" + name[match.end(1) :], match[1]) if match else (name, "")


def _cuts(name: str) -> Iterator[tuple[str, str]]:
    """A name whole, and as a layer and what of the layer it is."""
    yield name, ""
    for end in _ENDS:
        if name.endswith(end):
            yield name.removesuffix(end), end
