"""Reading headers: every family and part is named, as the engine names it, and in milliseconds."""

from __future__ import annotations

import json
import os
import random
import re
import time
from collections.abc import Callable
from math import prod
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdcpp_py import ModelError, ModelLoadError, ModelMismatchError, ModelNotFoundError, synth
from sdcpp_py._native import library
from sdcpp_py.cli import main
from sdcpp_py.models.detect.described import Part
from sdcpp_py.models.detect.headers import read_header
from sdcpp_py.models.files import check_files
from sdcpp_py.models.inspection import inspect

from ..support import files_table
from ..support import hollow_files as hollow
from ..support.hollow_files import Shapes
from ..support.seconds import slower_than_usual

DENOISER = "model.diffusion_model."
CLIP_L = {"cond_stage_model.transformer.text_model.embeddings.token_embedding.weight": (49408, 768)}
OPENCLIP = {"cond_stage_model.model.token_embedding.weight": (49408, 1024)}
TWO_CLIPS = {
    "conditioner.embedders.0.transformer.text_model.embeddings.token_embedding.weight": (49408, 768),
    "conditioner.embedders.1.model.token_embedding.weight": (49408, 1280),
}
MIDDLE = {f"{DENOISER}middle_block.1.norm.weight": (1280,)}


def unet(channels: int, cross: int) -> dict[str, tuple[int, ...]]:
    return {
        f"{DENOISER}input_blocks.0.0.weight": (320, channels, 3, 3),
        f"{DENOISER}input_blocks.4.1.transformer_blocks.0.attn2.to_k.weight": (640, cross),
    }


def block(name: str, *shape: int) -> dict[str, tuple[int, ...]]:
    return {f"{DENOISER}{name}": shape}


FLUX1 = block("double_blocks.0.img_attn.qkv.weight", 9216, 3072) | block("txt_in.weight", 3072, 4096)
FLUX2 = (
    block("double_stream_modulation_img.lin.weight", 18432, 3072)
    | block("double_blocks.0.img_attn.qkv.weight", 9216, 3072)
    | block("single_blocks.0.norm.key_norm.scale", 128)
    | block("txt_in.weight", 3072, 7680)
    | block("img_in.weight", 3072, 128)
)
WAN = block("blocks.0.cross_attn.norm_k.weight", 3072)
UP_7 = block("output_blocks.7.1.transformer_blocks.0.attn1.to_k.weight", 320, 320)

