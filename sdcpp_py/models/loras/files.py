"""Reading LoRA files: whatever program wrote one, as pairs of matrices to be applied beside the model's weights."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sdcpp_py.errors import ModelLoadError, ModelMismatchError
from sdcpp_py.models.detect.headers import FileHeader, read_header
from sdcpp_py.models.detect.storage import parameters_of
from sdcpp_py.models.loras.adapter_settings import adapter_settings
from sdcpp_py.models.loras.layers import SCALES, LayerTensors, Recipe
from sdcpp_py.models.loras.names import place_of, refusal_of
from sdcpp_py.models.loras.numbers import Floats, TensorReader
from sdcpp_py.system.byte_sizes import format_bytes
from sdcpp_py.system.paths import StrPath

MOST_LAYERS = 20_000
MOST_BYTES = 16 << 30
"""Of all layers as they are handed out; LoHa and LoKr can be millions of times as large as their files."""


@dataclass(frozen=True)
class LoraLayer:
    """What a LoRA adds to one layer: ``up @ down``, times the strength that the user gives.

    Attributes:
        key: the layer as the file names it, without what says which half it is:
            "lora_unet_double_blocks_0_img_attn_qkv", "diffusion_model.layers.0.attention.to_q".
        down: float32 of (rank, inputs); of a convolution (rank, channels, height, width), or the same numbers in the
            same order as (rank, channels * height * width) where the file does not say how large the kernel is, as
            those of LyCORIS do not.
        up: float32 of (outputs, rank); alpha / rank is in it already. The rank of a plain LoRA is 4096 at most; that of
            the other kinds is at most the smaller one of outputs and inputs, and one half is an identity then.
    """

    key: str
    down: Floats
    up: Floats


def read_lora(path: StrPath) -> list[LoraLayer]:
    """Reads all layers of a LoRA in safetensors, in the file's order.

    Reads what kohya's scripts, musubi-tuner, ai-toolkit, diffusers, PEFT and LyCORIS (LoRA, LoCon, LoHa, LoKr, full
    differences) write, in F64, F32, F16 and BF16.

    Raises:
        ModelNotFoundError: there is no such file.
        ModelLoadError: it is damaged, larger than can be, or holds what is not read (DoRA, changes of norms and biases,
            textual inversions, types of 8 bits); the message names file, tensor and a way out.
        ModelMismatchError: it is a model file without a layer of a LoRA.
    """
    header = read_header(path)
    if header.format != "safetensors":
        raise ModelMismatchError(f"{header.path} was given as a LoRA, but it is a GGUF file; get a LoRA in safetensors")
    recipes = {layer.key: layer.recipe() for layer in _layers(header)}
    if not recipes:
        raise ModelMismatchError(f"{header.path} was given as a LoRA, but it has no layer of one; get another file")
    made = sum(recipe.rank * (recipe.outputs + recipe.inputs) for recipe in recipes.values())
    nbytes = 4 * max(made, parameters_of(header))
    if nbytes > MOST_BYTES:
        raise ModelLoadError(
            f"{header.path} takes {format_bytes(nbytes)} in memory, and {format_bytes(MOST_BYTES)} is the most that is "
            "read; get a LoRA of lower rank, or a plain one instead of LoHa, LoKr or whole differences"
        )
    try:
        with open(header.path, "rb", buffering=0) as stream:
            reader = TensorReader(header.path, stream)
            return [_read(key, recipe, reader) for key, recipe in recipes.items()]
    except MemoryError as error:
        raise ModelLoadError(
            f"{header.path} takes {format_bytes(nbytes)}, for which there is no memory; get a LoRA of lower rank"
        ) from error
    except OSError as error:
        raise ModelLoadError(f"{header.path} cannot be read: {error.strerror or error}") from error


def _read(key: str, recipe: Recipe, reader: TensorReader) -> LoraLayer:
    with np.errstate(all="ignore"):
        down, up = recipe.make(reader)
    if recipe.kernel:
        down = down.reshape(recipe.rank, -1, *recipe.kernel)
    return LoraLayer(key, down, up)


def _layers(header: FileHeader) -> list[LayerTensors]:
    """The layers of a file, each with all its parts."""
    found: dict[str, dict[str, str]] = {}
    for name, tensor in header.tensors.items():
        place = place_of(name)
        if place is None:
            refusal = refusal_of(name, tensor)
            if refusal:
                raise ModelLoadError(f"{header.path} holds tensor '{name}', which {refusal}")
            continue
        key, part = place
        parts = found.setdefault(key, {})
        if part in parts:
            raise ModelLoadError(
                f"{header.path} says twice what it adds to layer '{key}': tensors '{parts[part]}' and '{name}'; "
                "get a LoRA that says it once"
            )
        parts[part] = name
        if len(found) > MOST_LAYERS:
            raise ModelLoadError(f"{header.path} has more than {MOST_LAYERS:,} layers, which no LoRA has")
    settings = adapter_settings(header)
    # A scale of nothing is no layer.
    return [LayerTensors(header, key, parts, settings) for key, parts in found.items() if not parts.keys() <= SCALES]
