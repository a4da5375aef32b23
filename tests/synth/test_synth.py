"""Model files of random weights: what is written, how large it is, and that it can be drawn with."""

from __future__ import annotations

import json
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
from numpy.typing import NDArray
from safetensors import safe_open

from sdcpp_py import Generator
from sdcpp_py.parts import ROLES
from sdcpp_py.synth import (
    FAMILIES,
    MODELS,
    QUANTIZATIONS,
    SyntheticSet,
    Tensor,
    blocks,
    write,
    write_hollow_set,
    write_set,
)
from sdcpp_py.synth.formats import write_safetensors
from sdcpp_py.synth.models import ModelShape
from sdcpp_py.synth.recast import Recast
from sdcpp_py.synth.tensors import BLOCKS, fitting, matrix
from sdcpp_py.synth.unet import UNet
from tests.support.examples import examples

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
    ("klein-9b", "Q4_0", 5_616_208_032),
    ("flux1-dev", "Q2_K", 4_032_341_280),
    ("flux1-dev", "Q3_K", 5_234_255_136),
    ("flux1-dev", "Q4_0", 6_791_167_136),
    ("flux1-dev", "Q5_K", 8_285_267_232),
    ("flux1-dev", "Q6_K", 9_857_000_736),
    ("flux1-dev", "Q8_0", 12_708_281_504),
    ("sdxl", "F16", 6_938_078_334),
    ("ssd-1b", "F16", 4_465_671_322),
    ("sdxs-512", "F16", 882_587_118),
    ("qwen3-8b", "Q4_K", 5_027_784_512),
    ("clip-l", "F16", 246_144_152),
    ("clip-g", "F16", 1_389_382_176),
    ("t5xxl-fp16", "F16", 9_787_841_024),
    ("flux2-vae", "F32", 336_211_292),
    ("flux2-vae-small-decoder", "F32", 249_519_092),
    ("flux1-vae", "F32", 335_304_388),
    ("sd-vae", "F32", 334_641_162),
    ("wan-vae", "BF16", 253_806_246),
    ("esrgan", "F32", 67_040_989),
    ("esrgan-anime", "F32", 17_938_799),
]
# Millions of parameters, as those who trained the models or counted them say.
PARAMETERS = [
    ("klein-4b", 3_875),
    ("klein-9b", 9_079),
    ("flux2-dev", 32_223),
    ("z-image-turbo", 6_155),
    ("flux1-dev", 11_901),
    ("flux1-schnell", 11_891),
    ("flux1-fill", 11_902),
    ("chroma", 8_900),
    ("sd3.5-medium", 2_470),
    ("qwen-image", 20_430),
    ("sd1", 1_066),
    ("sd2", 1_304),
    ("sdxl", 3_469),
    ("qwen3-4b", 4_022),
    ("qwen3-8b", 8_191),
    ("qwen2.5-vl-7b", 7_616),
    ("clip-l", 123.06),
    ("clip-g", 694.66),
    ("t5xxl", 4_762),
    ("flux1-vae", 83.82),
    ("flux2-vae", 84.05),
    ("wan-vae", 126.89),
    ("taesd-4", 2.445),
    ("sd1-controlnet", 361.3),
]
UNETS = [("sd1", 859.52), ("sd2", 865.91), ("sdxl", 2_567.46)]
TINY_SETS = ["tiny-klein", "tiny-z-image"]
TINY_GGUF = [
    "tiny-klein",
    "tiny-z-image",
    "tiny-flux1",
    "tiny-chroma",
    "tiny-sd3",
    "tiny-qwen-image",
    "tiny-qwen3",
    "tiny-qwen2.5-vl",
    "tiny-t5",
    "tiny-clip-l",
    "tiny-clip-g",
]
TINY_VAES = ["tiny-flux1-vae", "tiny-flux2-vae"]
NEW_TINY_SETS = ["tiny-flux1", "tiny-flux1-schnell", "tiny-flux1-fill", "tiny-chroma", "tiny-sd3", "tiny-qwen-image"]
TABLE = "text_model.embeddings.token_embedding"
POOLED = ("vector_in.in_layer.weight", "y_embedder.mlp.0.weight")


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


def read_bytes(path: Path, tensor: Tensor) -> NDArray[np.uint8]:
    """The bytes of a tensor in a safetensors file."""
    content = path.read_bytes()
    start = 8 + int.from_bytes(content[:8], "little")
    begin, end = json.loads(content[8:start])[tensor.name]["data_offsets"]
    return np.frombuffer(content[start + begin : start + end], np.uint8)


def eighths(codes: NDArray[np.uint8]) -> NDArray[np.float64]:
    """What floats of 8 bits mean, 4 of them the exponent."""
    exponent, mantissa = codes.astype(int) >> 3 & 15, codes & 7
    size = np.where(exponent, (8 + mantissa) * 2.0 ** (exponent - 10), mantissa * 2.0**-9)
    return np.where(codes >> 7, -size, size)