# What the engine calls it, what is said of it here, and the tensors that decide.
VERSIONS: tuple[tuple[str, str, Shapes], ...] = (
    ("SD 1.x", "sd1", CLIP_L | unet(4, 768) | MIDDLE),
    ("SD 1.x Inpaint", "sd1-inpaint", CLIP_L | unet(9, 768) | MIDDLE),
    ("Instruct-Pix2Pix", "sd1-pix2pix", CLIP_L | unet(8, 768) | MIDDLE),
    ("SD 1.x Tiny UNet", "sd1-tiny", CLIP_L | unet(4, 768) | UP_7),
    ("SDXS (512-DS)", "sdxs-512", CLIP_L | unet(4, 768)),
    ("SD 2.x", "sd2", OPENCLIP | unet(4, 1024) | MIDDLE),
    ("SD 2.x Inpaint", "sd2-inpaint", OPENCLIP | unet(9, 1024) | MIDDLE),
    ("SD 2.x Tiny UNet", "sd2-tiny", OPENCLIP | unet(4, 1024) | UP_7),
    (
        "SDXS (09)",
        "sdxs-09",
        OPENCLIP | unet(4, 1024) | block("output_blocks.7.1.transformer_blocks.0.attn1.to_k.weight", 320, 1024),
    ),
    ("SDXL", "sdxl", TWO_CLIPS | unet(4, 2048) | MIDDLE),
    ("SDXL Inpaint", "sdxl-inpaint", TWO_CLIPS | unet(9, 2048) | MIDDLE),
    ("SDXL Instruct-Pix2Pix", "sdxl-pix2pix", TWO_CLIPS | unet(8, 2048) | MIDDLE),
    ("SDXL (Vega)", "sdxl-vega", TWO_CLIPS | unet(4, 2048)),
    (
        "SDXL (SSD1B)",
        "ssd-1b",
        TWO_CLIPS | unet(4, 2048) | block("output_blocks.3.1.transformer_blocks.1.norm1.weight", 640),
    ),
    ("SVD", "svd", unet(8, 1024) | block("input_blocks.8.0.time_mixer.mix_factor", 1)),
    (
        "SD3.x",
        "sd3",
        block("joint_blocks.0.x_block.attn.qkv.weight", 4608, 1536) | block("context_embedder.weight", 1536, 4096),
    ),
    ("Flux", "flux1", FLUX1 | block("img_in.weight", 3072, 64) | block("guidance_in.in_layer.weight", 3072, 256)),
    ("Flux", "flux1", FLUX1 | block("img_in.weight", 3072, 64)),
    ("Flux", "chroma", FLUX1 | block("distilled_guidance_layer.in_proj.weight", 5120, 64)),
    ("Flux Fill", "flux1-fill", FLUX1 | block("img_in.weight", 3072, 384)),
    ("Flux Control", "flux1-control", FLUX1 | block("img_in.weight", 3072, 128)),
    ("Flex.2", "flex2", FLUX1 | block("img_in.weight", 3072, 196)),
    ("Chroma Radiance", "chroma-radiance", FLUX1 | block("nerf_final_layer_conv.conv.weight", 3, 64, 3, 3)),
    ("Ovis Image", "ovis-image", FLUX1 | block("double_blocks.0.img_mlp.gate_proj.weight", 8192, 3072)),
    ("Flux.2 klein", "flux2-klein", FLUX2),
    ("Flux.2", "flux2-dev", FLUX2 | block("single_blocks.47.linear1.weight", 27648, 3072)),
    (
        "Z-Image",
        "z-image",
        block("cap_embedder.0.weight", 2560) | block("cap_embedder.1.weight", 3840, 2560) | block("x_pad_token", 3840),
    ),
    ("Qwen Image", "qwen-image", block("transformer_blocks.0.img_mod.1.weight", 8) | block("txt_in.weight", 8, 3584)),
    ("Anima", "anima", block("llm_adapter.blocks.0.cross_attn.q_proj.weight", 1024, 1024)),
    ("Ernie Image", "ernie-image", block("layers.0.adaLN_sa_ln.weight", 4096)),
    ("Wan 2.x", "wan", WAN | block("patch_embedding.weight", 5120, 16, 1, 2, 2)),
    ("Wan 2.x", "wan", WAN | block("patch_embedding.weight", 5120, 36, 1, 2, 2) | block("img_emb.proj.0.weight", 1280)),
    ("Wan 2.2 I2V", "wan-i2v", WAN | block("patch_embedding.weight", 5120, 36, 1, 2, 2)),
    ("Wan 2.2 TI2V", "wan-ti2v", WAN | block("patch_embedding.weight", 3072, 48, 1, 2, 2)),
)  # fmt: skip
IDS = [f"{kind}-{number}" for number, (_, kind, _) in enumerate(VERSIONS)]


def in_four_axes(shapes: Shapes) -> dict[str, tuple[int, ...]]:
    """Shapes as a GGUF file has them: the first two of five axes are one."""
    return {name: (s[0] * s[1], *s[2:]) if len(s) == 5 else s for name, s in shapes.items()}


@pytest.mark.parametrize("form", ["safetensors", "gguf"])
@pytest.mark.parametrize(("version", "kind", "shapes"), VERSIONS, ids=IDS)
def test_every_version_is_named_as_the_engine_names_it(
    tmp_path: Path, version: str, kind: str, shapes: Shapes, form: str
) -> None:
    """For each version that the engine knows, the tensors that decide make both sides say the same."""
    path = tmp_path / f"model.{form}"
    if form == "gguf":
        hollow.gguf(path, in_four_axes(shapes))
    else:
        hollow.safetensors(path, shapes)
    assert library.detect_family({"model": path}) == version
    inspection = inspect(path)
    assert inspection.part in (Part.DENOISER, Part.CHECKPOINT)
    assert inspection.family == kind


def test_every_word_of_the_engine_is_covered() -> None:
    """The versions above are all that the engine can say."""
    source = Path(__file__).parents[2] / "vendor/stable-diffusion.cpp/src/stable-diffusion.cpp"
    table = re.search(r"model_version_to_str\[\] = \{(.*?)\};", source.read_text(encoding="utf-8"), re.DOTALL)
    assert table is not None
    assert set(re.findall(r'"(.+?)"', table[1])) == {version for version, _, _ in VERSIONS}


