"""Which files make a model: naming the part that a file is, and refusing parts that do not belong together.

All of it is decided from names and shapes of tensors in the files' headers, as the engine itself decides: GGUF files
written by stable-diffusion.cpp carry no architecture name.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path

from sdcpp_py.errors import ModelLoadError, ModelMismatchError
from sdcpp_py.families import FLUX2_KLEIN, Z_IMAGE, Family
from sdcpp_py.inspection import FileHeader, TensorInfo, read_header


class Part(Enum):
    """What a file is, as a noun phrase."""

    DENOISER = "a denoiser"
    TEXT_ENCODER = "a text encoder"
    VAE = "a VAE"
    TINY_AUTOENCODER = "a tiny autoencoder (TAESD)"
    LORA = "a LoRA"
    UNKNOWN = "a file of a kind that is not known here"


@dataclass(frozen=True)
class Described:
    """A part and what decides whether it fits.

    Attributes:
        part: what the file is.
        title: the same in words ("the FLUX.2 Klein denoiser").
        family: of a denoiser that can be drawn with.
        context_width: of a denoiser: the width of the text states that it reads.
        hidden_size, layers: of a text encoder.
        latent_channels: of a VAE or a tiny autoencoder.
    """

    part: Part
    title: str
    family: Family | None = None
    context_width: int = 0
    hidden_size: int = 0
    layers: int = 0
    latent_channels: int = 0


@dataclass(frozen=True)
class ModelFiles:
    """The three files of a model, checked to belong together.

    Attributes:
        diffusion_model, text_encoder, vae: the files.
        family: what they make, with the defaults to draw with.
        context_width: of the text states that the denoiser reads.
        vae_is_tiny: whether the autoencoder is one in TAESD's format.
    """

    diffusion_model: Path
    text_encoder: Path
    vae: Path
    family: Family
    context_width: int
    vae_is_tiny: bool = False


OWN_SIZE_KEYS = ("sdcpp_py.default_width", "sdcpp_py.default_height")
"""GGUF metadata of a denoiser: the size in pixels of the pictures that it draws when nothing is said."""

_PREFIXES = ("model.diffusion_model.", "first_stage_model.", "text_encoders.llm.", "vae.")


def describe(header: FileHeader) -> Described:
    """Names the part that a file is, from the names and shapes of its tensors."""
    tensors = {_without_prefix(name): tensor for name, tensor in header.tensors.items()}
    for recognise in (_as_lora, _as_denoiser, _as_text_encoder, _as_vae):
        described = recognise(tensors)
        if described is not None:
            return _with_own_size(described, header)
    return Described(Part.UNKNOWN, Part.UNKNOWN.value)


def _with_own_size(described: Described, header: FileHeader) -> Described:
    """A denoiser trained for other sizes than its family says so in its file's metadata."""
    width, height = (header.metadata.get(key) for key in OWN_SIZE_KEYS)
    if described.family is None or not (isinstance(width, int) and isinstance(height, int)):
        return described
    return replace(described, family=described.family.sized(width, height))


def check_files(
    diffusion_model: str | os.PathLike[str], text_encoder: str | os.PathLike[str], vae: str | os.PathLike[str]
) -> ModelFiles:
    """Reads the three headers and refuses what cannot work, before any weight is read.

    Raises:
        ModelNotFoundError: a file does not exist.
        ModelLoadError: a file is empty, truncated, damaged or no model.
        ModelMismatchError: a file is another part than it was given as, or the parts do not belong together.
    """
    # The engine stops at a NUL and takes bytes that are no text for something else.
    paths = [Path(os.fspath(path)) for path in (diffusion_model, text_encoder, vae)]
    for path in paths:
        _check_path(path)
    headers = [read_header(path) for path in paths]
    denoiser, encoder, decoder = (describe(header) for header in headers)
    _check_part("diffusion_model", paths[0], denoiser, Part.DENOISER)
    _check_part("text_encoder", paths[1], encoder, Part.TEXT_ENCODER)
    _check_part("vae", paths[2], decoder, Part.VAE, Part.TINY_AUTOENCODER)
    family = denoiser.family
    if family is None:
        raise ModelMismatchError(
            f"{paths[0]} is {denoiser.title}, which cannot be drawn with yet; FLUX.2 Klein and Z-Image can"
        )
    _check_encoder(family, denoiser, encoder, paths)
    if decoder.latent_channels != family.vae_channels:
        raise ModelMismatchError(
            f"{paths[2]} is {decoder.title}, and {family.title} needs the one with {family.vae_channels} "
            f"({family.vae_name})"
        )
    tiny = decoder.part is Part.TINY_AUTOENCODER
    return ModelFiles(paths[0], paths[1], paths[2], family, denoiser.context_width, vae_is_tiny=tiny)


_ARGUMENTS = {
    Part.DENOISER: "diffusion_model",
    Part.TEXT_ENCODER: "text_encoder",
    Part.VAE: "vae",
    Part.TINY_AUTOENCODER: "vae",
}


def _check_path(path: Path) -> None:
    try:
        encoded = str(path).encode("utf-8")
    except UnicodeEncodeError:
        raise ModelLoadError(f"the path {str(path)!r} cannot be written as UTF-8; rename the file") from None
    if b"\0" in encoded:
        raise ModelLoadError(f"the path {str(path)!r} contains a NUL character")


