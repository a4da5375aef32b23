"""Tables of words: on a CPU as they are in the file, where the engine would inflate them."""

from __future__ import annotations

from pathlib import Path

import pytest
from gguf import GGUFReader

from sdcpp_py import Generator
from sdcpp_py.synth import SyntheticSet
from sdcpp_py.synth.formats import write_gguf
from sdcpp_py.synth.klein import Klein
from sdcpp_py.synth.models import ModelShape
from sdcpp_py.synth.qwen3 import Qwen3

from ..support.native_kernels import using_kernels

HIDDEN = 256  # blocks of K-quants have 256 weights
VOCABULARY = 151936


@pytest.mark.slow
@pytest.mark.parametrize("type_", ["Q4_K", "Q6_K", "BF16"])
def test_a_table_stays_as_it_is_in_the_file(klein: SyntheticSet, tmp_path: Path, type_: str) -> None:
    """Beside the float32 table that the engine makes: it takes its bytes in the file, and states are the same bits."""
    sizes = Qwen3(hidden=HIDDEN, layers=28, ffn=512, heads=16)
    encoder, denoiser = tmp_path / "encoder.gguf", tmp_path / "denoiser.gguf"
    write_gguf(encoder, ModelShape("encoder", sizes, "qwen3", sizes.metadata), type_, 1, lambda _: None)
    shape = ModelShape("denoiser", Klein(hidden=256, double=1, single=2, context=3 * HIDDEN), "flux")
    write_gguf(denoiser, shape, "Q8_0", 2, lambda _: None)

    table_in_file = next(tensor for tensor in GGUFReader(encoder).tensors if tensor.name == "token_embd.weight")

    bytes_of, states = {}, {}
    for table in ("float32", "as stored"):
        with using_kernels("off" if table == "float32" else ""):  # while loading alone
            generator = Generator(denoiser, encoder, klein.vae, device="cpu", cache_prompts=False)
        with generator:
            bytes_of[table] = generator.weight_bytes["text_encoder"]
            states[table] = generator.encode("a cat on a windowsill").arrays["crossattn"]

    assert bytes_of["float32"] - bytes_of["as stored"] == VOCABULARY * HIDDEN * 4 - int(table_in_file.n_bytes)
    assert (states["as stored"] == states["float32"]).all()
