"""Values that are no numbers never become a picture."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from sdcpp_py import GenerationError, Generator
from sdcpp_py.models.bundled import bundled_files
from sdcpp_py.models.detect.headers import read_header
from sdcpp_py.models.files import arguments_of
from sdcpp_py.synth import write_set
from tests.support.silent_layers import silence


def spoil(path: Path, tensor: str) -> None:
    """Makes the first number of a file's tensor of that name, of 16 or 32 bits each, a NaN."""
    found = read_header(path).tensors[tensor]
    nan = np.float16(np.nan) if found.dtype == "F16" else np.float32(np.nan)
    with path.open("r+b") as stream:
        stream.seek(found.offset)
        stream.write(nan.tobytes())


def spoil_scale(path: Path, tensor: str) -> None:
    """Makes the scale of a tensor's first block of Q8_0 a NaN."""
    found = read_header(path).tensors[tensor]
    assert found.dtype == "Q8_0"
    with path.open("r+b") as stream:
        stream.seek(found.offset)
        stream.write(np.float16(np.nan).tobytes())


@pytest.mark.parametrize(
    ("role", "tensor", "part"),
    [
        ("llm", "blk.2.ffn_down.weight", "text encoder"),
        ("diffusion_model", "final_layer.linear.weight", "denoiser"),
        ("vae", "decoder.conv_out.weight", "VAE"),
    ],
)
def test_a_part_that_gives_no_numbers_is_named(tmp_path: Path, role: str, tensor: str, part: str) -> None:
    """One NaN among a part's weights is a GenerationError that names part, file and tensor; the good file generates."""
    files = write_set("tiny-z-image", tmp_path, quant="F16").files
    good, bad = files[role], tmp_path / f"bad{files[role].suffix}"
    shutil.copy(good, bad)
    spoil(bad, tensor)
    with (
        Generator(**arguments_of({**files, role: bad}), device="cpu") as generator,
        pytest.raises(GenerationError, match=f"the {part} gave values that are not numbers") as caught,
    ):
        generator.generate("a cat", width=64, height=64, steps=1)
    assert type(caught.value) is GenerationError
    assert f"In {bad}, the tensor '{tensor}' holds NaN or infinity" in str(caught.value)
    with Generator(**arguments_of(files), device="cpu") as generator:
        assert generator.generate("a cat", width=64, height=64, steps=1).image.size == (64, 64)


@pytest.mark.parametrize("tensor", ["decoder.layers.0.weight", "decoder.layers.12.conv.2.bias"])
def test_a_tiny_autoencoder_passes_it_on(tmp_path: Path, tensor: str) -> None:
    """ReLU would make zeros of what is no number, and a picture would come of it."""
    tiny = bundled_files("tiny")
    bad = tmp_path / "bad.safetensors"
    shutil.copy(tiny.vae, bad)
    spoil(bad, tensor)
    with (
        Generator(tiny.diffusion_model, tiny.text_encoder, bad, device="cpu") as generator,
        pytest.raises(GenerationError, match="the VAE gave values that are not numbers") as caught,
    ):
        generator.generate("a red circle", width=64, height=64, steps=1)
    assert f"the tensor '{tensor}' holds NaN or infinity" in str(caught.value)


@pytest.mark.parametrize("tensor", ["single_blocks.0.linear1.weight", "double_blocks.0.img_mlp.0.weight"])
def test_a_quantized_denoiser_passes_it_on(tmp_path: Path, tensor: str) -> None:
    """A scale that is no number among weights of eight bits, whose products round what they read."""
    files = write_set("tiny-klein", tmp_path, quant="Q8_0").files
    silence(files["llm"], lambda name: True)
    spoil_scale(files["diffusion_model"], tensor)
    with (
        Generator(**arguments_of(files), device="cpu") as generator,
        pytest.raises(GenerationError, match="the denoiser gave values that are not numbers"),
    ):
        generator.generate("a cat", width=64, height=64, steps=1)


def test_a_prompt_of_no_numbers_is_not_kept(tmp_path: Path) -> None:
    """What a damaged text encoder gave is not found in the prompt cache by the good one."""
    files = write_set("tiny-z-image", tmp_path, quant="F16").files
    spoil(files["llm"], "blk.2.ffn_down.weight")
    cache = tmp_path / "cache"
    with Generator(**arguments_of(files), device="cpu", cache_dir=cache) as generator, pytest.raises(GenerationError):
        generator.encode("a cat")
    assert not list(cache.glob("*"))
