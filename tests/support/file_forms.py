"""The forms in which people have model files: the tiny Klein written in each, and the same numbers in a plain file.

``docs/files.md`` lists them by what ``python -m tests.support.files_table`` finds, and
``tests/pipeline/test_file_forms.py`` draws with each.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tests.support import diffusers_names
from tests.support.stored_tensors import (
    Stored,
    Tensors,
    floats,
    split,
    stored,
    write_gguf,
    write_safetensors,
    write_sharded,
)

Plain = Callable[[Tensors], Tensors]
Written = Callable[[Path, Tensors], Path]


@dataclass(frozen=True)
class Form:
    """One form of one part.

    Attributes:
        title: what it is, for the page.
        part: "diffusion_model", "text_encoder" or "vae".
        write: writes it; what it returns is given to the generator.
        plain: the same numbers in types and names that a plain GGUF or safetensors file has.
    """

    title: str
    part: str
    write: Written
    plain: Plain = lambda tensors: tensors


def matrices(tensors: Tensors) -> Iterator[str]:
    """The names of what quantizers touch."""
    return (name for name, tensor in tensors.items() if len(tensor.shape) == 2)


def as_type(dtype: str) -> Plain:
    """Matrices in a type, norms and biases as they are."""

    def change(tensors: Tensors) -> Tensors:
        named = set(matrices(tensors))
        return {name: stored(floats(one), dtype) if name in named else one for name, one in tensors.items()}

    return change


def in_half(dtype: str) -> Plain:
    """The numbers that a type has of them, in F16."""
    return lambda tensors: as_type("F16")(as_type(dtype)(tensors))


def _single(change: Plain) -> Written:
    return lambda folder, tensors: write_safetensors(folder / "model.safetensors", change(tensors))


@dataclass(frozen=True)
class Scaling:
    """Eight-bit floats with scales beside them.

    Attributes:
        end: of a scale's name, in place of "weight".
        down, across: rows and columns that one number is for; 0 for all.
        dtype: of scales.
        beside: what else there is for each layer: the end of its name, and the tensor.
        mark: whether the file says of itself that it is of this kind.
    """

    end: str
    down: int = 0
    across: int = 0
    dtype: str = "F32"
    beside: Mapping[str, Stored] | None = None
    mark: bool = False

    def _factors(self, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The scales as they are stored, and spread over the matrix. All are powers of two."""
        down, across = self.down or numbers.shape[0], self.across or numbers.shape[1]
        count = -(-numbers.shape[0] // down), -(-numbers.shape[1] // across)
        # Whatever they are, if neighbours differ.
        exponents = -9 - (np.arange(count[0])[:, None] + np.arange(count[1])) % 3
        factors = np.exp2(exponents).astype(np.float32)
        spread = np.repeat(np.repeat(factors, down, axis=0), across, axis=1)[: numbers.shape[0], : numbers.shape[1]]
        return factors, spread

    def tensors(self, tensors: Tensors) -> dict[str, Stored]:
        """As the file has them."""
        found: dict[str, Stored] = {"scaled_fp8": Stored("F8_E4M3", (2,), bytes(2))} if self.mark else {}
        named = set(matrices(tensors))
        for name, tensor in tensors.items():
            if name not in named:
                found[name] = tensor
                continue
            numbers = floats(tensor)
            factors, spread = self._factors(numbers)
            layer = name.removesuffix("weight")
            found[name] = stored(numbers / spread, "F8_E4M3")
            if not self.down:
                factors = factors.reshape(())
            found[layer + self.end] = stored(factors, self.dtype)
            found |= {layer + end: one for end, one in (self.beside or {}).items()}
        return found

    def plain(self, tensors: Tensors) -> dict[str, Stored]:
        """The same numbers in F16."""
        found = dict(tensors)
        for name in matrices(tensors):
            numbers = floats(tensors[name])
            _, spread = self._factors(numbers)
            found[name] = stored(floats(stored(numbers / spread, "F8_E4M3")) * spread, "F16")
            assert np.array_equal(floats(found[name]), floats(stored(numbers / spread, "F8_E4M3")) * spread)
        return found

    def form(self, title: str, part: str, names: Plain = lambda tensors: tensors) -> Form:
        """The form of a part, under other names where there are."""
        return Form(title, part, _single(lambda tensors: self.tensors(names(tensors))), self.plain)


_NOTE = json.dumps({"format": "float8_e4m3fn"}).encode()
_OF_COMFYUI = {"input_scale": stored(np.array(1, np.float32), "F32"), "comfy_quant": Stored("U8", (27,), _NOTE)}
OLD = Scaling("scale_weight", beside={"scale_input": stored(np.ones(1, np.float32), "F32")}, mark=True)
NEW = Scaling("weight_scale", beside=_OF_COMFYUI)
BY_ROWS = Scaling("weight_scale", down=1)
BY_SQUARES = Scaling("weight_scale_inv", down=128, across=128, dtype="BF16")


def _sharded(folder: Path, tensors: Tensors) -> Path:
    return write_sharded(folder, "diffusion_pytorch_model", tensors)


def _split_gguf(folder: Path, tensors: Tensors) -> Path:
    files = [
        write_gguf(folder / f"model-{number:05}-of-00003.gguf", lot, lists=("tokenizer.ggml.tokens",))
        for number, lot in enumerate(split(tensors, 3), 1)
    ]
    return files[0]


def _prefixed(prefix: str, write: Callable[[Path, Tensors], Path], name: str) -> Written:
    return lambda folder, tensors: write(folder / name, {prefix + key: one for key, one in tensors.items()})


def _aligned(alignment: int) -> Written:
    return lambda folder, tensors: write_gguf(folder / "model.gguf", tensors, alignment)


def _named(names: Plain, stem: str = "model") -> Written:
    return lambda folder, tensors: write_safetensors(folder / f"{stem}.safetensors", names(tensors))


_FLUX, _QWEN, _VAE = diffusers_names.flux, diffusers_names.qwen, diffusers_names.vae


def _bare_qwen(tensors: Tensors) -> Tensors:
    return {name.removeprefix("model."): tensor for name, tensor in _QWEN(tensors).items()}


FORMS = (
    Form("safetensors in F32", "diffusion_model", _single(as_type("F32")), as_type("F32")),
    Form("safetensors in BF16", "diffusion_model", _single(as_type("BF16")), as_type("BF16")),
    Form("safetensors in F16", "diffusion_model", _single(as_type("F16")), as_type("F16")),
    Form("fp8, e4m3fn", "diffusion_model", _single(as_type("F8_E4M3")), in_half("F8_E4M3")),
    Form("fp8, e5m2", "diffusion_model", _single(as_type("F8_E5M2")), in_half("F8_E5M2")),
    OLD.form("fp8 with `scale_weight` (ComfyUI)", "diffusion_model"),
    NEW.form("fp8 with `weight_scale` and `comfy_quant` (ComfyUI)", "diffusion_model"),
    BY_ROWS.form("fp8 with a scale for each row", "diffusion_model"),
    BY_SQUARES.form("fp8 with a scale for each 128 x 128 (`weight_scale_inv`)", "diffusion_model"),
    OLD.form("fp8 with scales, in diffusers' names", "diffusion_model", _FLUX),
    Form("safetensors in diffusers' names", "diffusion_model", _named(_FLUX)),
    Form("several safetensors files with an index", "diffusion_model", _sharded),
    Form(
        "several in diffusers' names",
        "diffusion_model",
        lambda folder, tensors: _sharded(folder, _FLUX(tensors)),
    ),
    Form("the folder of these", "diffusion_model", lambda folder, tensors: _sharded(folder, tensors).parent),
    Form("a GGUF in several files", "diffusion_model", _split_gguf),
    Form(
        "safetensors with ComfyUI's prefix",
        "diffusion_model",
        _prefixed("model.diffusion_model.", write_safetensors, "model.safetensors"),
    ),
    Form("a GGUF with that prefix", "diffusion_model", _prefixed("model.diffusion_model.", write_gguf, "model.gguf")),
    Form(
        "safetensors with the prefix `diffusion_model.`",
        "diffusion_model",
        _prefixed("diffusion_model.", write_safetensors, "model.safetensors"),
    ),
    Form("a GGUF aligned to 64 bytes", "diffusion_model", _aligned(64)),
    Form("a Qwen3 as safetensors", "text_encoder", _named(_QWEN)),
    Form(
        "a Qwen3 in several files",
        "text_encoder",
        lambda folder, tensors: write_sharded(folder, "model", _QWEN(tensors)),
    ),
    Form("a Qwen3 without its head (`Qwen3Model`)", "text_encoder", _named(_bare_qwen)),
    Form(
        "a Qwen3 in fp8, e4m3fn",
        "text_encoder",
        _named(lambda tensors: _QWEN(as_type("F8_E4M3")(tensors))),
        in_half("F8_E4M3"),
    ),
    NEW.form("a Qwen3 in fp8 with `weight_scale`", "text_encoder", _QWEN),
    Form("a VAE in diffusers' names", "vae", _named(_VAE, "diffusion_pytorch_model")),
)


def write_pipeline(folder: Path, parts: Mapping[str, Tensors]) -> Path:
    """The folder of a pipeline of diffusers, its denoiser and its encoder in several files."""
    write_sharded(folder / "transformer", "diffusion_pytorch_model", _FLUX(parts["diffusion_model"]), 2)
    write_sharded(folder / "text_encoder", "model", _QWEN(parts["text_encoder"]), 2)
    write_safetensors(folder / "vae" / "diffusion_pytorch_model.safetensors", _VAE(parts["vae"]))
    (folder / "model_index.json").write_text(
        json.dumps(
            {
                "_class_name": "Flux2KleinPipeline",
                "_diffusers_version": "0.42.1",
                "scheduler": ["diffusers", "FlowMatchEulerDiscreteScheduler"],
                "text_encoder": ["transformers", "Qwen3ForCausalLM"],
                "tokenizer": ["transformers", "Qwen2TokenizerFast"],
                "transformer": ["diffusers", "Flux2Transformer2DModel"],
                "vae": ["diffusers", "AutoencoderKLFlux2"],
                "image_encoder": [None, None],
            }
        )
    )
    return folder
