"""LoRAs beside the weights of an open model."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sdcpp_py._native.any_engine import AnyEngine
from sdcpp_py._native.requests import AdaptRequest, FindLayersRequest
from sdcpp_py.errors import LoraWarning, ModelError, ModelLoadError, ModelMismatchError, OutOfMemoryError, SettingsError
from sdcpp_py.models.adapters import check_lora
from sdcpp_py.models.files import ModelFiles
from sdcpp_py.models.loras import Lora, Place, Sum, spellings_of
from sdcpp_py.models.loras.files import LoraLayer, read_lora
from sdcpp_py.parts import PARTS
from sdcpp_py.settings.applied_loras import DIGITS, AppliedLora
from sdcpp_py.system.file_hash import sha256_of
from sdcpp_py.system.file_identity import identity_of

_ADAPTED = ("text_encoder", "diffusion_model")
_SHOWN = 3


@dataclass(frozen=True)
class _Wanted:
    """A LoRA as its file was when it was asked for."""

    lora: Lora
    identity: tuple[int, ...]

    @classmethod
    def of(cls, lora: Lora, files: ModelFiles) -> _Wanted:
        check_lora(lora.path, files)
        return cls(lora, identity_of(Path(lora.path).stat()))


class Adaptation:
    """Which LoRAs are wanted beside the weights of a model, and which lie there.

    What they add is computed beside the weights, which stay as they are and are shared with other generators. The files
    are read when they are laid there, and not kept.

    Args:
        files: of the model.
    """

    def __init__(self, files: ModelFiles) -> None:
        self._files = files
        self._wanted: tuple[_Wanted, ...] = ()
        self._laid: tuple[_Wanted, ...] | None = ()
        self.bytes_held: dict[str, int] = dict.fromkeys(PARTS, 0)
        """Bytes that lie beside each part's weights."""
        self.of_text = ""
        """What prompts' states depend on; "" where none of the LoRAs changes a text encoder."""
        self.records: tuple[AppliedLora, ...] = ()
        """What pictures say of those that lie there."""

    def want(self, loras: Sequence[Lora]) -> bool:
        """Says which are wanted from now on; returns whether these are others than before.

        Raises ModelNotFoundError, ModelLoadError, ModelMismatchError about a file.
        """
        before, self._wanted = self._wanted, tuple(_Wanted.of(lora, self._files) for lora in loras)
        return before != self._wanted

    def forget(self) -> None:
        """Says that the engine was opened anew, and has none."""
        self._laid = ()
        self.bytes_held = dict.fromkeys(PARTS, 0)
        self.of_text = ""
        self.records = ()

    def lay(self, engine: AnyEngine) -> bool:
        """Lays those beside the weights that are wanted; returns whether that changed anything.

        Raises as ``want`` and as engines do; then none lie there.
        """
        if self._laid == self._wanted:
            return False
        try:
            self._lay(engine)
        except (ModelError, SettingsError, OutOfMemoryError):
            self._wanted = ()  # a file that cannot be used would be in the way of every picture from here on
            raise
        return True

    def _lay(self, engine: AnyEngine) -> None:
        self._laid = None
        total = Sum()
        text = hashlib.sha256()
        changes_text = False
        of_layers: dict[str, str] = {}
        for wanted in self._wanted:
            layers = read_lora(wanted.lora.path)
            places = self._places(engine, wanted.lora, layers)
            for layer in layers:
                place = places.get(layer.key)
                if place is not None:
                    total.add(wanted.lora, layer, place)
                    of_layers[place.layer] = place.part
                    if place.part == "text_encoder":
                        changes_text = True
                        text.update(repr((wanted.lora.weight, layer.key)).encode())
                        text.update(layer.down.tobytes())
                        text.update(layer.up.tobytes())
        pairs = total.layers()
        engine.run(AdaptRequest(pairs))
        self.bytes_held = dict.fromkeys(PARTS, 0)
        for name, (down, up) in pairs.items():
            self.bytes_held[of_layers[name]] += down.nbytes + up.nbytes
        self.of_text = text.hexdigest() if changes_text else ""
        self.records = tuple(_record_of(wanted.lora) for wanted in self._wanted)
        self._laid = self._wanted

    def _places(self, engine: AnyEngine, lora: Lora, layers: Sequence[LoraLayer]) -> Mapping[str, Place]:
        """Where each layer belongs, by its key. Warns of those without one; where none has any, ModelMismatchError."""
        spellings = {layer.key: spellings_of(layer.key) for layer in layers}
        names = tuple(name for several in spellings.values() for name in several)
        lines = bytes(engine.run(FindLayersRequest(names))["layers"]).decode().split("\n")
        found = {name: place for name, line in zip(names, lines, strict=False) if (place := _place(line)) is not None}
        places = {
            key: next(found[name] for name in several if name in found)
            for key, several in spellings.items()
            if any(name in found for name in several)
        }
        missing = [key for key in spellings if key not in places]
        if not places:
            raise ModelMismatchError(
                f"none of the {len(layers)} layers that {lora.path} changes is one of {self._files.family.title}, "
                f"such as '{missing[0]}'; get a LoRA for this model"
            )
        if missing:
            shown = ", ".join(missing[:_SHOWN]) + (", ..." if len(missing) > _SHOWN else "")
            warnings.warn(
                f"{len(missing)} of the {len(layers)} layers that {lora.path} changes are none of "
                f"{self._files.family.title}, and are left out: {shown}",
                LoraWarning,
                stacklevel=2,
            )
        return places


def _record_of(lora: Lora) -> AppliedLora:
    path = Path(lora.path)
    try:
        return AppliedLora(path.stem, lora.weight, sha256_of(path)[:DIGITS])
    except OSError as error:
        raise ModelLoadError(f"{path} cannot be read: {error.strerror or error}") from error


def _place(line: str) -> Place | None:
    """What the engine says of a layer; None where it has none, or one that no LoRA is applied to."""
    if not line:
        return None
    name, index, part, *extents = line.split(" ")
    across, down, inputs, outputs = map(int, extents)
    if PARTS[int(part)] not in _ADAPTED:
        return None
    if inputs == outputs == 1:  # a matrix: its extents are inputs and outputs
        return Place(name, int(index), PARTS[int(part)], down, across, ())
    return Place(name, int(index), PARTS[int(part)], outputs, inputs, (down, across))
