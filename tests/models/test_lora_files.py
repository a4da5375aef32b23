"""Reading LoRA files: every format comes out as the difference that its definition says, and bad files are refused."""

from __future__ import annotations

import contextlib
import json
import math
import os
import struct
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from sdcpp_py import ModelError, ModelLoadError, ModelMismatchError, ModelNotFoundError
from sdcpp_py.models.loras import files as lora_files
from sdcpp_py.models.loras.files import LoraLayer, read_lora
from sdcpp_py.models.loras.numbers import TensorReader

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


KEYS = {
    "lora_unet_double_blocks_0_img_attn_qkv.lora_down.weight": "lora_unet_double_blocks_0_img_attn_qkv",
    "diffusion_model.layers.0.attention.to_q.lora_A.weight": "diffusion_model.layers.0.attention.to_q",
    "transformer.single_transformer_blocks.0.attn.to_q.lora.down.weight": (
        "transformer.single_transformer_blocks.0.attn.to_q"
    ),
    "base_model.model.layers.0.to_q.lora_A.default.weight": "base_model.model.layers.0.to_q",
    "unet.mid_block.attn1.processor.to_q_lora.down.weight": "unet.mid_block.attn1.to_q",
    "unet.mid_block.attn1.processor.to_out_lora.down.weight": "unet.mid_block.attn1.to_out.0",
    "mid_block.attn1.to_k_lora.down.weight": "mid_block.attn1.to_k",
    "text_encoder.layers.0.q_proj.lora_linear_layer.down.weight": "text_encoder.layers.0.q_proj",
}


@pytest.mark.parametrize("name", KEYS)
def test_keys_are_the_layers(folder: Path, name: str) -> None:
    """A key is the layer's name as the file has it; attention's LoRAs in objects of their own are its layers'."""
    other = name.replace("down", "up") if "down" in name else name.replace("lora_A", "lora_B")
    (layer,) = read(folder, {name: random(0, 2, 5), other: random(1, 4, 2)})
    assert layer.key == KEYS[name]


@given(outputs=sides, channels=sides, rank=ranks, kernel=st.sampled_from([(1, 1), (3, 3), (1, 3)]), seed=seeds)
def test_convolution(folder: Path, outputs: int, channels: int, rank: int, kernel: tuple[int, int], seed: int) -> None:
    """A convolution's half keeps its kernel, and the half of 1x1 behind it is a matrix."""
    down, up = random(seed, rank, channels, *kernel), random(seed, outputs, rank, 1, 1)
    (layer,) = read(
        folder, {"a.lora_down.weight": down, "a.lora_up.weight": up, "a.alpha": np.array([rank / 2], np.float32)}
    )
    assert layer.down.shape == down.shape
    assert_is(layer, np.einsum("or,rchw->ochw", up[:, :, 0, 0].astype(np.float64), down) / 2)


@given(outputs=sides, channels=sides, rank=ranks, inner=ranks, seed=seeds)
def test_convolution_with_a_core(folder: Path, outputs: int, channels: int, rank: int, inner: int, seed: int) -> None:
    """A core between the halves goes into the first one; alpha counts by the rank of the first half."""
    down, core, up = (
        random(seed, inner, channels, 1, 1),
        random(seed, rank, inner, 3, 3),
        random(seed, outputs, rank, 1, 1),
    )
    names = ("a.lora_down.weight", "a.lora_mid.weight", "a.lora_up.weight")
    (layer,) = read(folder, {**dict(zip(names, (down, core, up), strict=True)), "a.alpha": np.float32(3).reshape(())})
    assert layer.down.shape == (rank, channels, 3, 3)
    wanted = np.einsum("or,rihw,ic->ochw", up[:, :, 0, 0].astype(np.float64), core, down[:, :, 0, 0])
    assert_is(layer, wanted * 3 / inner)


