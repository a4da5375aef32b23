"""Reading the settings that programs with records of their own leave in pictures: one room for each.

All of them are JSON of who knows whom. A reader takes what has a meaning here, says the rest, and raises MetadataError
alone; values are not checked here, but where all settings are.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

from sdcpp_py.errors import MetadataError
from sdcpp_py.settings.foreign import comfyui, fooocus, invokeai, novelai
from sdcpp_py.settings.record import Record, json_object

Reader = Callable[[Mapping[str, str]], Record | None]
"""Reads a record out of a picture's texts; None where its own text is somebody else's."""


def is_object(text: str) -> bool:
    """Whether a text is a JSON object: a prompt may begin with a brace, too."""
    if text.lstrip()[:1] != "{" or text.rstrip()[-1:] != "}":
        return False
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False


def read_object(text: str, around: Mapping[str, str] | None = None) -> Record:
    """The record of a JSON object that stands where several programs put theirs. Raises MetadataError.

    ``around``: the picture's other texts.
    """
    values = json_object(text, "another program")
    if novelai.is_own(values):
        return novelai.read(values, around or {})
    if fooocus.is_own(values):
        return fooocus.read(values)
    if comfyui.is_graph(values):
        return comfyui.read_graph(values)
    raise MetadataError("the JSON text in the picture is of no program that is known here")


READERS: tuple[tuple[str, Reader], ...] = (
    ("invokeai_metadata", lambda texts: invokeai.read(json_object(texts["invokeai_metadata"], "InvokeAI"))),
    ("Comment", lambda texts: read_object(texts["Comment"], texts) if is_object(texts["Comment"]) else None),
    ("prompt", lambda texts: comfyui.read_graph(json_object(texts["prompt"], "ComfyUI"))),
    ("workflow", lambda texts: comfyui.read_workflow(json_object(texts["workflow"], "ComfyUI"))),
)
"""The texts that these programs write, by their names, the most exact first."""
