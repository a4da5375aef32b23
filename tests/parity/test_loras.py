"""Pictures with LoRAs against the engine's own program, which lays them beside the weights or adds them to these.

At run time it computes what this library computes: a layer's output, and the two narrow products beside it. So pixels
are equal, where the strength (alpha / rank * weight) is a power of two; any other is rounded at another place, there in
the products and here in one of the matrices. Added to the weights beforehand ("immediately"), the sum is rounded to
their type. Into quantized weights it cannot be added there: the program ends with an assertion on the CPU.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from sdcpp_py import Generator
from sdcpp_py.models.detect.headers import read_header
from sdcpp_py.models.files import arguments_of
from sdcpp_py.synth import SyntheticSet, write_set
from sdcpp_py.synth.formats import write_gguf
from sdcpp_py.synth.models import ModelShape

from ..pipeline.test_loras import UNETS, Floats, Tensors, comfyui, kohya, matrices, pair
from .test_families import DENOISERS, PROMPT, SETTINGS, SIZE, SQUARE, ignore, parts, run_sd_cli
from .test_pixels import engines_own_kernels, sd_cli

pytestmark = [pytest.mark.parity, pytest.mark.usefixtures("work")]

__all__ = ["engines_own_kernels", "parts", "sd_cli"]  # fixtures

RANK = 4
# Layers of text encoders, as both programs find them, and the shapes of their weights.
TEXT = {
    "klein": {"text_encoders.llm.model.layers.3.self_attn.q_proj": (2048, 64)},
    "flux1": {"lora_te1_text_model_encoder_layers_3_mlp_fc1": (3072, 768)},
}


@dataclass
class Model:
    """A small model of a family, and the same open."""

    family: str
    files: Mapping[str, Path]
    generator: Generator

    @cached_property
    def plain(self) -> np.ndarray:
        """What it draws without a LoRA."""
        return ours(self.generator)

    @property
    def layers(self) -> dict[str, tuple[int, ...]]:
        """The denoiser's layers in the first block of each kind, and the shapes of their weights."""
        return matrices(SyntheticSet(self.files["diffusion_model"]))


@pytest.fixture(scope="module")
def model(
    request: pytest.FixtureRequest, parts: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Model]:
    """A model that the program can draw with: (family, type of its weights)."""
    family, quant = request.param
    folder = tmp_path_factory.mktemp(f"{family}-{quant}")
    if family == "klein":
        files = write_set("tiny-klein", folder, quant=quant).files
    else:
        denoiser = folder / "dev.gguf"
        write_gguf(denoiser, ModelShape("dev", DENOISERS["dev"], "flux"), quant, 0, ignore)
        files = {"diffusion_model": denoiser, **parts}
    with Generator(**arguments_of(files), device="cpu", threads=2) as generator:
        yield Model(family, files, generator)


def ours(generator: Generator, **settings: Any) -> np.ndarray:
    return np.asarray(generator.generate(PROMPT, **{**SETTINGS, "cfg_scale": 1.0, **settings}))


def theirs(sd_cli: Path, model: Model, mode: str, loras: Mapping[Path, float]) -> np.ndarray:
    files = {role: path for role, path in model.files.items() if role != "t5xxl"}
    return drawn_with(sd_cli, files, mode, loras, *SIZE, "--cfg-scale", 1)


def drawn_with(
    sd_cli: Path, files: Mapping[str, Path], mode: str, loras: Mapping[Path, float], *options: object
) -> np.ndarray:
    """What the program draws with LoRAs that lie in this folder, all of whose layers it applied."""
    # A space before the name would be part of its prompt.
    prompt = PROMPT + "".join(f"<lora:{path.stem}:{weight}>" for path, weight in loras.items())
    options = ("--lora-model-dir", ".", "--lora-apply-mode", mode, *options)
    pixels, said = run_sd_cli(sd_cli, files, *options, prompt=prompt)
    counts = re.findall(r"\((\d+) / (\d+)\) LoRA tensors have been applied", said)
    assert len(counts) >= len(loras), said
    assert all(applied == present != "0" for applied, present in counts), said
    return pixels


def assert_as_near_as_rounding(one: np.ndarray, other: np.ndarray) -> None:
    """Holds two pictures to what rounding alone can do.

    Sums in another order differ in float32's last digits. The VAE's convolutions read float16, whose last digit is
    about a twentieth of a level of brightness: so many pixels become the next whole number (4 to 6 of 100 did). Without
    any one of its layers, a LoRA gives pictures that are off by more.
    """
    difference = np.abs(one.astype(int) - other.astype(int))
    assert difference.max() <= 1
    assert difference.mean() < 0.1


