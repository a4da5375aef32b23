"""How strongly a LoRA was trained to be added, where PEFT and diffusers say it beside the tensors."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from sdcpp_py import ModelLoadError
from sdcpp_py.models.loras.files import read_lora

RANK = 4
LAYERS = ("transformer.blocks.0.to_q", "transformer.blocks.10.to_q", "text_encoder.layers.0.q_proj", "unet.to_k")


def scales(
    folder: Path,
    metadata: object = None,
    *,
    layers: tuple[str, ...] = LAYERS,
    name: str = "lora.safetensors",
    alpha: float | None = None,
) -> list[float]:
    """What a file's products are multiplied by when it is read."""
    tensors: dict[str, Any] = {}
    for layer in layers:
        tensors[f"{layer}.lora_A.weight"] = np.ones((RANK, 3), np.float32)
        tensors[f"{layer}.lora_B.weight"] = np.ones((2, RANK), np.float32)
        if alpha is not None:
            tensors[f"{layer}.alpha"] = np.array(alpha, np.float32)
    text = metadata if isinstance(metadata, str) else json.dumps(metadata)
    save_file(tensors, folder / name, metadata=None if metadata is None else {"lora_adapter_metadata": text})
    found = {layer.key: float(layer.up[0, 0]) for layer in read_lora(folder / name)}
    return [found[layer] for layer in layers]


def test_each_part_has_its_own(tmp_path: Path) -> None:
    """As diffusers writes it; a part of which nothing is said is added as it is."""
    settings = {"transformer.lora_alpha": 8, "transformer.r": RANK, "text_encoder.lora_alpha": 2.0}
    assert scales(tmp_path, settings) == [2, 2, 0.5, 1]
    assert scales(tmp_path) == [1, 1, 1, 1]


def test_a_transformer_alone(tmp_path: Path) -> None:
    """As it is written of one part, whose layers then have no part in their names."""
    assert scales(tmp_path, {"lora_alpha": 2, "r": RANK}, layers=("blocks.0.to_q", "to_k")) == [0.5, 0.5]


@pytest.mark.parametrize("pattern", ["blocks.0.to_q", r"^blocks\.0\.to_q$", "0.to_q"])
def test_layers_with_an_alpha_of_their_own(tmp_path: Path, pattern: str) -> None:
    """Those are found by the whole of their names or by an end of it, of whole words."""
    settings = {"transformer.lora_alpha": 8, "transformer.alpha_pattern": {pattern: 0}}
    assert scales(tmp_path, settings)[:2] == [0, 2]


def test_rank_stabilised(tmp_path: Path) -> None:
    """Where it was trained so, alpha is divided by the root of the rank."""
    settings = {"transformer.lora_alpha": 8, "transformer.use_rslora": True}
    assert scales(tmp_path, settings)[:2] == [4, 4]


def test_tensors_go_before(tmp_path: Path) -> None:
    """An alpha of the layer itself is what counts."""
    assert scales(tmp_path, {"transformer.lora_alpha": 8}, alpha=1)[0] == 0.25


def test_a_file_beside(tmp_path: Path) -> None:
    """PEFT writes them into a file beside its own; beside a file of another name it is another's."""
    layers = ("base_model.model.blocks.0.to_q",)
    (tmp_path / "adapter_config.json").write_text(json.dumps({"lora_alpha": 8, "r": RANK, "peft_type": "LORA"}))
    assert scales(tmp_path, layers=layers, name="adapter_model.safetensors") == [2]
    assert scales(tmp_path, layers=layers) == [1]


@pytest.mark.parametrize(
    "settings",
    [
        "{", "[8]", "[" * 100_000, '"8"', {"lora_alpha": "8"}, {"lora_alpha": True}, {"lora_alpha": [8]},
        '{"lora_alpha": NaN}', '{"lora_alpha": 1e999}', {"lora_alpha": 10**400}, {"lora_alpha": 1e300},
        '{"lora_alpha": 1' + 5000 * "0" + "}", {"alpha_pattern": {"to_k": {}}},
    ],
    ids=lambda settings: str(settings)[:20],
)  # fmt: skip
def test_what_says_nothing(tmp_path: Path, settings: str | Mapping[str, object]) -> None:
    """Settings that are no settings are refused, with the file's name."""
    with pytest.raises(ModelLoadError, match=r"lora\.safetensors does not say in a readable way"):
        scales(tmp_path, settings)
    (tmp_path / "adapter_config.json").write_text(settings if isinstance(settings, str) else json.dumps(settings))
    with pytest.raises(ModelLoadError, match=r"adapter_config\.json does not say in a readable way"):
        scales(tmp_path, name="adapter_model.safetensors", layers=("base_model.model.to_k",))


def test_patterns_are_names(tmp_path: Path) -> None:
    """One that a search would never end with is a name like any other."""
    settings = {"transformer.alpha_pattern": {"(b+)+" * 20 + "!": 3}}
    assert scales(tmp_path, settings, layers=("transformer." + 100 * "b",)) == [1]
