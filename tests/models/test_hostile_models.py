"""Files and prompts of the families beside Klein and Z-Image that the engine would follow to nowhere."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from sdcpp_py import EncodedPrompt, Generator, ModelLoadError, ModelMismatchError, SettingsError
from sdcpp_py.models.files import arguments_of
from sdcpp_py.synth import MODELS, ModelShape, SyntheticSet, Tensor, write_set
from sdcpp_py.synth.formats import write_gguf

NORMS = (b"single_blocks.0.norm.key_norm.scale", b"double_blocks.0.txt_attn.norm.key_norm.scale")


@pytest.fixture(scope="module")
def flux(tmp_path_factory: pytest.TempPathFactory) -> SyntheticSet:
    """A FLUX.1 of a few million random weights."""
    return write_set("tiny-flux1", tmp_path_factory.mktemp("flux"), quant="Q8_0")


@pytest.fixture(scope="module")
def generator(flux: SyntheticSet) -> Iterator[Generator]:
    """A generator over it."""
    with Generator(**arguments_of(flux.files), device="cpu") as generator:
        yield generator


def altered(files: SyntheticSet, role: str, folder: Path, *changes: tuple[bytes, bytes]) -> dict[str, Path]:
    """The files with one of them rewritten: bytes replaced by as many others."""
    data = files.files[role].read_bytes()
    for old, new in changes:
        assert len(old) == len(new)
        assert old in data
        data = data.replace(old, new)
    other = folder / files.files[role].name
    other.write_bytes(data)
    return {**files.files, role: other}


@pytest.mark.parametrize("count", [1, 2])
def test_a_flux_without_heads_is_refused(flux: SyntheticSet, tmp_path: Path, count: int) -> None:
    """Without the norms that tell the size of a head, the engine would divide by zero, and end the process."""
    changes = [(name, name.replace(b"key_norm", b"key_nxrm")) for name in NORMS[:count]]
    with pytest.raises((ModelMismatchError, ModelLoadError)):
        Generator(**arguments_of(altered(flux, "diffusion_model", tmp_path, *changes)), device="cpu")


def test_a_block_of_an_absurd_number_is_refused(flux: SyntheticSet, tmp_path: Path) -> None:
    """The engine makes as many blocks as a name says, before it looks for them; an absurd number is an error."""
    name = b"double_blocks.0.img_attn.proj.weight"
    absurd = b"double_blocks.99999999.abcdef.weight"
    assert len(name) == len(absurd)
    with pytest.raises(ModelLoadError, match="99999999"):
        Generator(**arguments_of(altered(flux, "diffusion_model", tmp_path, (name, absurd))), device="cpu")


@pytest.mark.parametrize("length", [None, 1, 767, 769])
def test_a_prompt_without_its_vector_is_refused(generator: Generator, length: int | None) -> None:
    """FLUX.1 reads a vector beside the states; where it is missing or of another length, that is an error."""
    encoded = generator.encode("a cat")
    arrays = {name: array for name, array in encoded.arrays.items() if name != "vector"}
    if length is not None:
        arrays["vector"] = np.zeros(length, np.float32)
    with pytest.raises(SettingsError, match="vector"):
        generator.generate(dataclasses.replace(encoded, arrays=arrays), width=64, height=64, steps=1)
    assert generator.generate(encoded, width=64, height=64, steps=1).image.size == (64, 64)


@pytest.mark.parametrize(
    "arrays",
    [
        {},
        {"crossattn": np.zeros((256, 128), np.float64)},
        {"crossattn": np.zeros((1, 256, 128), np.float32)},
        {"crossattn": np.zeros((256, 128), np.float32), "another": np.zeros(3, np.float32)},
        {"crossattn": [[1.0]]},
        {"crossattn": np.full((256, 128), np.nan, np.float32), "vector": np.zeros(768, np.float32)},
    ],
)
def test_a_prompt_of_other_arrays_is_refused(generator: Generator, arrays: dict[str, np.ndarray]) -> None:
    """States of another type or rank, or none, are an error before anything is computed."""
    prompt = EncodedPrompt("a cat", generator.family.name, arrays)
    with pytest.raises(ModelMismatchError):
        generator.generate(prompt, width=64, height=64, steps=1)


class FewWords:
    """A tiny T5 whose table of words has been cut."""

    def tensors(self, quant: str) -> Iterator[Tensor]:
        """Its tensors."""
        for tensor in MODELS["tiny-t5"].tensors(quant):
            cut = tensor.shape[0] == 32128
            yield dataclasses.replace(tensor, shape=(1000, tensor.shape[1])) if cut else tensor


def test_a_t5_of_too_few_words_is_refused(flux: SyntheticSet, tmp_path: Path) -> None:
    """The tokenizer's numbers would point behind the table."""
    small = tmp_path / "small-t5.gguf"
    write_gguf(small, ModelShape("small-t5", FewWords(), "t5encoder"), "Q8_0", 0, lambda done: None)
    with pytest.raises(ModelLoadError, match="1000 tokens"):
        Generator(**arguments_of({**flux.files, "t5xxl": small}), device="cpu")
