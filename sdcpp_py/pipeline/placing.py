"""What an engine is asked for when it opens a model whose parts have their places."""

from __future__ import annotations

from sdcpp_py._native.requests import OpenRequest
from sdcpp_py.memory.gpu_rules import gpu_paces, gpu_rules
from sdcpp_py.memory.placement import Placement
from sdcpp_py.models.files import ModelFiles
from sdcpp_py.parts import PARTS
from sdcpp_py.pipeline.options import PipelineOptions


def open_request(files: ModelFiles, placement: Placement, options: PipelineOptions) -> OpenRequest:
    """The request for a model's files, with the rules that hold for its GPUs and what is known of their paces."""
    devices = {part: placement[part].native_name for part in PARTS}
    rules = gpu_rules(placement, options.precision)
    directly = [part for part, rule in rules.items() if rule.direct_convolutions]
    in_float32 = [part for part, rule in rules.items() if rule.float32_sums]
    imported = [part for part, rule in rules.items() if rule.imported_weights]
    paces = gpu_paces(placement, rules)
    return OpenRequest(
        files.sources, devices, options.threads, directly, in_float32, imported, paces, files.arrangements
    )
