"""Naming LoRAs, ControlNets and upscalers, and what they were made for, from their tensors."""

from __future__ import annotations

import re
from collections.abc import Iterable

from sdcpp_py.models.detect import kinds
from sdcpp_py.models.detect.described import Described, Kind, Part, Tensors, count_of, extent

# The two halves of a pair: (ends of the half that reads, ends of the half that writes).
_READS = (".lora_down.weight", ".lora_A.weight", ".lora_A.default.weight", "_lora.down.weight", ".lora.down.weight")
_WRITES = (".lora_up.weight", ".lora_B.weight", ".lora_B.default.weight", "_lora.up.weight", ".lora.up.weight")
_OF_LORAS = re.compile(r"\.lora[_.](?:down|up|mid|A|B)\b|_lora\.(?:down|up)\.|\.hada_w1_a$|\.lokr_w1(?:_a)?$")
_BLOCK = re.compile(r"(?:single_transformer_blocks|single_blocks)_(\d+)_")

# Of FLUX: layers, and what they write to what they read, in FLUX.1 and in FLUX.2.
_RATIOS = (
    (("linear1",), (7, 1), (9, 1)),
    (("linear2", "proj_out"), (1, 5), (1, 4)),
    (("img_mlp_0", "txt_mlp_0", "ff_net_0_proj", "ff_context_net_0_proj", "ff_linear_in"), (4, 1), (6, 1)),
    (("img_mlp_2", "txt_mlp_2", "ff_net_2", "ff_context_net_2", "ff_linear_out"), (1, 4), (1, 3)),
)


def as_adapter(tensors: Tensors) -> Described | None:
    """The LoRA, ControlNet or upscaler that these tensors make; None where they make none."""
    return _lora(tensors) or _controlnet(tensors) or _upscaler(tensors)


def _lora(tensors: Tensors) -> Described | None:
    if not any(name.startswith("lora_") or _OF_LORAS.search(name) for name in tensors):
        return None
    # With dots and underscores alike: each training program has names of its own.
    layers = {name: (reads, writes) for name, reads, writes in _layers(tensors)}
    plain = {name.replace(".", "_") for name in tensors}
    kind, hidden = _lora_kind(plain, layers)
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


def _lora_kind(names: set[str], layers: dict[str, tuple[int, int]]) -> tuple[Kind | None, int]:
    """What a LoRA was made for, and that denoiser's width; None and 0 where its layers do not tell."""

    def any_has(*pieces: str) -> bool:
        return any(piece in name for name in names for piece in pieces)

    if any_has("distilled_guidance_layer"):
        return kinds.CHROMA_KIND, 0
    if any_has("single_transformer_blocks_", "single_blocks_", "double_blocks_"):
        return _flux_kind(names, layers)
    if any_has("joint_blocks_"):
        return kinds.SD3_KIND, _reads(layers, "x_block_attn_qkv")
    if any_has("_img_mlp_net_", "_img_mod_1", "_txt_mlp_net_"):
        return kinds.QWEN_IMAGE_KIND, _reads(layers, "attn_to_q")
    if any_has("down_blocks_", "up_blocks_", "mid_block_", "input_blocks_", "output_blocks_", "middle_block_"):
        cross = _reads(layers, "attn2_to_k") or _reads(layers, "attn2_to_v")
        if any_has("lora_te2_", "text_encoder_2_"):
            cross = 2048
        return {768: kinds.SD1_KIND, 1024: kinds.SD2_KIND, 2048: kinds.SDXL_KIND}.get(cross), 0
    if any_has("_cross_attn_k", "_cross_attn_norm_k"):
        return kinds.WAN, 0
    if any_has("layers_0_attention_", "layers_0_feed_forward_", "layers_0_adaLN_modulation_"):
        return kinds.Z_IMAGE_KIND, _reads(layers, "attention_to_q") or _reads(layers, "attention_qkv")
    if any_has("transformer_blocks_"):
        hidden = _reads(layers, "attn_to_q") or _reads(layers, "attn_to_k")
        return {1536: kinds.SD3_KIND, 2432: kinds.SD3_KIND, 3072: kinds.QWEN_IMAGE_KIND}.get(hidden), hidden
    return None, 0


def _reads(layers: dict[str, tuple[int, int]], end: str) -> int:
    """How many values a layer reads whose name ends so; 0 where there is none."""
    return next((reads for name, (reads, _) in layers.items() if name.endswith(end)), 0)


def _flux_kind(names: set[str], layers: dict[str, tuple[int, int]]) -> tuple[Kind | None, int]:
    hidden = next(
        (
            _reads(layers, end)
            for end in ("attn_qkv", "attn_to_q", "linear1", "to_qkv_mlp_proj", "mlp_0")
            if _reads(layers, end)
        ),
        0,
    )
    for ends, first, second in _RATIOS:
        for name, (reads, writes) in layers.items():
            if reads and name.endswith(ends):
                width = hidden or min(reads, writes)
                if writes * first[1] == reads * first[0]:
                    return kinds.FLUX1_KIND, width
                if writes * second[1] == reads * second[0]:
                    return _flux2(width), width
    if any("to_qkv_mlp_proj" in name or "stream_modulation" in name for name in names):
        return _flux2(hidden), hidden
    if any(piece in name for name in names for piece in ("_img_mod_lin", "_txt_mod_lin", "modulation_lin", "proj_mlp")):
        return kinds.FLUX1_KIND, hidden
    if hidden > 3072:
        return _flux2(hidden), hidden
    last = max((int(number) for name in names for number in _BLOCK.findall(name)), default=0)
    # Klein 4B has 20 single blocks, FLUX.1 has 38.
    return (kinds.FLUX1_KIND if last >= 20 else kinds.KLEIN_KIND if hidden == 3072 and last else None), hidden


def _flux2(hidden: int) -> Kind:
    return kinds.FLUX2_DEV if hidden > 4096 else kinds.KLEIN_KIND


def _controlnet(tensors: Tensors) -> Described | None:
    plain = {name.removeprefix("control_model."): tensor for name, tensor in tensors.items()}
    original = "input_hint_block.0.weight" in plain or "zero_convs.0.0.weight" in plain
    tops = {name.partition(".")[0] for name in plain}
    diffusers = bool({"controlnet_cond_embedding", "controlnet_down_blocks"} & tops)
    kind: Kind | None = None
    if original or diffusers:
        cross = next((extent(plain, name) for name in plain if name.endswith("attn2.to_k.weight")), 0)
        kind = {768: kinds.SD1_KIND, 1024: kinds.SD2_KIND, 2048: kinds.SDXL_KIND}.get(cross)
    elif {"controlnet_blocks", "controlnet_x_embedder", "controlnet_single_blocks"} & tops:
        sd3 = "pos_embed_input" in tops or "pos_embed" in tops
        kind, diffusers = (kinds.SD3_KIND if sd3 else kinds.FLUX1_KIND), True
    elif "control_layers" in tops:
        kind, diffusers = kinds.Z_IMAGE_KIND, True
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
