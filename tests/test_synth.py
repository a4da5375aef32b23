"""Model files of random weights: what is written, how large it is, and that it can be drawn with."""

from __future__ import annotations

import re
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import gguf
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open

from sdcpp_py import Generator
from sdcpp_py.synth import FAMILIES, MODELS, QUANTIZATIONS, Tensor, blocks, write, write_set
from sdcpp_py.synth.tensors import BLOCKS, fitting, matrix

# Bytes of files on the Hugging Face Hub with the same names, shapes and types (unsloth's encoder carries a tokenizer).
PUBLISHED = [
    ("klein-4b", "Q4_0", 2_460_378_560),
    ("klein-4b", "Q8_0", 4_300_629_440),
    ("z-image-turbo", "Q2_K", 2_592_442_304),
    ("z-image-turbo", "Q3_K", 3_143_559_104),
    ("z-image-turbo", "Q4_0", 3_683_370_944),
    ("z-image-turbo", "Q4_K", 3_864_250_304),
    ("z-image-turbo", "Q5_0", 4_542_547_904),
    ("z-image-turbo", "Q6_K", 5_263_239_104),
    ("z-image-turbo", "Q8_0", 6_577_440_704),
    ("qwen3-4b", "Q3_K", 2_075_618_592),
    ("qwen3-4b", "Q4_K", 2_497_281_312),
    ("qwen3-4b", "Q5_K", 2_889_514_272),
    ("qwen3-4b", "Q6_K", 3_306_261_792),
    ("qwen3-4b", "Q8_0", 4_280_405_792),
    ("flux2-vae", "F32", 336_211_292),
    ("flux1-vae", "F32", 335_304_388),
]
TINY_SETS = ["tiny-klein", "tiny-z-image"]
TINY_GGUF = ["tiny-klein", "tiny-z-image", "tiny-qwen3"]
TINY_VAES = ["tiny-flux1-vae", "tiny-flux2-vae"]


class Interruption(BaseException):
    """Like KeyboardInterrupt, nothing that ``except Exception`` would catch."""


def interrupt_after(limit: int) -> Callable[[int, int], None]:
    """A callback that interrupts the writing after so many bytes."""

    def on_bytes(done: int, total: int) -> None:
        if done >= limit:
            raise Interruption

    return on_bytes


def field(reader: gguf.GGUFReader, key: str) -> object:
    """A value of a GGUF file's metadata."""
    found = reader.get_field(key)
    assert found is not None, key
    return found.contents()


@pytest.mark.parametrize(
    ("name", "least", "most"),
    [
        ("klein-4b", 3.8e9, 4.1e9),
        ("z-image-turbo", 6.1e9, 6.2e9),
        ("qwen3-4b", 4.02e9, 4.03e9),
        ("flux1-vae", 83.8e6, 83.9e6),
        ("flux2-vae", 84.0e6, 84.1e6),
    ],
)
def test_parameters(name: str, least: float, most: float) -> None:
    """The full-size models have as many parameters as the real ones."""
    assert least < MODELS[name].parameters() < most


@pytest.mark.parametrize(("name", "quant", "published"), PUBLISHED)
def test_published_sizes(name: str, quant: str, published: int) -> None:
    """A full-size file has the size of the real one of its quantization, within half a percent."""
    assert MODELS[name].weight_bytes(quant) == pytest.approx(published, rel=0.005)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("quant", QUANTIZATIONS)
def test_plans_are_sound(name: str, quant: str) -> None:
    """In every model, names are unique and every row is a whole number of its type's blocks."""
    tensors = list(MODELS[name].tensors(quant))
    assert len({tensor.name for tensor in tensors}) == len(tensors)
    assert [t.name for t in tensors if t.shape and t.shape[-1] % BLOCKS[t.type][0]] == []


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("quant", QUANTIZATIONS)
def test_norms_stay_exact(name: str, quant: str) -> None:
    """Norms, biases and other vectors are F32 whatever the quantization."""
    assert {t.type for t in MODELS[name].tensors(quant) if len(t.shape) == 1} == {"F32"}