WORDS = {
    "klein": "Flux.2 klein",
    "probe": "Flux.2 klein",
    "z-image": "Z-Image",
    "flux1-fill": "Flux Fill",
    "flux1": "Flux",
    "chroma": "Flux",
    "sd3": "SD3.x",
    "qwen-image": "Qwen Image",
    "sd1": "SD 1.x",
    "sd2": "SD 2.x",
    "sdxl": "SDXL",
    "ssd-1b": "SDXL (SSD1B)",
    "sdxs-512": "SDXS (512-DS)",
}


@pytest.mark.parametrize("name", synth.FAMILIES)
def test_whole_sets_are_named_as_the_engine_names_them(tmp_path: Path, name: str) -> None:
    """Over all tensors of every family's files, both sides agree, and the files are found to belong together."""
    files = synth.write_hollow_set(name, tmp_path).files
    word = next(word for start, word in WORDS.items() if name.removeprefix("tiny-").startswith(start))
    assert library.detect_family(files) == word
    encoders = [path for role, path in files.items() if role not in ("model", "diffusion_model", "vae", "tae")]
    checked = check_files(files.get("diffusion_model"), encoders, files.get("vae"), model=files.get("model"))
    assert dict(checked.sources) == dict(files)
    denoiser = files.get("model") or files["diffusion_model"]
    assert inspect(denoiser).family == checked.family.name
    assert inspect(denoiser).drawable


def bare(shapes: Shapes) -> dict[str, tuple[int, ...]]:
    return {name.removeprefix(DENOISER): shape for name, shape in shapes.items()}


@pytest.mark.parametrize(
    ("version", "kind", "shapes"), [row for row in VERSIONS if all(name.startswith(DENOISER) for name in row[2])]
)
def test_a_denoiser_without_prefixes_is_the_same(tmp_path: Path, version: str, kind: str, shapes: Shapes) -> None:
    """A denoiser's names are mostly written without what they begin with in a whole checkpoint."""
    path = hollow.safetensors(tmp_path / "model.safetensors", bare(shapes))
    assert library.detect_family({"diffusion_model": path}) == version
    assert inspect(path).family == kind


