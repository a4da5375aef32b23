"""ComfyUI's record: the graph that it ran (``prompt``), or the one in its editor (``workflow``).

A graph says how nodes are linked, and not what made a picture. That is read from the node that samples the
latent of the saved picture, and from those that it is linked to.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sdcpp_py.errors import MetadataError
from sdcpp_py.settings.foreign.comfyui_workflow import graph_of
from sdcpp_py.settings.foreign.graph import Graph, Node
from sdcpp_py.settings.record import Record, plain_text

_LATENTS = ("latent_image", "samples", "latent", "latents", "optional_latent")
_MODELS = ("model", "base_model", "model1")
_MODEL_NAMES = ("ckpt_name", "unet_name", "gguf_name", "model_name")
# Nodes that pass on what is read from others, and change no pixel that would not be generated here.
_KNOWN = ("Reroute", "FluxGuidance", "CLIPSetLastLayer", "ModelSampling", "ConditioningZeroOut", "PrimitiveNode")
# Texts of an encoder: the whole prompt, or, where each encoder has one of its own, that of the strongest.
_TEXTS = ("text", "prompt", "t5xxl", "text_g", "clip_g", "text_l", "clip_l")


def is_graph(values: Mapping[str, Any]) -> bool:
    """Whether an object is a graph as ComfyUI runs it."""
    return bool(Graph.of_object(values).nodes)


def read_graph(values: Mapping[str, Any]) -> Record:
    """The record of the graph that was run. Raises MetadataError where no node samples a latent from a prompt."""
    return _read(Graph.of_object(values))


def read_workflow(values: Mapping[str, Any]) -> Record:
    """The record of the graph in the editor. Raises as ``read_graph`` does."""
    return _read(graph_of(values))


def _read(graph: Graph) -> Record:
    problems: list[str] = []
    output, sampler = _last_sampler(graph, problems)
    passes = [sampler, *_earlier(graph, sampler)]
    if len(passes) > 1:
        problems.append(f"it was generated in {len(passes)} passes, of which the first one's settings are taken")
    first = passes[-1]
    guider = graph.linked(first.inputs.get("guider")) or first
    record = Record({}, software="ComfyUI", problems=problems)
    _take_prompts(graph, guider, record)
    _take_sampling(graph, first, guider, record)
    _take_size(graph, first, record)
    _take_models(graph, guider, output, record)
    return record


def _samples(node: Node) -> bool:
    return any(node.has(name) for name in _LATENTS) and (
        node.has("steps", "cfg") or node.has("sigmas") or node.has("guider")
    )


def _last_sampler(graph: Graph, problems: list[str]) -> tuple[Node | None, Node]:
    """The node that saves the picture, where there is one, and the last that samples before it."""
    nodes = list(graph.nodes.values())
    outputs = [node for node in nodes if node.has("images") or node.kind.startswith("Save")]
    # A graph may show pictures on its way, beside the one that it saves.
    outputs.sort(key=lambda node: "save" not in node.kind.lower())
    found: list[tuple[Node | None, Node]] = []
    for output in outputs[:20]:
        ways = (node for value in output.inputs.values() for node in graph.walk(value, None) if _samples(node))
        sampler = next(ways, None)
        if sampler is not None and all(sampler is not other for _, other in found):
            found.append((output, sampler))
    if len(found) > 1 and "save" in found[1][0].kind.lower():  # type: ignore[union-attr]
        problems.append("its graph saves several pictures, of which the first one's settings are taken")
    found += [(None, node) for node in reversed(nodes) if not found and _samples(node)]
    if not found:
        raise MetadataError("in ComfyUI's graph no node samples a latent")
    return found[0]


def _earlier(graph: Graph, sampler: Node) -> list[Node]:
    """The nodes that sampled the latent before, the last first."""
    starts = (sampler.inputs.get(name) for name in _LATENTS)
    return [
        node
        for start in starts
        for node in graph.walk(start, _LATENTS)
        if _samples(node) and node is not sampler
    ]  # fmt: skip


def _take_prompts(graph: Graph, guider: Node, record: Record) -> None:
    for which, setting in (("positive", "prompt"), ("negative", "negative_prompt")):
        names = (which, "conditioning", "cond1", "conditioning_1", "conditioning_to", "conditioning_from")
        start = guider.inputs.get(which, guider.inputs.get("conditioning") if which == "positive" else None)
        for node in graph.walk(start, names):
            if node.kind == "ConditioningZeroOut":
                break
            text = _text_of(graph, node, which, record)
            if text is None:
                _say_unknown(node, record)
            if which == "positive" and node.has("guidance"):
                record.take_numbers({"guidance": graph.number(node.inputs["guidance"])}, {"guidance": "guidance"})
            if text is not None:
                record.settings[setting] = text
                _take_clip_skip(graph, node, record)
                break
    if "prompt" not in record.settings:
        raise MetadataError("in ComfyUI's graph no prompt can be made out")


def _say_unknown(node: Node, record: Record) -> None:
    """Says which node lies between the sampler and what is read for it, where such a node may change the picture."""
    problem = f"what its node {node.kind[:100]!r} did has no meaning here"
    if not node.kind.startswith(_KNOWN) and problem not in record.problems:
        record.problems.append(problem)


def _text_of(graph: Graph, node: Node, which: str, record: Record) -> str | None:
    """The text that a node encodes; None where it encodes none."""
    inputs = [node.inputs[name] for name in _TEXTS if node.has(name)]
    texts = [graph.text(value) for value in inputs if isinstance(value, str) or _leads_to_text(graph, value)]
    if isinstance(node.inputs.get(which), str):  # of a node that loads and encodes in one
        texts.append(node.inputs[which])
    if not texts:
        return None
    said = list(dict.fromkeys(text for text in texts if text))
    if len(said) > 1:
        record.problems.append(f"{node.kind} has a prompt for each encoder, of which the first is taken")
    return said[0] if said else ""


def _leads_to_text(graph: Graph, value: object) -> bool:
    node = graph.linked(value)
    return node is not None and bool(graph.text(value))


def _take_clip_skip(graph: Graph, encoder: Node, record: Record) -> None:
    for node in graph.walk(encoder.inputs.get("clip"), ("clip",)):
        layer = graph.number(node.inputs.get("stop_at_clip_layer"))
        if layer is not None:
            record.settings["clip_skip"] = -layer
            return


def _take_sampling(graph: Graph, sampler: Node, guider: Node, record: Record) -> None:
    noise = graph.linked(sampler.inputs.get("noise")) or sampler
    sigmas = next((node for node in graph.walk(sampler.inputs.get("sigmas"), ("sigmas",)) if node.has("steps")), None)
    steps = sigmas or sampler
    numbers = {
        "seed": noise.inputs.get("noise_seed", noise.inputs.get("seed")),
        "steps": steps.inputs.get("steps"),
        "cfg": guider.inputs.get("cfg", guider.inputs.get("cfg_conds")),
    }
    for name, value in numbers.items():
        # A guider without a scale guides not at all; the others are in every graph.
        if graph.number(value) is None and (value is not None or name != "cfg"):
            record.problems.append(f"its {name} cannot be made out")
    record.take_numbers(
        {name: graph.number(value) for name, value in numbers.items()},
        {"seed": "seed", "steps": "steps", "cfg": "cfg_scale"},
    )
    if sampler.has("sigmas") and sigmas is None:
        record.problems.append("its schedule of sigmas cannot be made out")
    chosen = graph.linked(sampler.inputs.get("sampler"))
    name = graph.text((chosen or sampler).inputs.get("sampler_name")) or (
        chosen.kind.removeprefix("Sampler") if chosen is not None else ""
    )
    scheduler = graph.text(steps.inputs.get("scheduler")) or (
        sigmas.kind.removesuffix("Scheduler") if sigmas is not None else ""
    )
    record.take_choices(name, scheduler)


def _take_size(graph: Graph, sampler: Node, record: Record) -> None:
    """The size of the latent that was begun with; of one that was made of a picture, the strength."""
    starts = [sampler.inputs.get(name) for name in _LATENTS]
    for node in (node for start in starts for node in graph.walk(start, _LATENTS)):
        if node.has("pixels") or node.has("image"):
            sigmas = graph.walk(sampler.inputs.get("sigmas"), ("sigmas",))
            denoise = next((step.inputs["denoise"] for step in [*sigmas, sampler] if step.has("denoise")), None)
            record.take_numbers({"denoise": graph.number(denoise)}, {"denoise": "strength"})
            record.problems.append("it began from a picture, which has to be given again")
            return
        for width, height in (("width", "height"), ("empty_latent_width", "empty_latent_height")):
            if node.has(width, height) and not node.has("samples"):
                size = {name: graph.number(node.inputs[name]) for name in (width, height)}
                record.take_numbers(size, {width: "width", height: "height"})
                return


def _take_models(graph: Graph, guider: Node, output: Node | None, record: Record) -> None:
    loras = []
    for node in graph.walk(next((guider.inputs[name] for name in _MODELS if guider.has(name)), None), _MODELS):
        if node.has("lora_name"):
            loras.append(plain_text(node.inputs["lora_name"])[:100])
        elif node.has("model") or not any(node.has(name) for name in _MODEL_NAMES):
            _say_unknown(node, record)
        found = [plain_text(node.inputs.get(name)) for name in _MODEL_NAMES]
        if any(found) and not node.has("model"):  # what changes a model may have a file of its own
            record.model["diffusion_model"] = next(filter(None, found))
            break
    record.say_loras(loras)
    for value in output.inputs.values() if output is not None else ():
        for node in graph.walk(value, ("images", "image", "samples", "vae")):
            if isinstance(node.inputs.get("vae_name"), str):
                record.model.setdefault("vae", node.inputs["vae_name"])