def _check_part(argument: str, path: Path, described: Described, *wanted: Part) -> None:
    if described.part in wanted:
        return
    message = f"{path} was given as {argument}, but it is {described.title}"
    right = _ARGUMENTS.get(described.part)
    if right is not None:
        message += f"; give it as {right}"
    raise ModelMismatchError(message)


def _check_encoder(family: Family, denoiser: Described, encoder: Described, paths: list[Path]) -> None:
    width = encoder.hidden_size * family.context_layers
    if width != denoiser.context_width:
        needed = denoiser.context_width // family.context_layers
        hint = {2560: "Qwen3-4B", 4096: "Qwen3-8B"}.get(needed, f"a Qwen3 of hidden size {needed}")
        raise ModelMismatchError(
            f"{paths[1]} has hidden size {encoder.hidden_size}, and {paths[0]} was trained with an encoder of hidden "
            f"size {needed}; get {hint}"
        )
    if encoder.layers < family.encoder_layers:
        raise ModelMismatchError(
            f"{paths[1]} has {encoder.layers} layers, and {family.title} reads the state after layer "
            f"{family.encoder_layers}; get the full Qwen3-4B"
        )


def _without_prefix(name: str) -> str:
    for prefix in _PREFIXES:
        if name.startswith(prefix):
            return name[len(prefix) :]
    return name


def _last_extent(tensors: Mapping[str, TensorInfo], name: str) -> int:
    tensor = tensors.get(name)
    return tensor.shape[-1] if tensor is not None and tensor.shape else 0


def _as_lora(tensors: Mapping[str, TensorInfo]) -> Described | None:
    if any(".lora_" in name or name.startswith("lora_") for name in tensors):
        return Described(Part.LORA, Part.LORA.value)
    return None


def _as_denoiser(tensors: Mapping[str, TensorInfo]) -> Described | None:
    if "double_stream_modulation_img.lin.weight" in tensors:
        context = _last_extent(tensors, "txt_in.weight")
        if "single_blocks.47.linear1.weight" in tensors:
            return Described(Part.DENOISER, "the FLUX.2 dev denoiser", None, context)
        # The engine divides by the number of heads, which it takes from one of these.
        norms = ("single_blocks.0.norm.key_norm.scale", "double_blocks.0.txt_attn.norm.key_norm.scale")
        head = next((_last_extent(tensors, name) for name in norms if name in tensors), 0)
        if not 0 < head <= tensors["double_stream_modulation_img.lin.weight"].shape[-1]:
            return Described(Part.UNKNOWN, "a part of a FLUX.2 denoiser")
        return Described(Part.DENOISER, "the FLUX.2 Klein denoiser", FLUX2_KLEIN, context)
    if "cap_embedder.0.weight" in tensors:
        context = _last_extent(tensors, "cap_embedder.1.weight")
        return Described(Part.DENOISER, "the Z-Image denoiser", Z_IMAGE, context)
    for name, title in (
        ("double_blocks.0.img_attn.qkv.weight", "the FLUX.1 denoiser"),
        ("joint_blocks.0.x_block.attn.qkv.weight", "the Stable Diffusion 3 denoiser"),
        ("transformer_blocks.0.img_mod.1.weight", "the Qwen-Image denoiser"),
        ("input_blocks.0.0.weight", "a Stable Diffusion UNet"),
        ("transformer_blocks.0.attn.to_q.weight", "a denoiser in the diffusers format"),
    ):
        if name in tensors:
            return Described(Part.DENOISER, title)
    return None


def _as_text_encoder(tensors: Mapping[str, TensorInfo]) -> Described | None:
    for table, layer in (
        ("token_embd.weight", "blk.{}.attn_norm.weight"),
        ("model.embed_tokens.weight", "model.layers.{}.input_layernorm.weight"),
    ):
        if table in tensors:
            layers = 0
            while layer.format(layers) in tensors:
                layers += 1
            return Described(
                Part.TEXT_ENCODER, "a text encoder", hidden_size=_last_extent(tensors, table), layers=layers
            )
    for name, title in (
        ("text_model.embeddings.token_embedding.weight", "a CLIP text encoder"),
        ("shared.weight", "a T5 text encoder"),
    ):
        if name in tensors:
            return Described(Part.TEXT_ENCODER, title)
    return None


def _as_vae(tensors: Mapping[str, TensorInfo]) -> Described | None:
    first = tensors.get("decoder.conv_in.weight")
    if first is not None and len(first.shape) == 4:
        return Described(Part.VAE, f"a VAE with {first.shape[1]} latent channels", latent_channels=first.shape[1])
    first = tensors.get("decoder.layers.0.weight")
    if first is not None and len(first.shape) == 4:
        title = f"{Part.TINY_AUTOENCODER.value} with {first.shape[1]} latent channels"
        return Described(Part.TINY_AUTOENCODER, title, latent_channels=first.shape[1])
    if any(name.startswith(("decoder.1.", "taesd_decoder.")) for name in tensors):
        return Described(Part.UNKNOWN, "a tiny autoencoder (TAESD) in other names than diffusers', which are not read")
    return None