@given(outputs=sides, inputs=sides, ranks=st.tuples(ranks, ranks), kernel=st.booleans(), alpha=alphas, seed=seeds)
def test_loha(
    folder: Path, outputs: int, inputs: int, ranks: tuple[int, int], kernel: bool, alpha: float | None, seed: int
) -> None:
    """LoHa is the product, element by element, of two pairs, and comes out as whatever pair is smaller."""
    places = (3, 3) if kernel else ()
    tensors: dict[str, Array] = {}
    product = np.ones((outputs, inputs * math.prod(places)))
    for number, rank in enumerate(ranks, start=1):
        up, down = random(seed + number, outputs, rank), random(seed + number, rank, inputs, *places)
        tensors |= {f"a.hada_w{number}_a": up, f"a.hada_w{number}_b": down}
        product *= up.astype(np.float64) @ down.reshape(rank, -1)
    if alpha is not None:
        tensors["a.alpha"] = np.float16(alpha).reshape(())
    (layer,) = read(folder, tensors)
    assert layer.down.shape[2:] == places
    assert len(layer.down) == min(ranks[0] * ranks[1], *product.shape)
    assert_is(layer, product * (1 if alpha is None else alpha / ranks[0]))


small = st.integers(1, 7)


@given(
    first=st.tuples(small, small),
    second=st.tuples(small, small),
    rank=st.integers(1, 4),
    halves=st.tuples(*[st.booleans()] * 2),
    kernel=st.booleans(),
    alpha=alphas,
    seed=seeds,
)
def test_lokr(
    folder: Path,
    first: tuple[int, int],
    second: tuple[int, int],
    rank: int,
    halves: tuple[bool, bool],
    kernel: bool,
    alpha: float | None,
    seed: int,
) -> None:
    """LoKr is a Kronecker product; alpha divided by the rank scales it only where a factor is a pair itself."""
    places = (3, 3) if kernel else ()
    tensors: dict[str, Array] = {}
    factors = []
    for name, (rows, columns), is_pair, more in zip(
        ("lokr_w1", "lokr_w2"), (first, second), halves, ((), places), strict=True
    ):
        if is_pair:
            up, down = random(seed, rows, rank), random(seed + 1, rank, columns, *more)
            tensors |= {f"a.{name}_a": up, f"a.{name}_b": down}
            factors.append(up.astype(np.float64) @ down.reshape(rank, -1))
        else:
            tensors[f"a.{name}"] = random(seed, rows, columns, *more)
            factors.append(tensors[f"a.{name}"].reshape(rows, -1).astype(np.float64))
    if alpha is not None:
        tensors["a.alpha"] = np.float32(alpha).reshape(())
    (layer,) = read(folder, tensors)
    product = np.kron(*factors)
    assert layer.down.shape[2:] == places
    assert len(layer.down) <= min(product.shape)
    assert_is(layer, product * (alpha / rank if alpha is not None and any(halves) else 1))


def test_lokr_stays_small(folder: Path) -> None:
    """A large matrix as a small product with a pair in it does not become a whole difference."""
    tensors = {"a.lokr_w1": random(0, 4, 8), "a.lokr_w2_a": random(1, 64, 3), "a.lokr_w2_b": random(2, 3, 32)}
    (layer,) = read(folder, tensors)
    assert layer.down.shape == (4 * 3, 8 * 32)


@given(outputs=sides, inputs=sides, kernel=st.booleans(), seed=seeds)
def test_whole_difference(folder: Path, outputs: int, inputs: int, kernel: bool, seed: int) -> None:
    """A whole difference comes out bit by bit, beside an identity."""
    difference = random(seed, outputs, inputs, *((3, 3) if kernel else ()))
    (layer,) = read(folder, {"a.diff": difference})
    flat = layer.down.reshape(len(layer.down), -1)
    assert len(flat) == min(outputs, flat.shape[1])
    assert layer.down.shape[1:] == difference.shape[1:]
    np.testing.assert_array_equal(layer.up @ flat, difference.reshape(outputs, -1))


def test_scale_goes_before_alpha(folder: Path) -> None:
    """A scale that is given as it is counts, and not alpha; a scale of no layer is passed over."""
    tensors = {
        "a.lora_A.weight": random(0, 2, 3),
        "a.lora_B.weight": random(1, 4, 2),
        "a.alpha": np.array([8], np.float32),
        "a.scale": np.array([0.5], np.float64),
        "b.alpha": np.array([1], np.float32),
        "v_pred": random(0, 0),
        "mark": np.array([[1.0]], np.float32),
    }
    (layer,) = read(folder, tensors)
    assert_is(layer, tensors["a.lora_B.weight"].astype(np.float64) @ tensors["a.lora_A.weight"] * 0.5)


