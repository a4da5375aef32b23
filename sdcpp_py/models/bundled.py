"""The models that lie inside the package."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sdcpp_py.errors import ModelNotFoundError
from sdcpp_py.models.families import TrainedOn

TINY = "tiny"
"""The model that draws where none is named: simple shapes, as its card in ``tiny/README.md`` says."""

TRAINED_ON = TrainedOn(
    96, 192,
    frozenset({"circle", "disc", "disk", "square", "box", "triangle", "diamond", "rhombus", "star", "cross", "plus"}),
)  # fmt: skip
"""Its bounds, as its card says."""

_FOLDER = Path(__file__).parents[1]


@dataclass(frozen=True)
class BundledFiles:
    """The three files of a model, as ``Generator`` takes them."""

    diffusion_model: Path
    text_encoder: Path
    vae: Path


_FILES = {TINY: ("denoiser.gguf", "qwen3.gguf", "autoencoder.safetensors")}


def bundled_files(name: str) -> BundledFiles:
    """The files of a model inside the package.

    Raises:
        ModelNotFoundError: no model in the package has this name.
    """
    if name not in _FILES:
        known = ", ".join(sorted(_FILES))
        raise ModelNotFoundError(
            f"no model in the package is called {name!r} ({known} is); open downloaded files with "
            "Generator(diffusion_model, text_encoder, vae)"
        )
    return BundledFiles(*(_FOLDER / name / file for file in _FILES[name]))
