"""Parts under the names that they had in a checkpoint, and checkpoints in ComfyUI's: what is recognised is opened."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from sdcpp_py import ModelLoadError, ModelMismatchError, TextEncoder
from sdcpp_py.models.detect.described import Part
from sdcpp_py.models.inspection import inspect
from sdcpp_py.preflight.plan_files import plan_files
from sdcpp_py.synth import FAMILIES, MODELS, write_hollow_set

from ..support import hollow_files as hollow

AUTOENCODER = ("", "vae.", "tae.", "first_stage_model.")
QWEN = ("text_encoders.llm.", "text_encoders.qwen3_4b.", "text_encoders.qwen3_4b.transformer.")
# By the role: a set of a model whose part it is, and what the part's names may begin with.
PLACES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "vae": ("tiny-klein", AUTOENCODER),
    "wan": ("tiny-qwen-image", AUTOENCODER),
    "tae": ("tiny-klein", AUTOENCODER),
    "llm": ("z-image-turbo", ("", *QWEN)),
    "clip_l": (
        "tiny-flux1",
        (
            "",
            "transformer.",
            "cond_stage_model.transformer.",
            "cond_stage_model.",
            "conditioner.embedders.0.transformer.",
            "text_encoders.clip_l.transformer.",
            "text_encoders.clip_l.",
        ),
    ),
    "clip_g": (
        "tiny-sd3",
        (
            "",
            "cond_stage_model.1.transformer.",
            "conditioner.embedders.1.transformer.",
            "text_encoders.clip_g.",
        ),
    ),
    "t5xxl": ("tiny-chroma", ("", "text_encoders.t5xxl.transformer.", "text_encoders.t5xxl.")),
}  # fmt: skip


def shapes_of(model: str, prefix: str = "") -> dict[str, tuple[int, ...]]:
    return {prefix + tensor.name: tensor.shape for tensor in MODELS[model].tensors("F16")}


def opened(files: Mapping[str, Path]) -> None:
    """Has the engine find every tensor of a model, and measure a small picture; no weight is read."""
    assert plan_files(files, width=64, height=64, prompt="a cat", memory="all").fits


@pytest.mark.sample(6)
@pytest.mark.parametrize(("role", "prefix"), [(role, prefix) for role, row in PLACES.items() for prefix in row[1]])
def test_a_part_is_opened_under_the_names_of_a_checkpoint(tmp_path: Path, role: str, prefix: str) -> None:
    """What is taken out of a checkpoint keeps its names there: it is recognised, and opens as any other."""
    family = PLACES[role][0]
    files = dict(write_hollow_set(family, tmp_path).files)
    key = "vae" if role in ("wan", "tae") else role
    model = "taesd-32" if role == "tae" else FAMILIES[family][key]
    del files[key]
    path = hollow.safetensors(tmp_path / "part.safetensors", shapes_of(model, prefix))
    inspection = inspect(path)
    assert inspection.part in (Part.TEXT_ENCODER, Part.VAE, Part.TINY_AUTOENCODER)
    # A T5 is drawn with where it is as wide as T5-XXL.
    assert inspection.drawable or model == "tiny-t5"
    opened({**files, "tae" if role == "tae" else key: path})


COMFY = {
    "tiny-klein": {"llm": "text_encoders.qwen3_4b.transformer."},
    "tiny-flux1": {"clip_l": "text_encoders.clip_l.transformer.", "t5xxl": "text_encoders.t5xxl.transformer."},
    "tiny-sd3": {"clip_l": "text_encoders.clip_l.", "clip_g": "text_encoders.clip_g."},
    "tiny-chroma": {"t5xxl": "text_encoders.t5xxl."},
    "tiny-qwen-image": {"llm": "text_encoders.qwen25_7b.transformer."},
    "tiny-z-image": {"llm": "text_encoders.llm."},
}


@pytest.mark.parametrize("family", COMFY)
def test_a_checkpoint_of_comfyui_is_opened(tmp_path: Path, family: str) -> None:
    """Denoiser, text encoders and VAE in one file, as ComfyUI saves them."""
    places = {"diffusion_model": "model.diffusion_model.", "vae": "vae.", **COMFY[family]}
    shapes: dict[str, tuple[int, ...]] = {}
    for role, model in FAMILIES[family].items():
        shapes |= shapes_of(model, places[role])
    path = hollow.safetensors(tmp_path / "all-in-one.safetensors", shapes)
    inspection = inspect(path)
    assert inspection.part is Part.CHECKPOINT
    assert inspection.drawable
    assert any("holds" in note and "text encoder" in note for note in inspection.notes)
    opened({"model": path})


def test_parts_in_a_checkpoint_must_fit_its_denoiser(tmp_path: Path) -> None:
    """An encoder of another width, or a VAE of other channels: refused by name, with what to give beside it."""
    denoiser = shapes_of("tiny-klein", "model.diffusion_model.")
    llm, vae = shapes_of("tiny-qwen3", "text_encoders.llm."), shapes_of("tiny-flux2-vae", "vae.")
    wide = hollow.safetensors(
        tmp_path / "wide.safetensors", denoiser | shapes_of("qwen3-4b", "text_encoders.llm.") | vae
    )
    with pytest.raises(ModelMismatchError, match="holds the text encoder Qwen3-4B, which does not fit"):
        opened({"model": wide})
    other = hollow.safetensors(tmp_path / "other.safetensors", denoiser | llm | shapes_of("tiny-flux1-vae", "vae."))
    with pytest.raises(ModelMismatchError, match="holds a VAE with 16 latent channels, which does not fit"):
        opened({"model": other})
    files = write_hollow_set("tiny-klein", tmp_path).files
    opened({"model": wide, "llm": files["llm"]})
    opened({"model": other, "vae": files["vae"]})


def test_a_longer_clip_is_refused_by_name(tmp_path: Path) -> None:
    """LongCLIP reads 248 tokens. The engine gives 77, and would call its table of places one of a wrong shape."""
    files = write_hollow_set("tiny-flux1", tmp_path).files
    shapes = shapes_of("tiny-clip-l") | {"text_model.embeddings.position_embedding.weight": (248, 768)}
    path = hollow.safetensors(tmp_path / "long.safetensors", shapes)
    assert not inspect(path).drawable
    with pytest.raises(ModelMismatchError, match=r"LongCLIP-L of 248 tokens.*; get CLIP-L"):
        opened({**files, "clip_l": path})
    inside = shapes_of("tiny-flux1", "model.diffusion_model.") | shapes_of("tiny-flux1-vae", "vae.")
    inside |= {f"text_encoders.clip_l.transformer.{name}": shape for name, shape in shapes.items()}
    inside |= shapes_of("tiny-t5", "text_encoders.t5xxl.transformer.")
    whole = hollow.safetensors(tmp_path / "whole.safetensors", inside)
    assert any("also holds the text encoder LongCLIP-L" in note for note in inspect(whole).notes)
    with pytest.raises(ModelMismatchError, match="needs a further text encoder; get CLIP-L"):
        opened({"model": whole})
    opened({"model": whole, "clip_l": files["clip_l"]})


OPENCLIP = {
    "token_embedding.weight": (49408, 1280),
    "positional_embedding": (77, 1280),
    "transformer.resblocks.0.ln_1.weight": (1280,),
}


@pytest.mark.parametrize("prefix", ["", "model.", "conditioner.embedders.1.model."])
def test_a_clip_in_names_that_are_not_read_is_refused_by_name(tmp_path: Path, prefix: str) -> None:
    """OpenCLIP's names are read in whole checkpoints; in a file of its own, every tensor would be missing."""
    files = write_hollow_set("tiny-sd3", tmp_path).files
    path = hollow.safetensors(tmp_path / "openclip.safetensors", {prefix + name: OPENCLIP[name] for name in OPENCLIP})
    assert not inspect(path).drawable
    assert any("OpenCLIP" in note for note in inspect(path).notes)
    with pytest.raises(ModelMismatchError, match=r"CLIP-G in OpenCLIP's names.*; get CLIP-G"):
        opened({**files, "clip_g": path})
    with pytest.raises(ModelMismatchError, match="no family reads in this form"):
        TextEncoder(path)


