"""LoRAs that are to be applied: which files, how strongly, and what they come to for each layer of a model."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sdcpp_py.errors import ModelMismatchError, SettingsError
from sdcpp_py.models.loras.aliases import alias_of, scale_is_first
from sdcpp_py.models.loras.files import LoraLayer
from sdcpp_py.models.loras.numbers import Floats
from sdcpp_py.naming import excerpt, named
from sdcpp_py.system.paths import StrPath

MOST_WEIGHT = 100.0
MOST_LORAS = 64
_SPLIT = 3
"""Rows of a weight that stand for query, key and value are of one size; what follows them takes the rest."""


@dataclass(frozen=True)
class Lora:
    """A LoRA, and how strongly it is applied.

    Attributes:
        path: its file, in safetensors.
        weight: how many times what it was trained to change is added, -100 to 100; 0 leaves it out.

    Raises SettingsError.
    """

    path: StrPath
    weight: float = 1.0

    def __post_init__(self) -> None:
        if not isinstance(self.path, (str, os.PathLike)) or not os.fspath(self.path):
            raise SettingsError(f"a LoRA must be the path of a file, not {self.path!r}")
        object.__setattr__(self, "path", Path(self.path))
        weight = self.weight
        if isinstance(weight, bool) or not isinstance(weight, (int, float, np.integer, np.floating)):
            raise SettingsError(f"the weight of a LoRA must be a number, not {weight!r}")
        if not math.isfinite(weight) or abs(weight) > MOST_WEIGHT:
            raise SettingsError(f"the weight of a LoRA must be from -100 to 100, not {float(weight)}")
        object.__setattr__(self, "weight", float(weight))


LoraInput = Lora | StrPath | tuple[StrPath, float]
"""A LoRA as it may be given: the file alone is of weight 1."""


def given_loras(wish: LoraInput | Sequence[LoraInput] | None, default: tuple[Lora, ...] = ()) -> tuple[Lora, ...]:
    """The LoRAs of a ``loras=`` argument that have any effect; None: the default. Raises SettingsError."""
    if wish is None:
        return default
    if _is_one(wish):
        wish = [wish]  # type: ignore[list-item]
    if not isinstance(wish, Iterable):
        raise SettingsError(f"{named('loras')} must be LoRAs, not {wish!r}")
    loras = tuple(_one(lora) for lora in wish)  # type: ignore[arg-type]
    if len(loras) > MOST_LORAS:
        raise SettingsError(f"{named('loras')} has {len(loras)} LoRAs; {MOST_LORAS} is the most")
    paths = [lora.path for lora in loras]
    twice = next((path for path in paths if paths.count(path) > 1), None)
    if twice is not None:
        raise SettingsError(f"{named('loras')} has {excerpt(str(twice))} twice; give it once, with the weights' sum")
    return tuple(lora for lora in loras if lora.weight)


def _is_one(wish: object) -> bool:
    if isinstance(wish, (Lora, str, Path)):
        return True
    return isinstance(wish, tuple) and len(wish) == 2 and isinstance(wish[1], (int, float, np.number))


def _one(wish: LoraInput) -> Lora:
    if isinstance(wish, Lora):
        return wish
    if isinstance(wish, (tuple, list)):
        if len(wish) != 2:
            raise SettingsError(f"a LoRA is a file, or a file and its weight, not {wish!r}")
        return Lora(*wish)
    return Lora(wish)


@dataclass(frozen=True)
class Place:
    """Where in a model a LoRA's layer belongs.

    Attributes:
        layer: the engine's name of it.
        index: which rows of its weight: 0 for all or the query's, 1 for the key's, 2 for the value's, and so on.
        part: the name of the part of the model.
        outputs, inputs: of the weight; of a convolution, channels.
        kernel: (height, width) of a convolution; else ().
    """

    layer: str
    index: int
    part: str
    outputs: int
    inputs: int
    kernel: tuple[int, ...]


def spellings_of(key: str) -> tuple[str, ...]:
    """What a LoRA's layer may be called, its own name first."""
    other = alias_of(key)
    return (key,) if other is None else (key, other)


class Sum:
    """What several LoRAs come to, layer by layer: pairs of one layer lie side by side and are one pair."""

    def __init__(self) -> None:
        self._pairs: dict[str, list[tuple[Floats, Floats]]] = {}

    def add(self, lora: Lora, layer: LoraLayer, place: Place) -> None:
        """Adds one layer of a LoRA. Raises ModelMismatchError where it is of another size than the model's."""
        down, up = layer.down, layer.up
        rank, inputs = len(down), place.inputs * math.prod(place.kernel)
        rows, first = len(up), 0
        if rows != place.outputs:
            first = place.index * rows if place.index < _SPLIT else place.outputs - rows
        if down.size != rank * inputs or first < 0 or first + rows > place.outputs:
            raise ModelMismatchError(
                f"{lora.path} changes '{layer.key}' by {rows}x{down.size // max(1, rank)} values, and the model has "
                f"{place.outputs}x{inputs} there; it was trained on another model"
            )
        if scale_is_first(layer.key, place.layer, place.outputs, place.inputs):
            up = np.roll(up, rows // 2, axis=0)
        whole = np.zeros((place.outputs, rank), np.float32)
        np.multiply(up, np.float32(lora.weight), out=whole[first : first + rows])
        self._pairs.setdefault(place.layer, []).append((down.reshape(rank, *_shape(place)), whole))

    def layers(self) -> Mapping[str, tuple[Floats, Floats]]:
        """The pairs, as ``AdaptRequest`` takes them, by the engine's names."""
        return {name: _joined(pairs) for name, pairs in self._pairs.items()}


def _shape(place: Place) -> tuple[int, ...]:
    return (place.inputs, *place.kernel)


def _joined(pairs: Sequence[tuple[Floats, Floats]]) -> tuple[Floats, Floats]:
    down = np.concatenate([one for one, _ in pairs]) if len(pairs) > 1 else pairs[0][0]
    up = np.concatenate([one for _, one in pairs], axis=1) if len(pairs) > 1 else pairs[0][1]
    return np.ascontiguousarray(down), up.reshape(*up.shape, 1, 1) if down.ndim > 2 else up