@pytest.mark.parametrize("dtype", ["I64", "I32", "U8", "F64", "F16"])
def test_alpha_of_any_type(folder: Path, dtype: str) -> None:
    """Alpha is a whole number in some files."""
    alpha = np.array(6, NUMPY_TYPES[dtype])
    (layer,) = read(folder, {"a.lora_A.weight": random(0, 2, 3), "a.lora_B.weight": random(1, 4, 2), "a.alpha": alpha})
    np.testing.assert_allclose(layer.up, random(1, 4, 2) * 3)


def as_bits(dtype: str) -> tuple[Array, Array]:
    """Finite numbers of a type, as it stores them and as float32."""
    if dtype in ("F16", "BF16"):
        bits = np.arange(1 << 16, dtype=np.uint16)
        numbers = (
            bits.view(np.float16).astype(np.float32)
            if dtype == "F16"
            else (bits.astype(np.uint32) << 16).view(np.float32)
        )
        return bits[np.isfinite(numbers)], numbers[np.isfinite(numbers)]
    many: Array = random(3, 60_000).astype(NUMPY_TYPES[dtype]) / 3
    many[:4] = [0, -0.0, 1e-42, 3.4e38]
    return many, many.astype(np.float32)


@pytest.mark.parametrize("dtype", ["F64", "F32", "F16", "BF16"])
def test_types(folder: Path, dtype: str) -> None:
    """Every finite number of 16 bits, and many of more, become the same number of float32, over pieces' ends too."""
    bits, numbers = as_bits(dtype)
    bits, numbers = np.tile(bits, 7)[None], np.tile(numbers, 7)[None]
    (layer,) = read(folder, {"a.lora_A.weight": (dtype, bits), "a.lora_B.weight": np.ones((1, 1), np.float32)})
    assert (layer.down.view(np.uint32) == numbers.view(np.uint32)).all()


@pytest.mark.parametrize("dtype", ["F64", "F32", "F16", "BF16"])
@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("part", ["lora_A.weight", "lora_B.weight", "alpha"])
def test_what_is_no_number_is_refused(folder: Path, dtype: str, number: float, part: str) -> None:
    """NaN and infinity in any tensor of any type are an error that names it."""
    shapes = {"lora_A.weight": (2, 300_000), "lora_B.weight": (4, 2), "alpha": (1,)}
    tensors: dict[str, Array | tuple[str, Array]] = {}
    for name, shape in shapes.items():
        numbers = np.ones(shape, np.float32)
        if name == part:
            numbers.reshape(-1)[-1] = number
        bits = (
            (numbers.view(np.uint32) >> 16).astype(np.uint16) if dtype == "BF16" else numbers.astype(NUMPY_TYPES[dtype])
        )
        tensors[f"a.{name}"] = (dtype, bits)
    with pytest.raises(ModelLoadError, match=f"'a.{part}' holds a number that is NaN, infinite or too large"):
        read(folder, tensors)


