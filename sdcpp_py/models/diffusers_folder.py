"""A folder of diffusers: which of the folders inside it is which part of a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sdcpp_py.errors import ModelLoadError, ModelNotFoundError
from sdcpp_py.models.detect.shards import PIPELINE, pipeline_of, read_json
from sdcpp_py.models.local_paths import is_folder
from sdcpp_py.system.paths import StrPath, absolute

_DENOISERS = ("transformer", "unet")
_ENCODERS = ("text_encoder", "text_encoder_2", "text_encoder_3")
_VAE = "vae"


@dataclass(frozen=True)
class PipelineParts:
    """The folders with weights in a pipeline's folder.

    Attributes:
        pipeline: the name of its class.
        denoiser, vae: the folders of those; None where there is none.
        encoders: those of its text encoders.
    """

    pipeline: str
    denoiser: Path | None
    encoders: tuple[Path, ...]
    vae: Path | None


def is_pipeline(path: StrPath | None) -> bool:
    """Whether a path is the folder of a whole pipeline."""
    return path is not None and bool(pipeline_of(absolute(path)))


def parts_of(folder: StrPath) -> PipelineParts:
    """The parts of a pipeline's folder.

    Raises:
        ModelLoadError: it names no denoiser.
        ModelNotFoundError: a part that it names is not there.
    """
    path = absolute(folder)
    content = read_json(path / PIPELINE)  # as pipeline_of has done
    denoiser = next((place for name in _DENOISERS if (place := _part(path, content, name))), None)
    if denoiser is None:
        raise ModelLoadError(f"{path / PIPELINE} names no {' and no '.join(_DENOISERS)}; it is no model of pictures")
    encoders = tuple(place for name in _ENCODERS if (place := _part(path, content, name)))
    return PipelineParts(str(content["_class_name"]), denoiser, encoders, _part(path, content, _VAE))


def _part(folder: Path, content: Mapping[str, object], name: str) -> Path | None:
    """The folder of a part; None where the pipeline has none. It is [library, class], or nulls where left out."""
    told = content.get(name)
    if not isinstance(told, list) or not any(told):
        return None
    if not is_folder(folder / name):
        raise ModelNotFoundError(
            f"{folder / PIPELINE} names the part '{name}', and {folder} has no folder of that name; "
            "download it into the same folder"
        )
    return folder / name
