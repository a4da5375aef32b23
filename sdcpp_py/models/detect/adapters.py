"""Naming LoRAs, ControlNets and upscalers, and what they were made for, from their tensors."""

from __future__ import annotations

import re
from collections.abc import Iterable

from sdcpp_py.models.detect import kinds
from sdcpp_py.models.detect.described import Described, Kind, Part
from sdcpp_py.models.families import FAMILIES, FLUX1, SD1, SD2, SD3, SDXL, Z_IMAGE
from sdcpp_py.models.families.flux import lora_of_flux
from sdcpp_py.models.families.traits import LoraLayers
from sdcpp_py.models.tensors import Tensors, count_of, extent

# The two halves of a pair: (ends of the half that reads, ends of the half that writes).
_READS = (".lora_down.weight", ".lora_A.weight", ".lora_A.default.weight", "_lora.down.weight", ".lora.down.weight")
_WRITES = (".lora_up.weight", ".lora_B.weight", ".lora_B.default.weight", "_lora.up.weight", ".lora.up.weight")
_OF_LORAS = re.compile(r"\.lora[_.](?:down|up|mid|A|B)\b|_lora\.(?:down|up)\.|\.hada_w1_a$|\.lokr_w1(?:_a)?$")
# ControlNets for U-Nets, by the width of the text states that these read.
_OF_UNETS = {768: Kind.of(SD1), 1024: Kind.of(SD2), 2048: Kind.of(SDXL)}


def as_adapter(tensors: Tensors) -> Described | None:
    """The LoRA, ControlNet or upscaler that these tensors make; None where they make none."""
    return _lora(tensors) or _controlnet(tensors) or _upscaler(tensors)


def _lora(tensors: Tensors) -> Described | None:
    if not any(name.startswith("lora_") or _OF_LORAS.search(name) for name in tensors):
        return None
    layers = {name: (reads, writes) for name, reads, writes in _layers(tensors)}
    lora = LoraLayers(frozenset(name.replace(".", "_") for name in tensors), layers)
    kind, hidden = _lora_kind(lora)
    title = Part.LORA.value if kind is None else f"{Part.LORA.value} for {kind.title}"
    return Described(Part.LORA, title, kind, hidden_size=hidden)


def _layers(tensors: Tensors) -> Iterable[tuple[str, int, int]]:
    """Each layer that a LoRA changes: its name, how many values it reads, and how many it writes."""
    for name in tensors:
        for reads, writes in zip(_READS, _WRITES, strict=True):
            if name.endswith(reads):
                base = name[: -len(reads)]
                yield base.replace(".", "_"), extent(tensors, name, 1), extent(tensors, base + writes, 0)
                break


def _lora_kind(lora: LoraLayers) -> tuple[Kind | None, int]:
    """What a LoRA was made for, and that denoiser's width; None and 0 where its layers do not tell."""
    for family in FAMILIES:
        width = family.recognise_lora(lora)
        if width is not None:
            return Kind.of(family), width
    generation, width = lora_of_flux(lora)
    if generation == 2:
        return kinds.FLUX2_DEV, width
    if lora.any_has("_cross_attn_k", "_cross_attn_norm_k") and not lora.of_unet:
        return kinds.WAN, 0
    return None, width


def _controlnet(tensors: Tensors) -> Described | None:
    plain = {name.removeprefix("control_model."): tensor for name, tensor in tensors.items()}
    original = "input_hint_block.0.weight" in plain or "zero_convs.0.0.weight" in plain
    tops = {name.partition(".")[0] for name in plain}
    diffusers = bool({"controlnet_cond_embedding", "controlnet_down_blocks"} & tops)
    kind: Kind | None = None
    if original or diffusers:
        cross = next((extent(plain, name) for name in plain if name.endswith("attn2.to_k.weight")), 0)
        kind = _OF_UNETS.get(cross)
    elif {"controlnet_blocks", "controlnet_x_embedder", "controlnet_single_blocks"} & tops:
        sd3 = "pos_embed_input" in tops or "pos_embed" in tops
        kind, diffusers = Kind.of(SD3 if sd3 else FLUX1), True
    elif "control_layers" in tops:
        kind, diffusers = Kind.of(Z_IMAGE), True
    else:
        return None
    title = Part.CONTROLNET.value if kind is None else f"{Part.CONTROLNET.value} for {kind.title}"
    return Described(Part.CONTROLNET, title, kind, foreign=diffusers)


def _upscaler(tensors: Tensors) -> Described | None:
    if "body.0.rdb1.conv1.weight" in tensors:
        scale = 4 if "conv_up2.weight" in tensors else 2 if "conv_up1.weight" in tensors else 1
        blocks = count_of(tensors, "body.{}.rdb1.conv1.weight")
    elif "model.1.sub.0.RDB1.conv1.0.weight" in tensors:
        last = max(int(name.split(".")[1]) for name in tensors if re.match(r"model\.\d+\.", name))
        scale = 1 if last <= 4 else 2 if last <= 7 else 4
        blocks = count_of(tensors, "model.1.sub.{}.RDB1.conv1.0.weight")
    elif "body.0.weight" in tensors and "body.1.weight" in tensors and extent(tensors, "body.0.weight", 1) == 3:
        return Described(Part.UNKNOWN, "an upscaler of another make than ESRGAN (SRVGG), which cannot be run")
    else:
        return None
    return Described(Part.UPSCALER, f"{Part.UPSCALER.value} (ESRGAN, {blocks} blocks, {scale} times)", layers=blocks)