def test_a_t5_whose_table_has_its_other_name_is_opened(tmp_path: Path) -> None:
    """Its words have two names, and some files have the second alone."""
    files = write_hollow_set("tiny-chroma", tmp_path).files
    shapes = shapes_of("tiny-t5")
    table = next(name for name in ("shared.weight", "token_embd.weight") if name in shapes)
    original = {
        "blk.": "block.",
        "enc.": "encoder.",
        "attn_norm.": "layer.0.layer_norm.",
        "attn_rel_b.": "layer.0.SelfAttention.relative_attention_bias.",
        "ffn_norm.": "layer.1.layer_norm.",
        "ffn_up.": "layer.1.DenseReluDense.wi_1.",
        "ffn_gate.": "layer.1.DenseReluDense.wi_0.",
        "ffn_down.": "layer.1.DenseReluDense.wo.",
        "output_norm.": "final_layer_norm.",
        **{f"attn_{letter}.": f"layer.0.SelfAttention.{letter}." for letter in "qkvo"},
    }
    words = {"encoder.embed_tokens.weight": shapes.pop(table)}
    for name, shape in shapes.items():
        for theirs, ours in original.items():
            name = name.replace(theirs, ours)
        words[name] = shape
    path = hollow.safetensors(tmp_path / "t5.safetensors", words)
    assert inspect(path).title == "the text encoder T5 of width 128"
    opened({**files, "t5xxl": path})


def test_a_unet_without_its_text_encoders_is_not_called_drawable(tmp_path: Path) -> None:
    """The engine tells Stable Diffusion by them, so that a checkpoint that lacks them is refused."""
    shapes = {name: shape for name, shape in shapes_of("sd1").items() if not name.startswith("cond_stage_model.")}
    path = hollow.safetensors(tmp_path / "half.safetensors", shapes)
    assert not inspect(path).drawable
    with pytest.raises(ModelMismatchError, match="lacks a text encoder that can be read"):
        opened({"model": path})


def test_a_part_of_a_checkpoint_is_replaced_as_a_whole(tmp_path: Path) -> None:
    """SDXL has its larger CLIP in OpenCLIP's names; a file in those of transformers takes its place.

    Else the queries, keys and values would be the checkpoint's still, because they are in one there.
    """
    shapes = shapes_of("sdxl")
    shapes["conditioner.embedders.1.model.transformer.resblocks.0.attn.in_proj_weight"] = (8, 8)
    path = hollow.safetensors(tmp_path / "sdxl.safetensors", shapes)
    with pytest.raises(ModelLoadError, match="shape"):
        opened({"model": path})
    opened({"model": path, "clip_g": hollow.safetensors(tmp_path / "clip_g.safetensors", shapes_of("clip-g"))})


@pytest.mark.parametrize("model", ["sd1", "sd2", "sdxl"])
def test_a_checkpoint_of_a_unet_is_opened(tmp_path: Path, model: str) -> None:
    """In OpenCLIP's names too, where the engine reads them, and with a part of it in a file of its own."""
    path = hollow.safetensors(tmp_path / f"{model}.safetensors", shapes_of(model))
    assert inspect(path).drawable
    opened({"model": path})
    opened({"model": path, "vae": hollow.safetensors(tmp_path / "vae.safetensors", shapes_of("sd-vae", "vae."))})
