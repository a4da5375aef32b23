"""Values that are no numbers never become a picture."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from gguf import GGUFReader

from sdcpp_py import GenerationError, Generator
from sdcpp_py.models.files import arguments_of
from sdcpp_py.synth import write_set


def spoil(path: Path, tensor: str) -> None:
    """Makes the first number of a GGUF's tensor of that name, of 16 or 32 bits each, a NaN."""
    found = next(each for each in GGUFReader(str(path)).tensors if each.name == tensor)
    nan = np.float16(np.nan) if found.tensor_type.name == "F16" else np.float32(np.nan)
    with path.open("r+b") as stream:
        stream.seek(int(found.data_offset))
        stream.write(nan.tobytes())


@pytest.mark.parametrize(
    ("role", "tensor", "part"),
    [
        ("llm", "blk.2.ffn_down.weight", "text encoder"),
        ("diffusion_model", "final_layer.linear.weight", "denoiser"),
    ],
)
def test_a_part_that_gives_no_numbers_is_named(tmp_path: Path, role: str, tensor: str, part: str) -> None:
    """One NaN among a part's weights is a GenerationError that names the part; the good file generates."""
    files = write_set("tiny-z-image", tmp_path, quant="F16").files
    good, bad = files[role], tmp_path / "bad.gguf"
    shutil.copy(good, bad)
    spoil(bad, tensor)
    with (
        Generator(**arguments_of({**files, role: bad}), device="cpu") as generator,
        pytest.raises(GenerationError, match=f"the {part} gave values that are not numbers"),
    ):
        generator.generate("a cat", width=64, height=64, steps=1)
    with Generator(**arguments_of(files), device="cpu") as generator:
        assert generator.generate("a cat", width=64, height=64, steps=1).image.size == (64, 64)


def test_a_prompt_of_no_numbers_is_not_kept(tmp_path: Path) -> None:
    """What a damaged text encoder gave is not found in the prompt cache by the good one."""
    files = write_set("tiny-z-image", tmp_path, quant="F16").files
    spoil(files["llm"], "blk.2.ffn_down.weight")
    cache = tmp_path / "cache"
    with Generator(**arguments_of(files), device="cpu", cache_dir=cache) as generator, pytest.raises(GenerationError):
        generator.encode("a cat")
    assert not list(cache.glob("*"))
