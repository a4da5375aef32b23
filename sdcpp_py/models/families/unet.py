"""What the families with a U-Net have in common: Stable Diffusion 1, 2 and XL, and what was distilled from them."""

from __future__ import annotations

from sdcpp_py.models.families.traits import DenoiserTensors, DenoiserTraits, LoraLayers

PLAIN_INPUTS = 4
"""Channels that go into a U-Net: a latent's. Others read a mask or a picture beside it."""

_ATTENTION = "attn2.to_k.weight"
_IN = "input_blocks.0.0.weight"


def context_width(seen: DenoiserTensors) -> int:
    """Width of the text states that a U-Net reads."""
    return seen.found(_ATTENTION)


def is_xl(seen: DenoiserTensors) -> bool:
    """Whether the engine takes a U-Net for one of Stable Diffusion XL's kin."""
    return seen.two_encoders or (not seen.token_width and context_width(seen) == 2048)


def is_unet(seen: DenoiserTensors, width: int) -> bool:
    """Whether this is a U-Net in the original names that reads text states of that width: 768, 1024 or 2048 (XL)."""
    if "input_blocks" not in seen.tops or "input_blocks.8.0.time_mixer.mix_factor" in seen:
        return False  # the second is Stable Video Diffusion
    if is_xl(seen):
        return width == 2048
    if "label_emb" in seen.tops and context_width(seen) == 1280:
        return False  # the refiner of XL
    return (seen.token_width or context_width(seen)) == width


def inputs(seen: DenoiserTensors) -> int:
    """Channels that go into a U-Net: 4, 8 with a picture beside the latent, 9 with a mask too."""
    return seen.extent(_IN, 1)


def has_middle(seen: DenoiserTensors) -> bool:
    """Whether a U-Net attends in its middle block, in either names; what was distilled to fewer blocks does not."""
    return seen.has("middle_block.1.") or seen.has("mid_block.attentions.")


def traits(seen: DenoiserTensors) -> DenoiserTraits:
    """The traits of a U-Net in the original names."""
    return DenoiserTraits(context_width(seen) or seen.token_width, seen.extent(_IN, 0))


def traits_in_diffusers(seen: DenoiserTensors) -> DenoiserTraits | None:
    """The traits of a U-Net in the names of the diffusers format; None where it is none."""
    if not {"down_blocks", "up_blocks"} <= seen.tops or not seen.extent("conv_in.weight", 1):
        return None
    return DenoiserTraits(context_width(seen), seen.extent("conv_in.weight", 0))


def lora_width(lora: LoraLayers) -> int:
    """Width of the text states that the U-Net reads for which a LoRA was made; 0 where it is not told."""
    if not lora.of_unet or lora.of_flux:
        return 0
    if lora.any_has("lora_te2_", "text_encoder_2_"):
        return 2048
    return lora.reads("attn2_to_k", "attn2_to_v")