def written(name: str, layers: Mapping[str, tuple[int, ...]], program: Callable[..., Tensors]) -> Path:
    tensors: Tensors = {}
    for seed, (layer, shape) in enumerate(layers.items()):
        tensors |= program(layer, *pair(shape, seed))
    return saved(name, tensors)


def saved(name: str, tensors: Tensors) -> Path:
    path = Path(f"{name}.safetensors")
    save_file({key: np.ascontiguousarray(value) for key, value in tensors.items()}, path)
    return path


def assert_it_changes(model: Model, drawn: np.ndarray) -> None:
    assert np.abs(drawn.astype(int) - model.plain).mean() > 1


@pytest.mark.parametrize(
    ("model", "program", "weight"),
    [
        pytest.param(("klein", "F32"), comfyui, 1.0, id="klein-F32"),
        pytest.param(("klein", "Q8_0"), kohya, 0.5, id="klein-Q8_0"),
        pytest.param(("flux1", "F16"), kohya, 1.0, id="flux1-F16"),
    ],
    indirect=["model"],
)
def test_at_run_time_it_is_the_engines_own(
    sd_cli: Path, model: Model, program: Callable[..., Tensors], weight: float
) -> None:
    """Beside weights of any type, of denoiser and text encoder, a LoRA gives sd-cli's pixels."""
    tensors: Tensors = {}
    for seed, (layer, shape) in enumerate(model.layers.items()):
        tensors |= program(layer, *pair(shape, seed))
    for layer, shape in TEXT[model.family].items():
        down, up = pair(shape, 99)
        tensors |= {f"{layer}.lora_down.weight": down, f"{layer}.lora_up.weight": up}
    lora = saved("style", tensors)
    drawn = ours(model.generator, loras=[(lora, weight)])
    assert np.array_equal(drawn, theirs(sd_cli, model, "at_runtime", {lora: weight}))
    assert_it_changes(model, drawn)


@pytest.mark.parametrize("model", [("klein", "F32")], indirect=True, ids="-".join)
def test_several_and_any_weights(sd_cli: Path, model: Model) -> None:
    """Two LoRAs of the same layers, at weights that are no powers of two, give its pixels but for the rounding."""
    loras = {written("one", model.layers, comfyui): 0.8, written("other", model.layers, kohya): -0.3}
    drawn = ours(model.generator, loras=list(loras.items()))
    assert_as_near_as_rounding(drawn, theirs(sd_cli, model, "at_runtime", loras))
    assert_it_changes(model, drawn)


@pytest.mark.parametrize("model", [("flux1", "F16")], indirect=True, ids="-".join)
def test_layers_that_are_apart_in_diffusers(sd_cli: Path, model: Model) -> None:
    """A LoRA in diffusers' names, whose query, key and value are one weight of the model, gives its pixels."""
    tensors: Tensors = {}
    for block, names in (
        ("transformer_blocks.0.attn", {"to_q": 1, "to_k": 1, "to_v": 1, "to_out.0": 1}),
        ("single_transformer_blocks.0", {"attn.to_q": 1, "attn.to_k": 1, "attn.to_v": 1, "proj_mlp": 4}),
    ):
        for seed, (name, times) in enumerate(names.items()):
            down, up = pair((256 * times, 256), seed)
            key = f"transformer.{block}.{name}"
            tensors |= {f"{key}.lora_A.weight": down, f"{key}.lora_B.weight": up}
    lora = saved("apart", tensors)
    drawn = ours(model.generator, loras=lora)
    assert_as_near_as_rounding(drawn, theirs(sd_cli, model, "at_runtime", {lora: 1.0}))
    assert_it_changes(model, drawn)


def few_bits(shape: tuple[int, ...], seed: int) -> Floats:
    """Numbers whose products and sums are exact in float32, in whatever order."""
    numbers: Floats = np.random.default_rng(seed).integers(-2, 3, shape).astype(np.float32) / np.float32(16)
    return numbers


