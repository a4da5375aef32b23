"""What PEFT and diffusers say of a LoRA beside its tensors: how strongly each layer was trained to be added.

Other programs write alpha as a tensor of each layer. These two write it once for all layers, as JSON: diffusers into
the file's metadata, for each part of the model, and PEFT into a file beside it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sdcpp_py.errors import ModelLoadError
from sdcpp_py.models.detect.headers import FileHeader

_METADATA = "lora_adapter_metadata"
_FILE, _BESIDE = "adapter_model.safetensors", "adapter_config.json"
_MOST_BYTES = 1 << 20
_MOST_ALPHA = 1e38
# What the names of layers begin with: the part of the model that they are in.
_PARTS = ("text_encoder_3.", "text_encoder_2.", "text_encoder.", "transformer.", "unet.", "base_model.model.")


@dataclass(frozen=True)
class AdapterSettings:
    """The settings of a LoRA's file.

    Attributes:
        path: what they were read from.
        values: by their names, with the part of the model before them or without one; {} where there are none.
    """

    path: Path
    values: Mapping[str, object]

    def scale_of(self, layer: str, rank: int) -> float:
        """What a layer's product is to be multiplied by: 1 where nothing is said of it.

        Raises ModelLoadError where what is said is no number.
        """
        part = next((part for part in _PARTS if layer.startswith(part)), "")
        name = layer.removeprefix(part)
        alpha = self._pattern(part, name)
        if alpha is None:
            alpha = self._value(part, "lora_alpha")
        if alpha is None:
            return 1.0
        # More than float32 holds is too much, and so is what is no number.
        if isinstance(alpha, bool) or not isinstance(alpha, (int, float)) or not abs(alpha) < _MOST_ALPHA:
            raise _unreadable(self.path)
        return alpha / (math.sqrt(rank) if self._value(part, "use_rslora") is True else rank)

    def _value(self, part: str, name: str) -> object:
        return self.values.get(part + name, self.values.get(name))

    def _pattern(self, part: str, layer: str) -> object:
        """The alpha of this layer alone; None where it has none of its own.

        Names are taken as they are, though PEFT takes them for patterns: a file from anywhere could hold one that takes
        a year to look for.
        """
        alphas = self._value(part, "alpha_pattern")
        if not isinstance(alphas, dict):
            return None
        for pattern, alpha in alphas.items():
            name = pattern.removeprefix("^").removesuffix("$").replace("\\.", ".")
            if layer == name or (layer.endswith("." + name) and not pattern.startswith("^")):
                return alpha
        return None


def adapter_settings(header: FileHeader) -> AdapterSettings:
    """The settings of a LoRA's file, of which most have none. Raises ModelLoadError where they are damaged."""
    text, path = header.metadata.get(_METADATA), header.path
    beside = header.path.with_name(_BESIDE)
    try:
        if text is None and header.path.name == _FILE and beside.is_file():
            path = beside
            with beside.open(encoding="utf-8") as stream:
                text = stream.read(_MOST_BYTES)
        values = json.loads(str(text)) if text else {}
    except (OSError, ValueError, RecursionError) as error:
        raise _unreadable(path) from error
    if not isinstance(values, dict):
        raise _unreadable(path)
    return AdapterSettings(path, values)


def _unreadable(path: Path) -> ModelLoadError:
    return ModelLoadError(
        f"{path} does not say in a readable way how strongly the LoRA is to be added (lora_alpha); "
        "download it again, or get another LoRA"
    )