DOWN, UP = {"a.lora_down.weight": random(0, 2, 3)}, {"a.lora_up.weight": random(1, 4, 2)}
LOHA = {f"a.hada_w{n}_{half}": random(n, *shape) for n in (1, 2) for half, shape in (("a", (4, 2)), ("b", (2, 3)))}
HUGE = np.full((2, 2), 3e38, np.float32)
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "one half": (DOWN, "'a.lora_down.weight' and lacks the part 'lora_up"),
    "the other half": (UP, "'a.lora_up.weight' and lacks the part 'lora_down"),
    "a core alone": ({"a.lora_mid.weight": random(0, 2, 2, 3, 3)}, "lacks the part 'lora_down"),
    "a quarter of LoHa": ({"a.hada_w1_a": random(0, 4, 2)}, "lacks the part 'hada_w1_b'"),
    "three quarters of LoHa": ({k: v for k, v in LOHA.items() if k != "a.hada_w2_a"}, "lacks the part 'hada_w2_a'"),
    "one factor of LoKr": ({"a.lokr_w1": random(0, 2, 2)}, "lacks the part 'lokr_w2"),
    "half a factor": ({"a.lokr_w1": random(0, 2, 2), "a.lokr_w2_a": random(0, 2, 2)}, "lacks the part 'lokr_w2_b'"),
    "other ranks": (
        {**DOWN, "a.lora_up.weight": random(0, 4, 3)},
        r"fit each other: 'a.lora_down.weight' \(2, 3\), 'a.lora_up",
    ),
    "other matrices of LoHa": ({**LOHA, "a.hada_w2_b": random(0, 2, 5)}, "fit each other: 'a.hada_w1_a'"),
    "another core": (
        {**DOWN, **UP, "a.lora_mid.weight": random(0, 2, 5, 3, 3)},
        "fit each other: .*'a.lora_mid.weight'",
    ),
    "other ranks of LoKr": (
        {
            "a.lokr_w1_a": random(0, 5, 2),
            "a.lokr_w1_b": random(0, 2, 5),
            "a.lokr_w2_a": random(0, 5, 1),
            "a.lokr_w2_b": random(0, 1, 5),
        },
        "fit each other: 'a.lokr_w1_b'",
    ),
    "a kernel in the wrong factor": ({"a.lokr_w1": random(0, 2, 2, 3, 3), "a.lokr_w2": random(0, 2, 2)}, "'a.lokr_w1'"),
    "a factor whole and in halves": (
        {"a.lokr_w1": random(0, 2, 2), "a.lokr_w2": random(0, 2, 2), "a.lokr_w2_b": random(0, 2, 2)},
        "whole and in halves",
    ),
    "two kinds": ({**DOWN, **UP, "a.diff": random(0, 4, 3)}, "several kinds of LoRA at once"),
    "two ways of saying it": ({**DOWN, **UP, "a.lora_A.weight": random(0, 2, 3)}, "says twice .* layer 'a'"),
    "two adapters": ({"a.lora_A.x.weight": random(0, 2, 3), "a.lora_A.y.weight": random(0, 2, 3)}, "says twice"),
    "a list for a half": ({**UP, "a.lora_down.weight": random(0, 2)}, r"'a.lora_down.weight' has the shape \(2,\)"),
    "three axes": ({**UP, "a.lora_down.weight": random(0, 2, 3, 3)}, "convolutions in two dimensions"),
    "five axes": ({"a.diff": random(0, 2, 3, 1, 3, 3)}, "convolutions in two dimensions"),
    "a kernel in the half that writes": ({**DOWN, "a.lora_up.weight": random(0, 4, 2, 3, 3)}, "is to be a matrix"),
    "rank 0": ({"a.lora_down.weight": random(0, 0, 3), "a.lora_up.weight": random(0, 4, 0)}, "is empty"),
    "an empty list": ({**UP, "a.lora_down.weight": random(0, 0)}, "'a.lora_down.weight' has the shape"),
    "rank 4097": (
        {"a.lora_down.weight": random(0, 4097, 1), "a.lora_up.weight": random(0, 1, 4097)},
        "rank 4,097, and 4,096",
    ),
    "DoRA": ({**DOWN, **UP, "a.dora_scale": random(0, 4, 1)}, "'a.dora_scale', which is a DoRA's"),
    "DoRA of PEFT": ({**DOWN, **UP, "a.lora_magnitude_vector": random(0, 4)}, "DoRA"),
    "a bias": ({**DOWN, **UP, "a.diff_b": random(0, 4)}, "'a.diff_b', which changes a bias"),
    "a bias of PEFT": ({**DOWN, **UP, "a.lora_B.bias": random(0, 4)}, "'a.lora_B.bias', which changes a bias"),
    "a norm": ({"norm.diff": random(0, 4)}, "'norm.diff' changes a norm"),
    "a norm of LyCORIS": ({"norm.w_norm": random(0, 4)}, "'norm.w_norm', which changes a norm"),
    "a core of LoHa": ({**LOHA, "a.hada_t1": random(0, 2, 2, 3, 3)}, "'a.hada_t1', which is the core"),
    "a core of LoKr": ({"a.lokr_t2": random(0, 2, 2, 3, 3)}, "'a.lokr_t2', which is the core"),
    "a textual inversion": ({**DOWN, **UP, "bundle_emb.x.string_to_param.*": random(0, 2, 8)}, "textual inversion"),
    "another kind": ({"a.oft_blocks": random(0, 4, 2, 2)}, "'a.oft_blocks', which is of no kind of LoRA"),
    "lora_linear with weights": (
        {**DOWN, **UP, "a.lora_linear.weight": random(0, 4, 2)},
        "'a.lora_linear.weight', which is of no",
    ),
    "a list for alpha": ({**DOWN, **UP, "a.alpha": random(0, 2)}, "'a.alpha' of type F32 is no single number"),
    "8 bits": (
        {**DOWN, "a.lora_up.weight": ("F8_E4M3", np.ones((4, 2), np.uint8))},
        "'a.lora_up.weight' has the type F8_E4M3",
    ),
    "whole numbers": ({**DOWN, "a.lora_up.weight": np.ones((4, 2), np.int32)}, "'a.lora_up.weight' has the type I32"),
    "too large with alpha": (
        {**DOWN, "a.lora_up.weight": HUGE, "a.alpha": np.array([4], np.float32)},
        "'a.lora_up.weight' holds a number",
    ),
    "too large for float32": ({**DOWN, "a.lora_up.weight": np.full((4, 2), 1e39)}, "'a.lora_up.weight' holds a number"),
    "too large a product": ({"a.lokr_w1": HUGE, "a.lokr_w2": HUGE}, "the numbers of layer 'a' are too large"),
    "too large a sum": ({f"a.hada_w{n}_{half}": HUGE for n in (1, 2) for half in "ab"}, "layer 'a' are too large"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(folder: Path, case: str) -> None:
    """What cannot be read, or not rightly, is an error that names file and tensor."""
    tensors, says = REFUSED[case]
    with pytest.raises(ModelLoadError, match=says) as caught:
        read(folder, tensors)
    assert str(folder / "lora.safetensors") in str(caught.value)


def test_no_lora(folder: Path) -> None:
    """A file without a layer, a GGUF file, no file, and a file that is cut are each their own error."""
    with pytest.raises(ModelMismatchError, match="has no layer of one"):
        read(folder, {"a.alpha": np.array([1], np.float32)})
    with pytest.raises(ModelNotFoundError):
        read_lora(folder / "missing.safetensors")
    whole = save(folder / "whole.safetensors", {**DOWN, **UP}).read_bytes()
    cut = folder / "cut.safetensors"
    cut.write_bytes(whole[:-1])
    with pytest.raises(ModelLoadError, match="is truncated"):
        read_lora(cut)
    cut.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 0, 0))
    with pytest.raises(ModelMismatchError, match="GGUF"):
        read_lora(cut)
    cut.write_bytes(b"no model at all, whatever its name says")
    with pytest.raises(ModelLoadError, match="neither GGUF nor safetensors"):
        read_lora(cut)