@pytest.mark.parametrize("model", [("klein", "F32"), ("flux1", "F16")], indirect=True, ids="-".join)
def test_added_to_the_weights(sd_cli: Path, model: Model) -> None:
    """Where sd-cli adds it to the weights, its pixels are ours of such sums, and near to ours beside the weights."""
    halves = {
        layer: (few_bits((RANK, inputs), seed), 2 * few_bits((outputs, RANK), seed + 1))
        for seed, (layer, (outputs, inputs)) in enumerate(model.layers.items())
    }
    lora = saved("exact", {key: half for layer, pair in halves.items() for key, half in comfyui(layer, *pair).items()})
    expected = theirs(sd_cli, model, "immediately", {lora: 1.0})

    merged = Path(shutil.copy(model.files["diffusion_model"], "merged.gguf"))
    stored = read_header(merged).tensors
    with merged.open("r+b") as stream:
        for layer, (down, up) in halves.items():
            tensor = stored[f"{layer}.weight"]
            kind = {"F32": np.float32, "F16": np.float16}[tensor.dtype]
            stream.seek(tensor.offset)
            weight = np.frombuffer(stream.read(tensor.nbytes), kind).reshape(tensor.shape)
            stream.seek(tensor.offset)
            stream.write((weight + up @ down).astype(kind).tobytes())
    with Generator(**arguments_of({**model.files, "diffusion_model": merged}), device="cpu", threads=2) as generator:
        assert np.array_equal(ours(generator), expected)

    drawn = ours(model.generator, loras=lora)
    assert_as_near_as_rounding(drawn, expected)
    assert_it_changes(model, drawn)


@pytest.mark.parametrize("model", [("klein", "F32")], indirect=True, ids="-".join)
@pytest.mark.parametrize("mode", ["immediately", "at_runtime"])
def test_other_kinds(sd_cli: Path, model: Model, mode: str) -> None:
    """LoHa, LoKr and whole differences give its pixels but for the rounding, since it computes them in another way.

    Of a LoKr in halves it takes these the wrong way round at run time, and ends with an assertion.
    """
    tensors: Tensors = {}
    for seed, (layer, (outputs, inputs)) in enumerate(model.layers.items()):
        key = f"lora_unet_{layer.replace('.', '_')}"
        if seed % 3 == 0:
            (down, up), (down2, up2) = pair((outputs, inputs), seed), pair((outputs, inputs), seed + 50)
            tensors |= {f"{key}.hada_w1_a": 4 * up, f"{key}.hada_w1_b": down}
            tensors |= {f"{key}.hada_w2_a": 4 * up2, f"{key}.hada_w2_b": down2}
            tensors[f"{key}.alpha"] = np.array(RANK, np.float32)
        elif seed % 3 == 1:
            tensors[f"{key}.lokr_w1"] = 4 * few_bits((4, 4), seed)
            down, up = pair((outputs // 4, inputs // 4), seed)
            if mode == "at_runtime":
                tensors[f"{key}.lokr_w2"] = up @ down
            else:
                tensors |= {f"{key}.lokr_w2_a": up, f"{key}.lokr_w2_b": down}
                tensors[f"{key}.alpha"] = np.array(RANK / 2, np.float32)
        else:
            down, up = pair((outputs, inputs), seed)
            tensors[f"{key}.diff"] = up @ down
    lora = saved("other", tensors)
    drawn = ours(model.generator, loras=[(lora, 0.5)])
    assert_as_near_as_rounding(drawn, theirs(sd_cli, model, mode, {lora: 0.5}))
    assert_it_changes(model, drawn)


@pytest.mark.full_size
@pytest.mark.parametrize("name", list(UNETS))
def test_convolutions_at_run_time(sd_cli: Path, name: str, tmp_path: Path) -> None:
    """Beside the convolutions of a U-Net, whose halves are float16 there and here, a LoRA gives sd-cli's pixels."""
    (path,) = write_set(name, tmp_path, quant="F16").files.values()
    stored, halves = read_header(path).tensors, {}
    for seed, (key, layer) in enumerate(UNETS[name].items()):
        outputs, *inputs = stored[f"model.diffusion_model.{layer}.weight"].shape
        down, up = pair((outputs, int(np.prod(inputs))), seed)
        halves[f"lora_unet_{key}.lora_down.weight"] = down.reshape(RANK, *inputs)
        halves[f"lora_unet_{key}.lora_up.weight"] = up.reshape(outputs, RANK, *[1] * (len(inputs) - 1))
    lora = saved("style", halves)
    options = (*SQUARE, "--cfg-scale", 1, "--sampling-method", "euler")
    expected = drawn_with(sd_cli, {"model": path}, "at_runtime", {lora: 1.0}, *options)
    with Generator(model=path, device="cpu", threads=2) as generator:
        settings = {"width": 64, "height": 64, "steps": 2, "sampler": "euler"}
        drawn, plain = (ours(generator, **settings, loras=loras) for loras in ([lora], []))
    assert np.array_equal(drawn, expected)
    assert not np.array_equal(drawn, plain)
