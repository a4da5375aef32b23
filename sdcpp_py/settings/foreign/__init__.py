"""Reading the settings that programs with records of their own leave in pictures: one room for each.

All of them are JSON of who knows whom. A reader takes what has a meaning here, says the rest, and raises MetadataError
alone; values are not checked here, but where all settings are.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from sdcpp_py.errors import MetadataError
from sdcpp_py.settings.foreign import comfyui, fooocus, invokeai, novelai
from sdcpp_py.settings.record import Record, json_object

Reader = Callable[[Mapping[str, str]], Record | None]
"""Reads a record out of a picture's texts; None where its own text is somebody else's."""


def object_of(text: str) -> dict[str, Any] | None:
    """The JSON object that a text is; None where it is something else: a prompt may begin with a brace, too."""
    if text.lstrip()[:1] != "{" or text.rstrip()[-1:] != "}":
        return None
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return values if isinstance(values, dict) else None


def read_object(values: dict[str, Any], around: Mapping[str, str] | None = None) -> Record:
    """The record of a JSON object that stands where several programs put theirs. Raises MetadataError.

    ``around``: the picture's other texts.
    """
    if novelai.is_own(values):
        return novelai.read(values, around or {})
    if fooocus.is_own(values):
        return fooocus.read(values)
    if comfyui.is_graph(values):
        return comfyui.read_graph(values)
    raise MetadataError("the JSON text in the picture is of no program that is known here")


def _in_comment(texts: Mapping[str, str]) -> Record | None:
    values = object_of(texts["Comment"])
    return None if values is None else read_object(values, texts)


READERS: tuple[tuple[str, Reader], ...] = (
    ("invokeai_metadata", lambda texts: invokeai.read(json_object(texts["invokeai_metadata"], "InvokeAI"))),
    ("Comment", _in_comment),
    ("prompt", lambda texts: comfyui.read_graph(json_object(texts["prompt"], "ComfyUI"))),
    ("workflow", lambda texts: comfyui.read_workflow(json_object(texts["workflow"], "ComfyUI"))),
)
"""The texts that these programs write, by their names, the most exact first."""