def test_a_small_file_does_not_fill_the_memory(folder: Path) -> None:
    """Factors of a few bytes whose product is terabytes are refused before anything is computed."""
    many = np.ones((1500, 1500), np.float16)
    with pytest.raises(ModelLoadError, match=r"takes \S+ GiB in memory, and 16.00 GiB is the most"):
        read(folder, {"a.lokr_w1": many, "a.lokr_w2": many})


def test_a_file_of_holes_does_not_fill_the_memory(folder: Path) -> None:
    """Nor does one that is larger than it takes on disk."""
    header = {
        "a.hada_w1_a": {"dtype": "F16", "shape": [2**30, 16], "data_offsets": [0, 2**35]},
        "a.hada_w1_b": {"dtype": "F16", "shape": [16, 1], "data_offsets": [0, 32]},
        "a.hada_w2_a": {"dtype": "F16", "shape": [2**30, 16], "data_offsets": [0, 2**35]},
        "a.hada_w2_b": {"dtype": "F16", "shape": [16, 1], "data_offsets": [0, 32]},
    }
    text = json.dumps(header).encode()
    path = folder / "holes.safetensors"
    path.write_bytes(struct.pack("<Q", len(text)) + text)
    os.truncate(path, 8 + len(text) + 2**35)
    with pytest.raises(ModelLoadError, match="is the most"):
        read_lora(path)
    path.unlink()