FOREIGN: dict[str, tuple[str, Shapes]] = {
    "flux1-schnell": (
        "flux1-schnell-q4_k.gguf",
        {"single_transformer_blocks.0.attn.to_q.weight": (8, 8), "context_embedder.weight": (3072, 4096)},
    ),
    "chroma": (
        "Chroma1-HD",
        {"single_transformer_blocks.0.attn.to_q.weight": (8, 8), "distilled_guidance_layer.in_proj.weight": (8, 64)},
    ),
    "klein-9b": (
        "flux-2-klein-9b",
        {
            "single_transformer_blocks.0.attn.to_out.weight": (8, 8),
            "double_stream_modulation_img.linear.weight": (8, 8),
            "context_embedder.weight": (4096, 12288),
        },
    ),
    "z-image": (
        "z_image_turbo",
        {"cap_embedder.0.weight": (2560,), "layers.0.attention.to_q.weight": (8, 8), "x_pad_token": (1, 3840)},
    ),
    "sd3": (
        "sd3.5_medium",
        {"transformer_blocks.0.attn.add_q_proj.weight": (8, 8), "pos_embed.proj.weight": (1536, 16, 2, 2)},
    ),
    "sdxl": (
        "sd_xl_base",
        {
            "conv_in.weight": (320, 4, 3, 3),
            "down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k.weight": (640, 2048),
            "mid_block.attentions.0.norm.weight": (1280,),
            "up_blocks.0.resnets.0.conv1.weight": (1280, 2560, 3, 3),
        },
    ),
    "ssd-1b": (
        "SSD-1B-A1111",
        {
            "conv_in.weight": (320, 4, 3, 3),
            "down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k.weight": (640, 2048),
            "mid_block.resnets.0.conv1.weight": (1280, 1280, 3, 3),
            "up_blocks.1.attentions.0.transformer_blocks.1.norm1.weight": (640,),
        },
    ),
    "sdxs-512": (
        "sdxs.safetensors",
        {
            "conv_in.weight": (320, 4, 3, 3),
            "down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k.weight": (640, 768),
            "up_blocks.2.resnets.0.conv1.weight": (320, 960, 3, 3),
        },
    ),
    "tiny sd1": (
        "v1-5-pruned-emaonly",
        {
            "conv_in.weight": (320, 4, 3, 3),
            "down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k.weight": (640, 768),
            "up_blocks.2.attentions.0.transformer_blocks.0.attn2.to_k.weight": (320, 768),
        },
    ),
    "anything": ("flux1-dev", {"transformer_blocks.0.attn.to_q.weight": (8, 8)}),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_a_denoiser_in_the_diffusers_format_is_named(tmp_path: Path, name: str) -> None:
    """It is not taken for something else, and the file to get is one of the same family."""
    right, shapes = FOREIGN[name]
    path = hollow.safetensors(tmp_path / "diffusion_pytorch_model.safetensors", shapes)
    assert "in the diffusers format" in inspect(path).title
    assert not inspect(path).drawable
    with pytest.raises(ModelMismatchError, match=f"in the diffusers format.* get {right}"):
        check_files(path)


def test_a_whole_flux1_is_a_checkpoint(tmp_path: Path) -> None:
    """A denoiser with its encoders and VAE in one file, as ComfyUI saves them, is taken as one."""
    parts = {
        "model.diffusion_model.": "flux1-schnell",
        "text_encoders.clip_l.transformer.": "clip-l",
        "text_encoders.t5xxl.transformer.": "t5xxl-fp16",
        "vae.": "flux1-vae",
    }
    shapes = {f"{prefix}{t.name}": t.shape for prefix, m in parts.items() for t in synth.MODELS[m].tensors("F16")}
    path = hollow.safetensors(tmp_path / "flux1-all-in-one.safetensors", shapes)
    assert library.detect_family({"model": path}) == "Flux"
    assert inspect(path).title == "a whole checkpoint of FLUX.1 schnell"
    checked = check_files(path)
    assert dict(checked.sources) == {"model": path}
    assert checked.held == ("clip_l", "t5xxl", "vae")
    assert (checked.family.title, checked.context_width) == ("FLUX.1 schnell", 4096)


UNKNOWN_TO_THE_ENGINE = {
    "hidream-i1": ("double_stream_blocks.0.block.attn1.to_q.weight", "caption_projection.0.linear.weight"),
    "pixart-alpha": ("t_block.1.weight", "blocks.0.cross_attn.kv_linear.weight", "y_embedder.y_embedding"),
    "deepfloyd-if": ("encoder_proj.weight", "encoder_pooling.0.weight"),
    "auraflow": ("double_layers.0.attn.w1q.weight", "register_tokens"),
    "hunyuan-dit": ("mlp_t5.0.weight", "blocks.0.attn1.Wqkv.weight"),
    "ltx-video": ("patchify_proj.weight", "transformer_blocks.0.attn1.to_q.weight"),
    "stable-cascade": ("clip_txt_mapper.weight",),
}
NEAREST = {
    "hidream-i1": "flux1-dev",
    "pixart-alpha": "sd3.5_medium",
    "deepfloyd-if": "flux1-dev",
    "auraflow": "flux1-dev",
    "hunyuan-dit": "Qwen_Image",
    "ltx-video": "z_image_turbo",
    "stable-cascade": "sd_xl_base",
}


@pytest.mark.parametrize("kind", UNKNOWN_TO_THE_ENGINE)
def test_a_family_that_the_engine_cannot_run_is_named(tmp_path: Path, kind: str) -> None:
    """HiDream-I1, PixArt-Alpha, DeepFloyd IF and others: they are named, and what comes nearest."""
    shapes: dict[str, tuple[int, ...]] = dict.fromkeys(UNKNOWN_TO_THE_ENGINE[kind], (64, 64))
    if kind == "deepfloyd-if":
        shapes["input_blocks.0.0.weight"] = (192, 3, 3, 3)
    path = hollow.safetensors(tmp_path / "model.safetensors", shapes)
    inspection = inspect(path)
    assert inspection.family == kind
    assert not inspection.drawable
    assert any("the engine cannot run it" in note and NEAREST[kind] in note for note in inspection.notes)
    with pytest.raises(ModelMismatchError, match=f"the engine cannot run; .* comes nearest: get {NEAREST[kind]}"):
        check_files(path)


def lora(layers: Shapes, down: str = ".lora_A.weight", up: str = ".lora_B.weight") -> Shapes:
    shapes: dict[str, tuple[int, ...]] = {}
    for name, (writes, reads) in layers.items():
        shapes |= {f"{name}{down}": (16, reads), f"{name}{up}": (writes, 16)}
    return shapes


KOHYA = (".lora_down.weight", ".lora_up.weight")
LORAS: dict[str, tuple[str, Shapes]] = {
    "klein": ("flux2-klein", lora({"diffusion_model.single_blocks.0.linear1": (27648, 3072)})),
    "klein by diffusers": (
        "flux2-klein",
        lora({"transformer.single_transformer_blocks.0.attn.to_qkv_mlp_proj": (27648, 3072)}),
    ),
    "klein's attention": ("flux2-klein", lora({"diffusion_model.single_blocks.19.linear2": (3072, 12288)})),
    "flux1": ("flux1", lora({"diffusion_model.single_blocks.0.linear1": (21504, 3072)})),
    "flux1 by kohya": ("flux1", lora({"lora_unet_double_blocks_0_img_mlp_0": (12288, 3072)}, *KOHYA)),
    "flux1 by diffusers": ("flux1", lora({"transformer.single_transformer_blocks.37.attn.to_q": (3072, 3072)})),
    "sd1": ("sd1", lora({"lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k": (320, 768)}, *KOHYA)),
    "sd2": ("sd2", lora({"lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k": (320, 1024)}, *KOHYA)),
    "sdxl": ("sdxl", lora({"lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k": (640, 2048)}, *KOHYA)),
    "sdxl by diffusers": ("sdxl", lora({"unet.up_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k": (640, 2048)})),
    "z-image": ("z-image", lora({"diffusion_model.layers.0.attention.qkv": (11520, 3840)})),
    "z-image by diffusers": ("z-image", lora({"transformer.layers.0.attention.to_q": (3840, 3840)})),
    "qwen-image": ("qwen-image", lora({"transformer_blocks.0.img_mlp.net.2": (3072, 12288)})),
    "qwen-image's attention": ("qwen-image", lora({"transformer.transformer_blocks.0.attn.to_q": (3072, 3072)})),
    "sd3": ("sd3", lora({"transformer.transformer_blocks.0.attn.to_q": (1536, 1536)})),
    "wan": ("wan", lora({"diffusion_model.blocks.0.cross_attn.k": (5120, 5120)})),
    "anything": ("", lora({"some.layer": (64, 64)})),
}  # fmt: skip


@pytest.mark.parametrize("name", LORAS)
def test_a_lora_names_what_it_was_made_for(tmp_path: Path, name: str) -> None:
    """LoRAs in the names of kohya, PEFT and ComfyUI."""
    family, shapes = LORAS[name]
    inspection = inspect(hollow.safetensors(tmp_path / "lora.safetensors", shapes))
    assert (inspection.part, inspection.family) == (Part.LORA, family)


OTHERS: dict[str, tuple[Part, str, Shapes]] = {
    "esrgan in old names": (
        Part.UPSCALER,
        "2 blocks, 4 times",
        {f"model.1.sub.{n}.RDB1.conv1.0.weight": (32, 64, 3, 3) for n in range(2)} | {"model.10.weight": (3, 64, 3, 3)},
    ),
    "srvgg": (Part.UNKNOWN, "an upscaler of another make", {"body.0.weight": (64, 3, 3, 3), "body.1.weight": (64,)}),
    "controlnet by diffusers": (
        Part.CONTROLNET,
        "Stable Diffusion XL",
        {
            "controlnet_down_blocks.0.weight": (320, 320, 1, 1),
            "down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k.weight": (640, 2048),
        },
    ),
    "flux1 controlnet": (Part.CONTROLNET, "FLUX.1", {"controlnet_blocks.0.weight": (3072, 3072)}),
    "taehv": (
        Part.TINY_AUTOENCODER,
        "16 latent channels",
        {"decoder.1.weight": (256, 16, 3, 3), "decoder.7.conv.weight": (256, 256, 1, 1)},
    ),
    "taesd in its own names": (Part.UNKNOWN, "not read", {"1.weight": (64, 4, 3, 3), "3.conv.0.weight": (64,)}),
    "qwen's vae by diffusers": (Part.VAE, "diffusers", {"decoder.conv_in.weight": (384, 16, 3, 3, 3)}),
    "umt5": (
        Part.TEXT_ENCODER,
        "UMT5",
        {"shared.weight": (256384, 4096)}
        | {f"encoder.block.{n}.layer.0.SelfAttention.relative_attention_bias.weight": (32, 64) for n in range(2)},
    ),
    "openclip": (Part.TEXT_ENCODER, "OpenCLIP-H", {"text_model.embeddings.token_embedding.weight": (49408, 1024)}),
    "llama": (
        Part.TEXT_ENCODER,
        "no Qwen",
        {"model.embed_tokens.weight": (128256, 4096), "model.layers.0.input_layernorm.weight": (4096,)},
    ),
    "mmproj": (Part.UNKNOWN, "image half", {"v.patch_embd.weight": (1280, 3, 14, 14), "mm.0.weight": (5120, 5120)}),
    "clip vision": (Part.UNKNOWN, "image half of CLIP", {"vision_model.post_layernorm.weight": (1280,)}),
    "nothing": (Part.UNKNOWN, "not known", {"weight": (1,)}),
}  # fmt: skip


@pytest.mark.parametrize("name", OTHERS)
def test_other_parts_are_named(tmp_path: Path, name: str) -> None:
    """Parts that no synthetic model has."""
    part, says, shapes = OTHERS[name]
    inspection = inspect(hollow.safetensors(tmp_path / "file.safetensors", shapes))
    assert inspection.part is part
    assert says in inspection.title


def real_qwen3_header(path: Path) -> Path:
    """As unsloth's Qwen3-4B has it: 151,936 tokens, 151,387 merges, 398 tensors."""
    draw = random.Random(0)
    pieces = [bytes(draw.choices(b"abcdefghijklmnopqrstuvwxyz", k=draw.randint(1, 12))) for _ in range(4096)]
    tokens = [draw.choice(pieces) + draw.choice(pieces) for _ in range(151_936)]
    merges = [draw.choice(pieces) + b" " + draw.choice(pieces) for _ in range(151_387)]
    model = synth.MODELS["qwen3-4b"]
    shapes = {tensor.name: tensor.shape for tensor in model.tensors("Q4_K")}
    arrays = {"tokenizer.ggml.tokens": tokens, "tokenizer.ggml.merges": merges}
    return hollow.gguf(path, shapes, {"general.name": "Qwen3 4B", "qwen3.rope.freq_base": 1e6, **arrays})


def quickest(work: Callable[[], object], tries: int = 7) -> float:
    """Seconds of the CPU in the quickest try: others use the machine too."""
    times = []
    for _ in range(tries):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times)


