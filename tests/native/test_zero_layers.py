"""Layers of a text encoder whose output weights are zero: left out, and nobody sees it in the numbers."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from sdcpp_py import Generator
from sdcpp_py.memory.plan import Stay
from sdcpp_py.synth import SyntheticSet, write

from ..support.native_kernels import using_kernels
from ..support.silent_layers import layer_of, silence

PROMPT = "a cat"


def everything(_: str) -> bool:
    """All layers."""
    return True


def attention(name: str) -> bool:
    """Only what the attention adds."""
    return "attn_output" in name


def odd_layers(name: str) -> bool:
    """Every second layer."""
    return layer_of(name) % 2 == 1


def silenced(source: Path, path: Path, chosen: Callable[[str], bool], *, but_one: bool = False) -> Path:
    """A copy of an encoder with zeros in the chosen layers' output weights, or in all of each but its last number."""
    shutil.copy(source, path)
    return silence(path, chosen, but_one=but_one)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One in half precision."""
    return write("tiny-qwen3", tmp_path_factory.mktemp("encoder"), quant="F16")


def states(files: SyntheticSet, encoder: Path, rounds: int = 1, memory: int | None = None) -> tuple[np.ndarray, float]:
    """The prompt's states, and the best of the times that they took, of the CPU: others use the machine too."""
    times = []
    with Generator(
        files.diffusion_model, encoder, files.vae, device="cpu", threads=1, cache_prompts=False, memory=memory or "all"
    ) as generator:
        if memory is not None:
            assert generator.plan(width=64, height=64, prompt=PROMPT).part("text_encoder").stay is Stay.STREAMED
        for _ in range(rounds):
            begin = time.process_time()
            found = generator.encode(PROMPT).arrays["crossattn"]
            times.append(time.process_time() - begin)
    return found, min(times)


@pytest.mark.sample(1)
@pytest.mark.parametrize("chosen", [everything, attention, odd_layers])
@pytest.mark.parametrize("but_one", [False, True])
def test_leaving_them_out_changes_no_bit(
    klein: SyntheticSet, encoder: Path, tmp_path: Path, chosen: Callable[[str], bool], but_one: bool
) -> None:
    """The states are those of every layer computed; one weight that is not zero counts.

    Every layer is computed where weights are streamed: while a graph is built, they are not there to be looked at.
    """
    silent = silenced(encoder, tmp_path / "encoder.gguf", chosen, but_one=but_one)
    ours, _ = states(klein, silent)
    with Generator(klein.diffusion_model, silent, klein.vae, device="cpu") as generator:
        least = generator.plan(width=64, height=64, prompt=PROMPT).least("cpu")
    computed, _ = states(klein, silent, memory=least)
    assert (ours == computed).all()
    with using_kernels("off"):
        plain, _ = states(klein, silent)
    # The engine rounds activations to half precision, as the weights are.
    assert np.linalg.norm(ours - plain) < 5e-3 * np.linalg.norm(plain)


@pytest.mark.timing
def test_they_take_no_time(klein: SyntheticSet, encoder: Path, tmp_path: Path) -> None:
    """An encoder of silent layers is done in a fraction of the time, and hands on what the embeddings say."""
    found, quick = states(klein, silenced(encoder, tmp_path / "encoder.gguf", everything), rounds=3)
    _, slow = states(klein, encoder, rounds=3)
    width = found.shape[-1] // 3
    assert (found[..., :width] == found[..., -width:]).all()
    assert quick < slow / 4
