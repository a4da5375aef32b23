"""Messages as plain text and arrays. Nothing of them is executed: a model file may have corrupted who wrote them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sdcpp_py._native.requests import (
    AdaptRequest,
    DecodeRequest,
    DenoiseRequest,
    EncodePictureRequest,
    EncodeRequest,
    FaultRequest,
    FindLayersRequest,
    Movement,
    MoveRequest,
    OpenRequest,
    Request,
)

Message = Mapping[str, Any]
"""By words: None, numbers, strings, paths, arrays, requests, and sequences and mappings of these."""

_REQUESTS: Mapping[str, type[Any]] = {
    kind.__name__: kind
    for kind in (
        OpenRequest, MoveRequest, EncodeRequest, EncodePictureRequest, DenoiseRequest, DecodeRequest, FaultRequest,
        FindLayersRequest, AdaptRequest,
    )
}  # fmt: skip
_DTYPES = ("float32", "int32", "uint8")


def written(message: Message) -> tuple[str, list[NDArray[Any]]]:
    """A message as text, and the arrays in it, in order, contiguous."""
    arrays: list[NDArray[Any]] = []
    return json.dumps(_plain(message, arrays)), arrays


def read(text: str, arrays: list[NDArray[Any]]) -> Message:
    """The message that was written so; its sequences are tuples."""
    message = _whole(json.loads(text), arrays)
    if not isinstance(message, dict):
        raise ValueError(f"a message is no mapping but {type(message).__name__}")
    return message


def shape_of(array: NDArray[Any]) -> list[Any]:
    """Type and shape of an array, for ``empty``."""
    return [array.dtype.name, *array.shape]


def empty(described: list[Any]) -> NDArray[Any]:
    """An array of that type and shape, to be filled."""
    dtype, *shape = described
    if dtype not in _DTYPES:
        raise ValueError(f"a message has an array of {dtype!r}")
    return np.empty(shape, dtype)


def _plain(value: Any, arrays: list[NDArray[Any]]) -> Any:
    if isinstance(value, Movement):
        return {"movement": int(value)}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, np.ndarray):
        arrays.append(np.ascontiguousarray(value))
        return {"array": len(arrays) - 1}
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Path):
        return {"path": str(value)}
    if isinstance(value, Request):
        given = {field.name: getattr(value, field.name) for field in fields(value)}  # type: ignore[arg-type]
        return {"request": type(value).__name__, "of": _plain(given, arrays)}
    if isinstance(value, Mapping):
        return {"map": [[key, _plain(one, arrays)] for key, one in value.items()]}
    if isinstance(value, Iterable):
        return [_plain(one, arrays) for one in value]
    raise TypeError(f"a message cannot hold {type(value).__name__}")


def _whole(value: Any, arrays: list[NDArray[Any]]) -> Any:
    if isinstance(value, list):
        return tuple(_whole(one, arrays) for one in value)
    if not isinstance(value, dict):
        return value
    if "map" in value:
        return {key: _whole(one, arrays) for key, one in value["map"]}
    if "array" in value:
        return arrays[value["array"]]
    if "path" in value:
        return Path(value["path"])
    if "movement" in value:
        return Movement(value["movement"])
    return _REQUESTS[value["request"]](**_whole(value["of"], arrays))