@pytest.mark.timing
def test_a_tokenizer_is_skipped(tmp_path: Path) -> None:
    """The header of a Qwen3-4B with its whole tokenizer, some 6 MB, takes under 50 ms (more on a slow machine)."""
    path = real_qwen3_header(tmp_path / "Qwen3-4B-Q4_K_M.gguf")
    assert inspect(path).title == "the text encoder Qwen3-4B"
    assert quickest(lambda: read_header(path)) < 0.05 * slower_than_usual()


@pytest.mark.parametrize(
    ("file", "metadata", "warned"),
    [
        ("Qwen3-4B-Q4_K_M.gguf", {"qwen3.rope.freq_base": 1e6}, ""),
        ("Qwen3-4B-Q4_K_M.gguf", {"qwen3.rope.freq_base": 5e6}, "Instruct-2507"),
        ("Qwen3-4B-Instruct-2507-Q4_K_M.gguf", {}, "Instruct-2507"),
        ("encoder.gguf", {"general.name": "Qwen3-4B-Instruct-2507"}, "Instruct-2507"),
        ("Qwen3-VL-4B-Instruct-Q4_K_M.gguf", {}, "Qwen3-VL"),
    ],
)
def test_an_encoder_that_was_trained_otherwise_is_a_warning(
    tmp_path: Path, file: str, metadata: dict[str, str | float], warned: str
) -> None:
    """Qwen3-4B-Instruct-2507 and Qwen3-VL have the right shapes: they are taken, and a sentence says what to get."""
    shapes = {tensor.name: tensor.shape for tensor in synth.MODELS["qwen3-4b"].tensors("Q4_K")}
    encoder = hollow.gguf(tmp_path / file, shapes, metadata)
    files = synth.write_hollow_set("z-image-turbo", tmp_path)
    checked = check_files(files.diffusion_model, encoder, files.vae)
    for warnings in (checked.warnings, inspect(encoder).notes):
        assert len(warnings) == bool(warned)
        assert all(warned in warning and "unsloth/Qwen3-4B-GGUF" in warning for warning in warnings)


