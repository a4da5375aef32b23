"""ComfyUI's ``workflow``, the graph as its editor keeps it, brought into the form that ComfyUI runs.

There the values of a node are a row without names; which is which is known of ComfyUI's own nodes alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sdcpp_py.settings.foreign.graph import Graph, Node
from sdcpp_py.settings.record import table

# After a seed, the editor keeps what becomes of it with the next picture.
_AFTER = "control_after_generate"
_SIZE = ("width", "height", "batch_size")
_WIDGETS: Mapping[str, tuple[str, ...]] = {
    "KSampler": ("seed", _AFTER, "steps", "cfg", "sampler_name", "scheduler", "denoise"),
    "KSamplerAdvanced": (
        "add_noise", "noise_seed", _AFTER, "steps", "cfg", "sampler_name", "scheduler", "start_at_step", "end_at_step",
    ),
    "SamplerCustom": ("add_noise", "noise_seed", _AFTER, "cfg"),
    "RandomNoise": ("noise_seed", _AFTER),
    "KSamplerSelect": ("sampler_name",),
    "BasicScheduler": ("scheduler", "steps", "denoise"),
    "KarrasScheduler": ("steps",),
    "ExponentialScheduler": ("steps",),
    "AlignYourStepsScheduler": ("model_type", "steps", "denoise"),
    "SDTurboScheduler": ("steps", "denoise"),
    "Flux2Scheduler": ("steps", "width", "height"),
    "CFGGuider": ("cfg",),
    "FluxGuidance": ("guidance",),
    "CLIPTextEncode": ("text",),
    "CLIPTextEncodeFlux": ("clip_l", "t5xxl", "guidance"),
    "CLIPTextEncodeSD3": ("clip_l", "clip_g", "t5xxl"),
    "CLIPTextEncodeSDXL": (
        "width", "height", "crop_w", "crop_h", "target_width", "target_height", "text_g", "text_l",
    ),
    "CLIPTextEncodeSDXLRefiner": ("ascore", "width", "height", "text"),
    "CLIPSetLastLayer": ("stop_at_clip_layer",),
    "EmptyLatentImage": _SIZE,
    "EmptySD3LatentImage": _SIZE,
    "EmptyFlux2LatentImage": _SIZE,
    "EmptyHunyuanLatentVideo": _SIZE,
    "CheckpointLoaderSimple": ("ckpt_name",),
    "UNETLoader": ("unet_name",),
    "UnetLoaderGGUF": ("unet_name",),
    "VAELoader": ("vae_name",),
    "LoraLoader": ("lora_name",),
    "LoraLoaderModelOnly": ("lora_name",),
    "SaveImage": ("filename_prefix",),
    "StringConcatenate": ("string_a", "string_b", "delimiter"),
}  # fmt: skip
_MUTED, _BYPASSED = 2, 4


def graph_of(values: Mapping[str, Any]) -> Graph:
    """The graph of an editor's JSON; what is damaged in it is left out."""
    links = dict(filter(None, map(_link, _rows(values.get("links")))))
    nodes = {}
    for row in _rows(values.get("nodes")):
        kind, mode = table(row).get("type"), table(row).get("mode")
        if not isinstance(kind, str) or mode == _MUTED:
            continue
        inputs: dict[str, Any] = {} if mode == _BYPASSED else _values(kind, row.get("widgets_values"))
        for one in _rows(row.get("inputs")):
            name, link = table(one).get("name"), table(one).get("link")
            if isinstance(name, str) and isinstance(link, (str, int)) and link in links:
                inputs[name] = links[link]
        nodes[str(row.get("id"))] = Node(kind, inputs)
    return Graph(nodes)


def _values(kind: str, values: object) -> dict[str, Any]:
    """What a node's widgets hold, by name; of a kind that is not known what it holds if that is one value."""
    if isinstance(values, dict):
        return dict(values)
    row = _rows(values)
    if kind in _WIDGETS:
        return {name: value for name, value in zip(_WIDGETS[kind], row, strict=False) if not isinstance(value, list)}
    # A primitive's second value is what becomes of the first one.
    return {"value": row[0]} if len(row) in (1, 2) and not isinstance(row[0], list) else {}


def _link(row: object) -> tuple[str | int, list[Any]] | None:
    """A link's number, and where it comes from; older editors keep it as a row, newer ones as an object too."""
    if isinstance(row, list) and len(row) > 2:
        number, node, slot = row[:3]
    else:
        number, node, slot = (table(row).get(name) for name in ("id", "origin_id", "origin_slot"))
    return (number, [node, slot]) if isinstance(number, (str, int)) and isinstance(node, (str, int)) else None


def _rows(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