def shapes_of(name: str) -> dict[str, tuple[int, ...]]:
    """Name -> shape of a model's tensors."""
    return {tensor.name: tensor.shape for tensor in MODELS[name].tensors()}


@pytest.mark.parametrize(("name", "millions"), PARAMETERS)
def test_parameters(name: str, millions: float) -> None:
    """The full-size models have as many parameters as the real ones."""
    assert MODELS[name].parameters() == pytest.approx(millions * 1e6, rel=0.001)


@pytest.mark.parametrize(("name", "millions"), UNETS)
def test_unet_parameters(name: str, millions: float) -> None:
    """The U-Nets in whole checkpoints have as many parameters as the real ones."""
    prefix = "model.diffusion_model."
    sizes = [tensor.elements for tensor in MODELS[name].tensors() if tensor.name.startswith(prefix)]
    assert sum(sizes) == pytest.approx(millions * 1e6, rel=1e-5)


def test_a_unet_with_fewer_blocks() -> None:
    """One residual block for each scale and nothing between the halves: as many parameters as BK-SDM-Tiny has."""
    unet = UNet((1, 2, 4), (1, 1, 1), middle=None, context=768, linear_projections=False, resnets=1)
    assert sum(tensor.elements for tensor in unet.tensors("F16")) == 323_384_964


@pytest.mark.parametrize(("name", "quant", "published"), PUBLISHED)
def test_published_sizes(name: str, quant: str, published: int) -> None:
    """A full-size file has the size of the real one of its quantization, within half a percent."""
    assert MODELS[name].weight_bytes(quant) == pytest.approx(published, rel=0.005)


@pytest.mark.parametrize("name", MODELS)
def test_plans_are_sound(name: str) -> None:
    """In every model names are unique, rows are whole numbers of blocks, and norms in GGUF files are exact."""
    model = MODELS[name]
    for quant in QUANTIZATIONS if model.architecture else ("Q4_K",):
        tensors = list(model.tensors(quant))
        assert len({tensor.name for tensor in tensors}) == len(tensors)
        assert [t.name for t in tensors if t.shape and t.shape[-1] % BLOCKS[t.type][0]] == []
        if model.architecture:
            assert {t.type for t in tensors if len(t.shape) == 1} == {"F32"}
            assert max(len(t.shape) for t in tensors) <= 4


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


def test_half_and_eighth_precision(tmp_path: Path) -> None:
    """Numbers of 16 and of 8 bits in safetensors files have the planned deviation."""
    layout = MODELS["taesd-4"].layout
    for type_, step in (("F16", 1e-3), ("F8_E4M3", 2**-9)):
        model = ModelShape(f"taesd-{type_}", Recast(layout, type_))
        path = tmp_path / model.file_name()
        write_safetensors(path, model, "Q4_K", 0, lambda nbytes: None)
        with safe_open(path, "np") as file:
            assert set(file.keys()) == {tensor.name for tensor in model.tensors()}
        plan = next(tensor for tensor in model.tensors() if tensor.name == "decoder.layers.17.conv.4.weight")
        values = eighths(read_bytes(path, plan)) if type_ == "F8_E4M3" else read_bytes(path, plan).view(np.float16)
        assert values.std() == pytest.approx(plan.std, abs=step)


def test_vae_families_differ() -> None:
    """FLUX.2's VAE has 32 latent channels and quantization convolutions, FLUX.1's has 16 and none."""
    flux1, flux2 = ({t.name: t.shape for t in MODELS[name].tensors()} for name in ("flux1-vae", "flux2-vae"))
    assert flux1["decoder.conv_in.weight"] == (512, 16, 3, 3)
    assert flux2["decoder.conv_in.weight"] == (512, 32, 3, 3)
    assert not [name for name in flux1 if "quant_conv" in name]
    assert flux2["encoder.quant_conv.weight"] == (64, 64, 1, 1)
    assert flux2["decoder.post_quant_conv.weight"] == (32, 32, 1, 1)


def test_vae_halves() -> None:
    """The tiny VAEs have both halves, some an encoder of full width for sd-cli; one has no encoder at all."""
    for name in TINY_VAES:
        shapes = shapes_of(name)
        assert shapes["encoder.conv_in.weight"] == (32, 3, 3, 3)
        assert shapes_of(f"{name}-wide")["encoder.conv_in.weight"] == (128, 3, 3, 3)
        assert shapes["decoder.conv_out.weight"] == (3, 32, 3, 3)
    assert not [name for name in shapes_of("tiny-flux2-vae-decoder") if name.startswith("encoder")]


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


@pytest.mark.parametrize("name", ["tiny-klein", "taesd-4"])
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
@settings(deadline=None, max_examples=examples(40))
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


@pytest.mark.parametrize("name", ["tiny-klein", "taesd-4"])
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


@pytest.mark.parametrize("name", ["tiny-klein", "taesd-4"])
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


