"""Layers of a text encoder whose output weights are zero: left out, and nobody sees it in the numbers."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path

import gguf
import numpy as np
import pytest

from sdcpp_py import Generator
from sdcpp_py.synth import SyntheticSet

OUTPUTS = ("attn_output.weight", "ffn_down.weight")
PROMPT = "a cat"


def everything(_: str) -> bool:
    """All layers."""
    return True


def attention(name: str) -> bool:
    """Only what the attention adds."""
    return "attn_output" in name


def odd_layers(name: str) -> bool:
    """Every second layer."""
    return int(name.split(".")[1]) % 2 == 1


def silenced(source: Path, path: Path, chosen: Callable[[str], bool], *, but_one: bool = False) -> Path:
    """A copy of an encoder with zeros in the chosen layers' output weights, or in all of each but its last block."""
    shutil.copy(source, path)
    for tensor in gguf.GGUFReader(path, "r+").tensors:
        if tensor.name.endswith(OUTPUTS) and chosen(tensor.name):
            stored = tensor.data.reshape(-1).view(np.uint8)
            stored[: -34 if but_one else None] = 0  # a block of Q8_0 has 34 bytes
    return path


def states(files: SyntheticSet, encoder: Path) -> tuple[np.ndarray, float]:
    """The prompt's states, and the best of three times that they took."""
    times = []
    with Generator(files.diffusion_model, encoder, files.vae, device="cpu", threads=1) as generator:
        for _ in range(3):
            begin = time.perf_counter()
            found = generator.encode(PROMPT).arrays["crossattn"]
            times.append(time.perf_counter() - begin)
    return found, min(times)


@pytest.mark.parametrize("chosen", [everything, attention, odd_layers])
@pytest.mark.parametrize("but_one", [False, True])
def test_leaving_them_out_changes_no_bit(
    klein: SyntheticSet,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    chosen: Callable[[str], bool],
    but_one: bool,
) -> None:
    """The states are those of the engine, which computes every layer; one weight that is not zero counts."""
    encoder = silenced(klein.text_encoder, tmp_path / "encoder.gguf", chosen, but_one=but_one)
    ours, _ = states(klein, encoder)
    monkeypatch.setenv("SDCPP_PY_KERNELS", "off")
    plain, _ = states(klein, encoder)
    assert (ours == plain).all()


def test_they_take_no_time(klein: SyntheticSet, tmp_path: Path) -> None:
    """An encoder of silent layers is done in a fraction of the time, and hands on what the embeddings say."""
    found, quick = states(klein, silenced(klein.text_encoder, tmp_path / "encoder.gguf", everything))
    _, slow = states(klein, klein.text_encoder)
    width = found.shape[-1] // 3
    assert (found[..., :width] == found[..., -width:]).all()
    assert quick < slow / 4