def sharded(folder: Path, shapes: Shapes) -> Path:
    """A model in two files with an index. Returns the index."""
    folder.mkdir()
    names = list(shapes)
    weight_map: dict[str, str] = {}
    for number, half in enumerate((names[::2], names[1::2]), start=1):
        file = f"model-0000{number}-of-00002.safetensors"
        hollow.safetensors(folder / file, {name: shapes[name] for name in half})
        weight_map |= dict.fromkeys(half, file)
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    return index


def test_a_model_in_several_files_is_inspected(tmp_path: Path, z_image: synth.SyntheticSet) -> None:
    """By its index, its folder or any of its files, it is told and taken as the one file would be."""
    shapes = {name: tensor.shape for name, tensor in read_header(z_image.diffusion_model).tensors.items()}
    index = sharded(tmp_path / "model", shapes)
    whole = inspect(z_image.diffusion_model)
    shards = tuple(sorted(index.parent.glob("*.safetensors")))
    for path in (index, index.parent, *shards):
        inspection = inspect(path)
        assert (inspection.title, inspection.parameters) == (whole.title, whole.parameters)
        assert inspection.drawable
        assert any("it is in 2 files" in note for note in inspection.notes)
        assert check_files(path, z_image.text_encoder, z_image.vae).of_part("diffusion_model") == shards