@pytest.mark.parametrize("name", ["tiny-klein", "taesd-4"])
def test_permissions(name: str, tmp_path: Path) -> None:
    """A model file has the permissions of any new file, so that other users of a machine can share it."""
    ordinary = tmp_path / "ordinary"
    ordinary.touch()
    assert stat.S_IMODE(write(name, tmp_path).stat().st_mode) == stat.S_IMODE(ordinary.stat().st_mode)


def context_width(shapes: dict[str, tuple[int, ...]]) -> int:
    """Width of the text states that a denoiser reads, each of the several that FLUX.2 reads side by side."""
    if "double_stream_modulation_img.lin.weight" in shapes:
        return shapes["txt_in.weight"][1] // 3
    names = ("txt_in.weight", "cap_embedder.1.weight", "context_embedder.weight")
    return next(shapes[name][1] for name in names if name in shapes)


def latent_channels(shapes: dict[str, tuple[int, ...]]) -> int:
    """Channels of the latents that a denoiser makes."""
    names = ("final_layer.linear.weight", "proj_out.weight")
    return next(shapes[name][0] for name in names if name in shapes) // 4


@pytest.mark.parametrize("family", [name for name, roles in FAMILIES.items() if "model" not in roles])
def test_families_belong_together(family: str) -> None:
    """In every set, the denoiser reads text states as wide as the encoders make them, and makes the VAE's latents."""
    parts = {role: shapes_of(name) for role, name in FAMILIES[family].items()}
    denoiser, context = parts["diffusion_model"], context_width(parts["diffusion_model"])
    if "llm" in parts:
        assert parts["llm"]["token_embd.weight"][1] == context
    if "t5xxl" in parts:
        assert parts["t5xxl"]["token_embd.weight"][1] == context
    pooled = sum(parts[role][f"{TABLE}.weight"][1] for role in ("clip_l", "clip_g") if role in parts)
    read = next((shape[1] for name, shape in denoiser.items() if name in POOLED), 0)
    assert read == pooled
    first = next(
        shape for name, shape in parts["vae"].items() if name in ("decoder.conv_in.weight", "decoder.conv1.weight")
    )
    assert first[1] == latent_channels(denoiser)


@pytest.mark.parametrize("family", FAMILIES)
def test_roles_and_models_exist(family: str) -> None:
    """Every set names known roles and models that can be written."""
    assert FAMILIES[family].keys() <= set(ROLES)
    assert set(FAMILIES[family].values()) <= MODELS.keys()


@pytest.mark.parametrize("family", ["tiny-flux1", "sd1", "sd3.5-medium"])
def test_hollow_sets(family: str, tmp_path: Path) -> None:
    """A hollow set has a file of the true size for every role, and takes next to no disk."""
    files = write_hollow_set(family, tmp_path, quant="Q8_0")
    assert files.files.keys() == FAMILIES[family].keys()
    for role, path in files.files.items():
        assert path.stat().st_size >= MODELS[FAMILIES[family][role]].weight_bytes("Q8_0")
        assert path.stat().st_blocks * 512 < 1_000_000


def test_sets_by_part(tmp_path: Path) -> None:
    """A set gives its files by role, and by the names of a model's three parts where it has just these."""
    denoiser, encoder, other, vae = (tmp_path / name for name in "abcd")
    three = SyntheticSet(denoiser, encoder, vae)
    assert three.files == {"diffusion_model": denoiser, "llm": encoder, "vae": vae}
    assert (three.diffusion_model, three.text_encoder, three.vae) == (denoiser, encoder, vae)
    assert SyntheticSet(diffusion_model=denoiser, t5xxl=encoder).text_encoder == encoder
    assert list(SyntheticSet(model=denoiser)) == [denoiser]
    for incomplete in (SyntheticSet(model=denoiser), SyntheticSet(denoiser, vae=vae, clip_l=encoder, t5xxl=other)):
        with pytest.raises(AttributeError, match="text encoders"):
            incomplete.text_encoder  # noqa: B018 - a property that raises
    with pytest.raises(AttributeError, match="vae"):
        SyntheticSet(denoiser).vae  # noqa: B018


@pytest.mark.parametrize("family", NEW_TINY_SETS)
def test_tiny_sets_are_small(family: str) -> None:
    """A tiny set takes little disk: most of it the VAE's encoder, which the engine has at full width, and tables."""
    assert sum(MODELS[name].weight_bytes("Q8_0") for name in FAMILIES[family].values()) < 190e6


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


def test_writing_needs_no_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are written without the packages of their formats, which a plain installation lacks."""
    for package in ("gguf", "safetensors"):
        monkeypatch.setitem(sys.modules, package, None)
    assert write("tiny-klein", tmp_path).stat().st_size > MODELS["tiny-klein"].weight_bytes()
    assert write("tiny-flux2-vae", tmp_path).stat().st_size > MODELS["tiny-flux2-vae"].weight_bytes()


@pytest.mark.sample(1)
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