def test_shapes_that_overflow(folder: Path) -> None:
    """A shape whose product is more than 64 bits hold contradicts its bytes."""
    header = {"a.lora_A.weight": {"dtype": "F16", "shape": [2**32, 2**32], "data_offsets": [0, 0]}}
    text = json.dumps(header).encode()
    path = folder / "overflow.safetensors"
    path.write_bytes(struct.pack("<Q", len(text)) + text)
    with pytest.raises(ModelLoadError, match="a size that its shape contradicts"):
        read_lora(path)


def test_no_memory(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no memory for a LoRA, that is said."""

    def fail(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr(TensorReader, "floats", fail)
    with pytest.raises(ModelLoadError, match="for which there is no memory"):
        read(folder, {**DOWN, **UP})


def test_layers_without_end(folder: Path) -> None:
    """A file of more layers than any LoRA has is refused by their number, and one of as many as may be is read."""
    ones = np.ones((1, 1), np.float32)
    tensors = {f"{i}.lora_{half}.weight": ones for i in range(lora_files.MOST_LAYERS) for half in "AB"}
    assert len(read(folder, tensors)) == lora_files.MOST_LAYERS
    with pytest.raises(ModelLoadError, match="more than 20,000 layers"):
        read(folder, {**tensors, "one.more.lora_A.weight": ones})


part_names = st.sampled_from(
    [
        "lora_down.weight",
        "lora_up.weight",
        "lora_mid.weight",
        "alpha",
        "scale",
        "diff",
        "diff_b",
        "lokr_w1",
        "lokr_w2",
        "lokr_w1_a",
        "lokr_w1_b",
        "lokr_w2_a",
        "lokr_w2_b",
        "hada_w1_a",
        "hada_w1_b",
        "hada_w2_a",
        "hada_w2_b",
        "lora_A.weight",
    ]
)
shapes = st.lists(st.integers(0, 3), max_size=5).map(tuple)


@given(
    entries=st.dictionaries(
        st.tuples(st.sampled_from("ab"), part_names),
        st.tuples(shapes, st.sampled_from(sorted(NUMPY_TYPES)), seeds),
        max_size=6,
    )
)
def test_whatever_is_in_a_file(folder: Path, entries: dict[tuple[str, str], tuple[tuple[int, ...], str, int]]) -> None:
    """Random parts of random shapes, types and bits are read as pairs that fit, or refused by name; nothing else."""
    tensors = {}
    for (layer, part), (shape, dtype, seed) in entries.items():
        width = np.dtype(NUMPY_TYPES[dtype])
        data = np.random.default_rng(seed).bytes(math.prod(shape) * width.itemsize)
        tensors[f"{layer}.{part}"] = (dtype, np.frombuffer(data, width).reshape(shape))
    with contextlib.suppress(ModelError):
        layers = read(folder, tensors)
        assert layers
        for pair in layers:
            assert pair.up.shape[1] == len(pair.down)
            assert np.isfinite(pair.up).all()
            assert np.isfinite(pair.down).all()


@pytest.mark.timing
@pytest.mark.parametrize("dtype", ["BF16", "F16"])
def test_reading_is_quick(tmp_path: Path, dtype: str) -> None:
    """150 MB of 16 bits take 0.2 s of the CPU, the best of five tries."""
    bits = np.random.default_rng(0).integers(0, 0x3C00, (64, 18_432), dtype=np.uint16)
    names = [f"diffusion_model.layers.{i}.{half}.weight" for i in range(32) for half in ("lora_A", "lora_B")]
    path = save(
        tmp_path / "l.safetensors", {n: (dtype, bits if "_A" in n else bits.reshape(18_432, 64)) for n in names}
    )
    times = []
    for _ in range(5):
        began = time.process_time()
        assert len(read_lora(path)) == 32
        times.append(time.process_time() - began)
    print(f"{path.stat().st_size / 1e6:.0f} MB of {dtype}: {min(times):.3f} s")
    assert min(times) < 0.2