def test_a_shard_that_is_missing_is_named(tmp_path: Path, z_image: synth.SyntheticSet) -> None:
    """An index with a file missing, with a tensor missing, or without a weight_map."""
    shapes = {name: tensor.shape for name, tensor in read_header(z_image.diffusion_model).tensors.items()}
    index = sharded(tmp_path / "model", shapes)
    (index.parent / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(ModelNotFoundError, match="model-00002-of-00002"):
        inspect(index.parent)
    hollow.safetensors(index.parent / "model-00002-of-00002.safetensors", {"other": (1,)})
    with pytest.raises(ModelLoadError, match="which is in none of its files"):
        inspect(index)
    for name in ("a" * 300, "\0", "\ud800"):
        index.write_text(json.dumps({"weight_map": {"a": name}}))
        with pytest.raises(ModelNotFoundError, match="missing"):
            inspect(index)
    for text in ('{"weight_map": ["a"]}', " " * (64 << 20) + "{}"):
        index.write_text(text)
        with pytest.raises(ModelLoadError, match="no weight_map"):
            inspect(index)
    index.unlink()
    os.mkfifo(index)  # nobody writes into it
    with pytest.raises(ModelError):
        inspect(index)
    with pytest.raises(ModelLoadError, match="directory without an index"):
        inspect(tmp_path)
    with pytest.raises(ModelNotFoundError, match="there is no file"):
        inspect(tmp_path / "other.safetensors.index.json")


def test_a_folder_of_diffusers_lacks_a_part(tmp_path: Path) -> None:
    """What its model_index.json names and is not there is named; as one file it is none."""
    index = tmp_path / "model_index.json"
    index.write_text(json.dumps({"_class_name": "FluxPipeline", "vae": ["diffusers", "AutoencoderKL"]}))
    with pytest.raises(ModelLoadError, match="names no transformer and no unet"):
        check_files(tmp_path)
    index.write_text(json.dumps({"_class_name": "FluxPipeline", "transformer": ["diffusers", "x"]}))
    with pytest.raises(ModelNotFoundError, match=r"names the part .transformer., and .* has no folder"):
        check_files(model=tmp_path)
    (tmp_path / "transformer").mkdir()
    with pytest.raises(ModelLoadError, match=r"without an index .*with no model in it"):
        check_files(tmp_path)
    with pytest.raises(ModelLoadError, match="give one of the folders inside it"):
        inspect(tmp_path)


def test_the_index_cannot_lead_out_of_its_folder(tmp_path: Path) -> None:
    """A file name in an index with a path in it is refused like one that is missing."""
    index = tmp_path / "model.safetensors.index.json"
    hollow.safetensors(tmp_path / "a.safetensors", {"a": (1,)})
    index.write_text(json.dumps({"weight_map": {"a": f"../{tmp_path.name}/a.safetensors"}}))
    with pytest.raises(ModelNotFoundError, match="are missing"):
        inspect(index)


STORED: dict[str, tuple[dict[str, Shapes], str]] = {
    "scales of a type": (
        {"F8_E4M3": {"a.weight": (64, 64)}, "U8": {"a.weight_scale": (64, 2)}},
        "the scale 'a.weight_scale' of type U8, which is not read; known are F32, F16, BF16",
    ),
    "scales of a shape": (
        {"F8_E4M3": {"a.weight": (64, 64)}, "F32": {"a.scale_weight": (3,)}},
        "known are one number, one for each row, and one for each square of 128 by 128",
    ),
    "fp4": ({"U8": {"a.weight": (64, 64)}, "F8_E4M3": {"a.weight_scale": (64, 8)}}, "packed into bytes"),
    "mxfp4": ({"F8_E8M0": {"a.weight_scale": (64, 8)}}, "type F8_E8M0"),
    "int4": ({"I8": {"a.qweight": (64, 64)}}, "packed into bytes"),
}


@pytest.mark.parametrize("name", STORED)
def test_weights_that_cannot_be_read_are_named(tmp_path: Path, name: str) -> None:
    """Fp4, scales of other kinds and others: as an encoder each is refused, and the GGUF to get is named."""
    types, says = STORED[name]
    table = {"model.embed_tokens.weight": (64, 2560), "model.layers.0.self_attn.q_norm.weight": (128,)}
    table |= {f"model.layers.{layer}.input_layernorm.weight": (2560,) for layer in range(36)}
    path = hollow.safetensors(tmp_path / "qwen.safetensors", table, "F16", types)
    # Enough of it that it is no stray tensor.
    big = {
        kind: {tensor: (shape[0] * 64, *shape[1:]) for tensor, shape in shapes.items()}
        for kind, shapes in types.items()
    }
    hollow.safetensors(path, table, "F16", big)
    files = synth.write_hollow_set("z-image-turbo", tmp_path)
    assert any(says in note for note in inspect(path).notes)
    with pytest.raises(ModelMismatchError, match=rf"{says}.*; get Qwen3-4B \(unsloth/Qwen3-4B-GGUF\)"):
        check_files(files.diffusion_model, path, files.vae)


def test_whether_it_is_distilled_is_told_by_tensors_or_names(tmp_path: Path) -> None:
    """Tensors say it of FLUX.1 and Chroma; of Klein and Z-Image only the name does; and else nobody knows."""
    klein, z_image = bare(VERSIONS[24][2]), bare(VERSIONS[26][2])
    for file, shapes, distilled in (
        ("flux-2-klein-4b.safetensors", klein, True),
        ("flux-2-klein-base-4b.safetensors", klein, False),
        ("model.safetensors", klein, None),
        ("z_image_turbo.safetensors", z_image, True),
        ("z-image.safetensors", z_image, None),
        ("model.safetensors", bare(VERSIONS[17][2]), True),
        ("model.safetensors", bare(VERSIONS[18][2]), False),
    ):
        assert inspect(hollow.safetensors(tmp_path / file, shapes)).distilled is distilled, file


def test_the_table_and_the_json_say_the_same(
    tmp_path: Path, klein: synth.SyntheticSet, capsys: pytest.CaptureFixture[str]
) -> None:
    """``sdcpp-py inspect``: a line for each file; with --json everything; 1 where one cannot be read."""
    files = [str(path) for path in klein]
    assert main(["inspect", *files]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 + len(files)
    assert "the FLUX.2 Klein denoiser" in lines[1]
    assert main(["inspect", "--json", *files]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [entry["path"] for entry in told] == files
    assert [entry["part"] for entry in told] == [inspect(file).part.name.lower() for file in files]
    assert all(sum(entry["types"].values()) == entry["nbytes"] for entry in told)
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"hello, I am a model, honestly")
    assert main(["inspect", str(broken), files[0], str(tmp_path / "no.gguf")]) == 1
    said = capsys.readouterr()
    assert "the FLUX.2 Klein denoiser" in said.out
    assert "neither GGUF nor safetensors" in said.err
    assert "there is no file" in said.err


def test_the_page_about_files_is_what_the_command_prints() -> None:
    """The tables in docs/files.md, made anew over a file of every family and part."""
    text = files_table.PAGE.read_text(encoding="utf-8")
    assert files_table.page(text) == text, "run `python -m tests.support.files_table`"


NAMES = {name: tuple(tensor.name for tensor in model.tensors("Q4_K")) for name, model in synth.MODELS.items()}


@given(st.data())
def test_any_names_and_shapes_are_described(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """Some tensors of two models in one file, in any shapes, are described; as a model they are taken or refused."""
    known = st.sampled_from(sorted(NAMES)).flatmap(lambda name: st.lists(st.sampled_from(NAMES[name]), max_size=12))
    sizes = st.sampled_from((1, 3, 4, 16, 64, 128, 384, 768, 1024, 2048, 2560))
    prefix = data.draw(st.sampled_from(("", DENOISER, "first_stage_model.")))
    names = [prefix + name for name in data.draw(known) + data.draw(known)]
    small = st.lists(sizes, max_size=5).map(tuple).filter(lambda shape: prod(shape) < 1 << 33)
    shapes = {name: data.draw(small) for name in names}
    path = hollow.safetensors(tmp_path_factory.getbasetemp() / "any.safetensors", shapes, "U8")
    assert inspect(path).title
    for arguments in ({"diffusion_model": path}, {"model": path, "text_encoder": path, "vae": path}):
        try:
            check_files(**arguments)
        except ModelError:
            pass