@pytest.mark.parametrize("name", TINY_GGUF)
def test_gguf_reads_back(name: str, tmp_path: Path) -> None:
    """A GGUF file has the planned tensors in order, with their shapes and types, and its architecture."""
    reader = gguf.GGUFReader(write(name, tmp_path))
    stored = [(t.name, tuple(reversed(t.shape.tolist())), t.tensor_type.name) for t in reader.tensors]
    assert stored == [(t.name, t.shape, t.type) for t in MODELS[name].tensors("Q4_K")]
    assert field(reader, "general.architecture") == MODELS[name].architecture


def test_gguf_metadata(tmp_path: Path) -> None:
    """An encoder's metadata says its sizes and that its weights are random."""
    reader = gguf.GGUFReader(write("tiny-qwen3", tmp_path))
    assert field(reader, "qwen3.block_count") == 28
    assert field(reader, "qwen3.attention.head_count") == 16
    assert field(reader, "general.file_type") == gguf.LlamaFileType.MOSTLY_Q4_K_M
    assert "Random weights" in str(field(reader, "general.description"))


@pytest.mark.parametrize("name", TINY_VAES)
def test_safetensors_reads_back(name: str, tmp_path: Path) -> None:
    """A VAE has the planned tensors with their shapes and types, ones in its norms and zeros in its biases."""
    planned = {t.name: (t.shape, t.type) for t in MODELS[name].tensors()}
    with safe_open(write(name, tmp_path), "np") as file:
        slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118 - it is no dict, and not iterable
        assert {name: (tuple(s.get_shape()), s.get_dtype()) for name, s in slices.items()} == planned
        assert (file.get_tensor("decoder.norm_out.weight") == 1).all()
        assert (file.get_tensor("decoder.conv_out.bias") == 0).all()
        assert file.get_tensor("decoder.conv_in.weight").std() == pytest.approx(
            (9 * planned["decoder.conv_in.weight"][0][1]) ** -0.5, rel=0.02
        )


def test_vae_families_differ() -> None:
    """FLUX.2's VAE has 32 latent channels and quantization convolutions, FLUX.1's has 16 and none."""
    flux1, flux2 = ({t.name: t.shape for t in MODELS[name].tensors()} for name in ("flux1-vae", "flux2-vae"))
    assert flux1["decoder.conv_in.weight"] == (512, 16, 3, 3)
    assert flux2["decoder.conv_in.weight"] == (512, 32, 3, 3)
    assert not [name for name in flux1 if "quant_conv" in name]
    assert flux2["encoder.quant_conv.weight"] == (64, 64, 1, 1)
    assert flux2["decoder.post_quant_conv.weight"] == (32, 32, 1, 1)


@pytest.mark.parametrize("quant", QUANTIZATIONS)
def test_every_quantization(quant: str, tmp_path: Path) -> None:
    """In every quantization the weights, read as ggml reads them, have mean 0 and the planned deviation."""
    file = write("tiny-klein", tmp_path, quant=quant)
    assert file.name == f"tiny-klein-{quant}.gguf"
    planned = {t.name: t for t in MODELS["tiny-klein"].tensors(quant)}
    for tensor in gguf.GGUFReader(file).tensors:
        values = gguf.dequantize(tensor.data, tensor.tensor_type)
        plan = planned[tensor.name]
        assert values.mean() == pytest.approx(plan.mean, abs=0.02 * plan.std)
        assert values.std() == pytest.approx(plan.std, rel=0.03)


@pytest.mark.parametrize(
    ("type_", "columns", "stored"),
    [("Q4_K", 512, "Q4_K"), ("Q4_K", 192, "Q8_0"), ("Q6_K", 40, "F16"), ("Q4_0", 192, "Q4_0"), ("Q5_1", 48, "F16")],
)
def test_rows_that_do_not_fit(type_: str, columns: int, stored: str) -> None:
    """Rows that a type's blocks do not divide become Q8_0, or F16 where 32 does not divide them either."""
    assert fitting(type_, columns) == stored


