"""Weights that are no numbers are found, in whatever type they are stored."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sdcpp_py.models.broken_weights import _SCALES, broken_tensor
from sdcpp_py.models.detect.headers import read_header
from sdcpp_py.synth import write_set
from sdcpp_py.synth.tensors import BLOCKS, QUANTIZATIONS


def nothing() -> None:
    """Nobody stops the search."""


@pytest.mark.parametrize("quant", QUANTIZATIONS)
def test_a_scale_that_is_no_number_is_found(tmp_path: Path, quant: str) -> None:
    """The last block's is found too, and each of the two that some types have; a good file has none."""
    path = write_set("tiny-klein", tmp_path, quant=quant).diffusion_model
    assert broken_tensor([path], nothing) is None
    tensors = read_header(path).tensors
    name, tensor = next((name, one) for name, one in reversed(list(tensors.items())) if one.dtype == quant)
    whole = {"F32": np.float32(np.inf).tobytes(), "BF16": b"\xc0\x7f"}.get(quant, np.float16(np.nan).tobytes())
    for at in _SCALES.get(quant, (0,)):
        block = BLOCKS[quant][1] if quant in BLOCKS else len(whole)
        with path.open("r+b") as stream:
            stream.seek(tensor.offset + tensor.nbytes - block + at)
            good = stream.read(len(whole))
            stream.seek(-len(whole), 1)
            stream.write(whole)
        assert broken_tensor([path], nothing) == (path, name)
        with path.open("r+b") as stream:
            stream.seek(tensor.offset + tensor.nbytes - block + at)
            stream.write(good)
    assert broken_tensor([path], nothing) is None


def test_the_search_can_be_stopped(tmp_path: Path) -> None:
    """A large file takes a while, and ``cancel`` does not wait for it."""

    def stop() -> None:
        raise ZeroDivisionError

    files = write_set("tiny-klein", tmp_path, quant="Q8_0").files.values()
    with pytest.raises(ZeroDivisionError):
        broken_tensor(files, stop)


def test_a_file_that_is_gone_has_no_tensor(tmp_path: Path) -> None:
    """What cannot be read any more is passed over: the search only explains another error."""
    assert broken_tensor([tmp_path / "gone.gguf"], nothing) is None
