"""Reading LoRA files: every format comes out as the difference that its definition says, and bad files are refused."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from sdcpp_py.models.lora_files import LoraLayer, read_lora

Array = NDArray[Any]

NUMPY_TYPES = {
    "F64": np.float64, "F32": np.float32, "F16": np.float16, "I64": np.int64, "I32": np.int32, "BF16": np.uint16,
    "U8": np.uint8, "F8_E4M3": np.uint8,
}  # fmt: skip
NAMES = {"float64": "F64", "float32": "F32", "float16": "F16", "int64": "I64", "int32": "I32", "uint8": "U8"}
sides = st.integers(1, 24)
ranks = st.integers(1, 6)
seeds = st.integers(0, 2**32 - 1)
alphas = st.one_of(st.none(), st.floats(0.0, 64.0, width=16))


def save(path: Path, tensors: Mapping[str, Array | tuple[str, Array]]) -> Path:
    """Writes a file; a tensor's type is its array's, or the one that is named beside its bits."""
    header, data, at = {}, [], 0
    for name, entry in tensors.items():
        dtype, array = entry if isinstance(entry, tuple) else (NAMES[entry.dtype.name], entry)
        header[name] = {"dtype": dtype, "shape": array.shape, "data_offsets": [at, at + array.nbytes]}
        data.append(np.ascontiguousarray(array).tobytes())
        at += array.nbytes
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(data))
    return path


def random(seed: int, *shape: int) -> Array:
    return np.random.default_rng([seed, *shape]).normal(size=shape).astype(np.float32)


def read(folder: Path, tensors: Mapping[str, Array | tuple[str, Array]]) -> list[LoraLayer]:
    return read_lora(save(folder / "lora.safetensors", tensors))


def assert_is(layer: LoraLayer, difference: Array) -> None:
    """The pair's product is the difference, which is a matrix of float64 or one with a kernel."""
    assert layer.down.dtype == layer.up.dtype == np.float32
    assert layer.down.flags.c_contiguous
    assert layer.up.flags.c_contiguous
    assert layer.up.shape == (len(difference), len(layer.down))
    wanted = difference.reshape(len(difference), -1)
    got = layer.up.astype(np.float64) @ layer.down.reshape(len(layer.down), -1).astype(np.float64)
    assert got.shape == wanted.shape
    assert np.abs(got - wanted).max() <= 1e-5 * max(np.abs(wanted).max(), 1e-30)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("loras")


ENDINGS = {
    "kohya": (".lora_down.weight", ".lora_up.weight"),
    "peft": (".lora_A.weight", ".lora_B.weight"),
    "peft with a name": (".lora_A.default.weight", ".lora_B.default.weight"),
    "diffusers": (".lora.down.weight", ".lora.up.weight"),
    "diffusers, text encoder": (".lora_linear_layer.down.weight", ".lora_linear_layer.up.weight"),
    "diffusers, beside the layer": ("_lora.down.weight", "_lora.up.weight"),
}


@pytest.mark.parametrize("ending", ENDINGS)
@given(outputs=sides, inputs=sides, rank=ranks, alpha=alphas, seed=seeds)
def test_plain(folder: Path, ending: str, outputs: int, inputs: int, rank: int, alpha: float | None, seed: int) -> None:
    """A plain pair in the names of every program; alpha is divided by the rank, and without one the scale is 1."""
    reads, writes = ENDINGS[ending]
    down, up = random(seed, rank, inputs), random(seed + 1, outputs, rank)
    tensors = {f"a.b{writes}": up, f"a.b{reads}": down}
    if alpha is not None:
        tensors["a.b.alpha"] = np.float32(alpha).reshape(())
    (layer,) = read(folder, tensors)
    assert layer.key == "a.b"
    assert_is(layer, up.astype(np.float64) @ down * (1 if alpha is None else alpha / rank))