def test_encoder_mix() -> None:
    """Q4_K encoders spare the embeddings and half of the value and down projections, as Q4_K_M files do."""
    tensors = list(MODELS["qwen3-4b"].tensors("Q4_K"))
    spared = [t.name for t in tensors if t.type == "Q6_K"]
    assert spared[0] == "token_embd.weight"
    assert len([name for name in spared if "attn_v" in name]) == 18
    assert len([name for name in spared if "ffn_down" in name]) == 18
    assert len(spared) == 37


@pytest.mark.parametrize("name", ["tiny-klein", "tiny-flux1-vae"])
def test_seed_decides_bytes(name: str, tmp_path: Path) -> None:
    """The same seed gives the same bytes, another seed others."""
    first, *again, other = (write(name, tmp_path / str(seed), seed=seed).read_bytes() for seed in (7, 7, 7, 7, 8))
    assert again == [first] * 3
    assert first != other
    assert len(first) == len(other)


@given(
    type_=st.sampled_from(QUANTIZATIONS),
    rows=st.integers(1, 3000),
    units=st.integers(1, 12),
    seed=st.integers(0, 2**64),
)
@settings(deadline=None, max_examples=40)
def test_chunks_add_up(type_: str, rows: int, units: int, seed: int) -> None:
    """The chunks of any tensor are small and add up to its size."""
    tensor = matrix("any", rows, 256 * units, type_)
    sizes = [chunk.nbytes for chunk in blocks.weight_chunks(tensor, seed)]
    assert sum(sizes) == tensor.nbytes
    assert max(sizes) <= blocks.POOL_BYTES


def test_large_tensors_do_not_repeat_rows() -> None:
    """The largest tensor of all comes in small chunks that start at different places of the random pool."""
    embedding = next(t for t in MODELS["qwen3-4b"].tensors("F32") if t.name == "token_embd.weight")
    seen, total = set(), 0
    for chunk in blocks.weight_chunks(embedding, 0):
        assert chunk.nbytes <= blocks.POOL_BYTES
        total += chunk.nbytes
        seen.add(chunk[:64].tobytes())
    assert total == embedding.nbytes > 1.5e9
    assert len(seen) > 300


@pytest.mark.parametrize("name", ["tiny-klein", "tiny-flux2-vae"])
@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_interruption_leaves_nothing(name: str, share: float, tmp_path: Path) -> None:
    """An interrupted write leaves no file at all, and what it raised comes out."""
    limit = int(share * sum(t.nbytes for t in MODELS[name].tensors()))
    with pytest.raises(Interruption):
        write(name, tmp_path, on_bytes=interrupt_after(limit))
    assert list(tmp_path.iterdir()) == []


def test_interruption_keeps_the_old_file(tmp_path: Path) -> None:
    """An interrupted write over an older file leaves the older one as it was."""
    before = write("tiny-klein", tmp_path).read_bytes()
    with pytest.raises(Interruption):
        write("tiny-klein", tmp_path, seed=1, on_bytes=interrupt_after(1_000_000))
    assert [file.read_bytes() for file in tmp_path.iterdir()] == [before]


@pytest.mark.parametrize("name", ["tiny-klein", "tiny-flux1-vae"])
def test_nothing_there_until_whole(name: str, tmp_path: Path) -> None:
    """While a file is being written there is nothing at its name."""
    target = tmp_path / MODELS[name].file_name("Q4_K")

    def on_bytes(done: int, total: int) -> None:
        assert not target.exists()

    assert write(name, tmp_path, on_bytes=on_bytes) == target
    assert target.exists()


def test_progress(tmp_path: Path) -> None:
    """Progress rises to the total of all three files of a set."""
    reports: list[tuple[int, int]] = []
    files = write_set("tiny-klein", tmp_path, on_bytes=lambda done, total: reports.append((done, total)))
    done = [report[0] for report in reports]
    assert done == sorted(done)
    assert {total for _, total in reports} == {done[-1]}
    size = sum(file.stat().st_size for file in (files.diffusion_model, files.text_encoder, files.vae))
    assert done[-1] == pytest.approx(size, rel=0.01)


