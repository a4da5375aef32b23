"""The model files that can be written, by name."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from sdcpp_py.synth import shapes_tiny, shapes_true
from sdcpp_py.synth.models import ModelShape

MODELS: Mapping[str, ModelShape] = MappingProxyType(
    {shape.name: shape for shape in (*shapes_true.SHAPES, *shapes_tiny.SHAPES)}
)


def model_named(name: str) -> ModelShape:
    """The model of that name.

    Raises:
        ValueError: there is none; the message lists all.
    """
    if name not in MODELS:
        raise ValueError(f"there is no synthetic model {name!r}; choose one of {', '.join(MODELS)}")
    return MODELS[name]
