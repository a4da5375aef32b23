"""How much arithmetic a picture takes: multiplications with additions, counted from the shapes of a model's weights."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from sdcpp_py.models.families.family import Family
from sdcpp_py.parts import ENCODERS
from sdcpp_py.synth import FAMILIES, MODELS, Tensor

_CLIP_TOKENS, _T5_TOKENS, _USUAL_TOKENS = 77, 256, 64

# Which weights of a transformer see what; those of neither see text and picture together. Names are those of the files.
_ONCE = re.compile(r"mod|adaLN|time_in|vector_in|guidance_in|[ty]_embedder|distilled_guidance|time_text|norm_out")
_TEXT = re.compile(r"txt|context_block|context_refiner|context_embedder|cap_embedder|add_[qkv]_proj|to_add_out")
_PICTURE = re.compile(r"img|x_block|x_embedder|noise_refiner|proj_out|final_layer|attn\.to_")
# The last product of an attention, by which it is counted.
_ATTENTION = re.compile(
    r"(img_attn\.proj|single_blocks\.\d+\.linear2|attention\.out|attn\.to_out\.0|x_block\.attn2?\.proj)\.w"
)
_TABLES = re.compile(r"embed_tokens|token_emb|position|shared|^output\.|text_projection|rel_b")
_UNET = re.compile(r"(input|middle|output)_blocks?\.(\d+)\.")
_UP = re.compile(r"decoder\.up\.(\d+)\.|decoder\.upsamples\.(\d+)\.")


@dataclass(frozen=True)
class Work:
    """Multiplications with additions of one phase.

    Attributes:
        products: with matrices of weights.
        attention: of tokens with tokens.
        convolutions: with kernels larger than one pixel.
    """

    products: float = 0.0
    attention: float = 0.0
    convolutions: float = 0.0

    def __add__(self, other: Work) -> Work:
        return Work(
            self.products + other.products,
            self.attention + other.attention,
            self.convolutions + other.convolutions,
        )

    def times(self, factor: float) -> Work:
        """So many times the work."""
        return Work(self.products * factor, self.attention * factor, self.convolutions * factor)


@dataclass(frozen=True)
class PictureWork:
    """What a picture takes: encoding a prompt, one pass through the denoiser, and decoding."""

    encode: Work
    step: Work
    decode: Work


def picture_work(shape: str, family: Family, size: int) -> PictureWork:
    """The work of a square picture.

    Args:
        shape: one of ``synth.FAMILIES``.
        family: what such models are.
        size: the edge, in pixels.
    """
    encode = step = decode = Work()
    text = _text_tokens(family)
    for role, name in FAMILIES[shape].items():
        tensors = [tensor for tensor in MODELS[name].tensors() if len(tensor.shape) > 1]
        denoiser, vae, encoder = _parts(role, tensors)
        encode += _encoding(encoder, family, text)
        if any("input_blocks" in tensor.name for tensor in denoiser):
            step += _unet(denoiser, size // family.pixels_per_latent)
        else:
            step += _transformer(denoiser, (size // family.size_multiple) ** 2, text)
        decode += _decoding(vae, size)
    return PictureWork(encode, step, decode)


def _parts(role: str, tensors: list[Tensor]) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
    """The tensors of denoiser, VAE and text encoder in a file."""
    if role != "model":
        return (
            tensors if role == "diffusion_model" else [],
            tensors if role == "vae" else [],
            tensors if role in ENCODERS else [],
        )
    denoiser = [tensor for tensor in tensors if tensor.name.startswith("model.diffusion_model.")]
    vae = [tensor for tensor in tensors if tensor.name.startswith("first_stage_model.")]
    others = {tensor.name for tensor in (*denoiser, *vae)}
    return denoiser, vae, [tensor for tensor in tensors if tensor.name not in others]


def _text_tokens(family: Family) -> int:
    if family.context_tokens:
        return family.context_tokens
    if "t5xxl" in family.encoders:
        return _T5_TOKENS
    return _USUAL_TOKENS if "llm" in family.encoders else _CLIP_TOKENS


def _encoding(tensors: Iterable[Tensor], family: Family, tokens: int) -> Work:
    matrices = [tensor for tensor in tensors if not _TABLES.search(tensor.name)]
    layers = {found[1] for tensor in matrices if (found := re.match(r"blk\.(\d+)\.", tensor.name))}
    model = family.language_model
    read = min(1.0, model.layers / len(layers)) if model and layers else 1.0
    return Work(products=read * tokens * sum(tensor.elements for tensor in matrices))


def _transformer(tensors: Iterable[Tensor], picture: int, text: int) -> Work:
    products = attention = 0.0
    for tensor in tensors:
        name, seen = tensor.name, picture + text
        if _ONCE.search(name):
            seen = 1
        elif _TEXT.search(name):
            seen = text
        elif _PICTURE.search(name):
            seen = picture
        products += seen * tensor.elements
        if _ATTENTION.search(name):
            alone = {"context_refiner": text, "noise_refiner": picture}.get(name.partition(".")[0])
            attention += 2 * (alone or picture + text) ** 2 * tensor.shape[0]
    return Work(products, attention)


def _unet(tensors: list[Tensor], edge: int) -> Work:
    levels = max(_level_in(int(found[2])) for tensor in tensors if (found := _UNET.search(tensor.name)))
    work = Work()
    for tensor in tensors:
        found = _UNET.search(tensor.name)
        if found is None:
            level = 0
        elif found[1] == "input":
            level = _level_in(int(found[2])) + tensor.name.endswith(".op.weight")
        else:
            level = levels if found[1] == "middle" else levels - int(found[2]) // 3
            # The convolution that follows a doubling of the size sees the doubled one.
            level -= found[1] == "output" and re.search(r"\.[12]\.conv\.weight$", tensor.name) is not None
        cells = (edge / 2**level) ** 2
        once = "emb" in tensor.name
        across = 2 * _CLIP_TOKENS if "attn2" in tensor.name else 2 * cells
        seen = 1 if once else _CLIP_TOKENS if re.search(r"attn2\.to_[kv]", tensor.name) else cells
        work += _layer(tensor, seen)
        if "to_out.0.weight" in tensor.name:
            work += Work(attention=cells * across * tensor.shape[0])
    return work


def _level_in(block: int) -> int:
    """The scale of a block of a U-Net's first half: three numbers each, after the first."""
    return max(0, (block - 1) // 3)


def _decoding(tensors: Iterable[Tensor], size: int) -> Work:
    work = Work()
    for tensor in tensors:
        name = tensor.name
        if "decoder" not in name or ".layers." in name:
            # A tiny autoencoder computes next to nothing.
            continue
        found = _UP.search(name)
        pixels = (size / 8) ** 2
        if found and found[1]:
            level = int(found[1]) - ("upsample.conv" in name)
            pixels = (size / 2**level) ** 2
        elif found:
            # Three residual blocks at each scale and a doubling behind them, smallest first.
            level = 3 - int(found[2]) // 4 - ("resample" in name)
            pixels = (size / 2**level) ** 2
        elif re.search(r"norm_out|decoder\.conv_out|head", name):
            pixels = size**2
        work += _layer(tensor, pixels)
        if re.search(r"attn_1\.proj_out|middle\.1\.proj", name):
            work += Work(attention=2 * pixels**2 * tensor.shape[0])
    return work


def _layer(tensor: Tensor, seen: float) -> Work:
    spreads = len(tensor.shape) > 2 and tensor.shape[-1] > 1
    return Work(convolutions=seen * tensor.elements) if spreads else Work(products=seen * tensor.elements)