@pytest.mark.parametrize("name", ["tiny-klein", "tiny-flux1-vae"])
def test_permissions(name: str, tmp_path: Path) -> None:
    """A model file has the permissions of any new file, so that other users of a machine can share it."""
    ordinary = tmp_path / "ordinary"
    ordinary.touch()
    assert stat.S_IMODE(write(name, tmp_path).stat().st_mode) == stat.S_IMODE(ordinary.stat().st_mode)


@pytest.mark.parametrize("family", FAMILIES)
def test_families_belong_together(family: str) -> None:
    """In every set, the denoiser reads text states as wide as the encoder makes them and the VAE's latents."""
    denoiser, encoder, vae = ({t.name: t.shape for t in MODELS[name].tensors()} for name in FAMILIES[family])
    hidden = encoder["token_embd.weight"][1]
    if "txt_in.weight" in denoiser:
        context, latent = denoiser["txt_in.weight"][1] // 3, denoiser["img_in.weight"][1] // 4
    else:
        context, latent = denoiser["cap_embedder.1.weight"][1], denoiser["x_embedder.weight"][1] // 4
    assert context == hidden
    assert vae["decoder.conv_in.weight"][1] == latent


@pytest.mark.parametrize(
    ("arguments", "listed"),
    [
        ({"name": "klein-40b"}, "klein-4b"),
        ({"name": "tiny-klein", "quant": "Q4_K_M"}, "Q4_K"),
        ({"name": "tiny-klein", "quant": "q8_0"}, "Q8_0"),
        ({"name": "tiny-flux1-vae", "quant": ""}, "F32"),
        ({"name": "tiny-klein", "seed": -1}, "0 or more"),
    ],
)
def test_refused_arguments(arguments: dict[str, object], listed: str, tmp_path: Path) -> None:
    """An unknown name or quantization is refused with a list of the valid ones, before a folder is made."""
    folder = tmp_path / "models"
    with pytest.raises(ValueError, match=rf"\b{re.escape(listed)}\b"):
        write(directory=folder, **arguments)  # type: ignore[arg-type]
    assert not folder.exists()


def test_refused_family(tmp_path: Path) -> None:
    """An unknown family is refused with a list of the valid ones."""
    with pytest.raises(ValueError, match="tiny-z-image"):
        write_set("flux", tmp_path)


def test_refused_shape_quantization() -> None:
    """A shape asked for the size of an unknown quantization refuses it too."""
    with pytest.raises(ValueError, match="Q4_K"):
        MODELS["klein-4b"].weight_bytes("Q9")


@pytest.mark.parametrize(("name", "package"), [("tiny-klein", "gguf"), ("tiny-flux1-vae", "safetensors.numpy")])
def test_missing_extra(name: str, package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the packages of the extra, writing names the extra to install, and shapes are there all the same."""
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=re.escape("pip install 'sdcpp_py[synth]'")):
        write(name, tmp_path)
    assert MODELS[name].parameters() > 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("family", TINY_SETS)
def test_tiny_sets_draw(family: str, tmp_path: Path) -> None:
    """The engine draws a picture of some contrast with a tiny set, and other ones for another seed and prompt."""
    files = write_set(family, tmp_path)
    with Generator(files.diffusion_model, files.text_encoder, files.vae, device="cpu") as generator:
        first, seed, prompt = (
            np.asarray(generator.generate(text, width=64, height=64, seed=number, steps=1).image, float)
            for text, number in (("a cat", 1), ("a cat", 2), ("a house by the sea", 1))
        )
    assert 20 < first.std() < 110
    assert np.abs(first - seed).mean() > 10
    assert np.abs(first - prompt).mean() > 0.5


def test_tensor_sizes() -> None:
    """A tensor knows how many numbers and bytes it has, a scalar too."""
    assert Tensor("m", (3, 512), "Q4_K", 1.0).nbytes == 3 * 2 * 144
    assert Tensor("s", (), "I64", 0.0).nbytes == 8
