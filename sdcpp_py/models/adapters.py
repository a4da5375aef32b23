"""Refusing LoRAs, ControlNets and upscalers that do not go with a model."""

from __future__ import annotations

from pathlib import Path

from sdcpp_py.errors import ModelMismatchError
from sdcpp_py.models import suggestions
from sdcpp_py.models.arrangement import read_arranged
from sdcpp_py.models.detect import describe
from sdcpp_py.models.detect.described import Described, Part
from sdcpp_py.models.detect.headers import read_header
from sdcpp_py.models.detect.storage import fault_of
from sdcpp_py.models.files import ModelFiles
from sdcpp_py.system.paths import StrPath


def check_lora(path: StrPath, files: ModelFiles) -> None:
    """Refuses what is no LoRA, or one that was made for another model. One that does not tell its model passes.

    Raises:
        ModelNotFoundError, ModelLoadError: about the file.
        ModelMismatchError: it is another part, or for another family or another size of it.
    """
    described = _described(Path(path), Part.LORA)
    if described.kind is None:
        return
    _check_family(Path(path), described, files, files.family.loras_of)
    denoiser = files.sources.get("diffusion_model") or files.sources["model"]
    width = describe(read_arranged(denoiser).header).hidden_size
    if width and described.hidden_size not in (0, width):
        raise ModelMismatchError(
            f"{path} was made for a {files.family.title} of width {described.hidden_size}, and {denoiser} has "
            f"{width}; get a LoRA for this size, or take the denoiser {_denoiser_for(described)}"
        )


def check_controlnet(path: StrPath, files: ModelFiles) -> None:
    """Refuses what is no ControlNet, or one that was made for another family. Raises as ``check_lora`` does."""
    described = _described(Path(path), Part.CONTROLNET)
    if described.foreign:
        raise ModelMismatchError(
            f"{path} is {described.title} in names that the engine does not know; it runs those of Stable Diffusion in "
            f"the original format: get {suggestions.CONTROLNET}"
        )
    if described.kind is not None:
        _check_family(Path(path), described, files)


def check_upscaler(path: StrPath) -> None:
    """Refuses what is no upscaler. Raises as ``check_lora`` does."""
    _described(Path(path), Part.UPSCALER)


def _described(path: Path, wanted: Part) -> Described:
    header = read_header(path)
    described = describe(header)
    if described.part is not wanted:
        right = {
            Part.LORA: "a LoRA in safetensors",
            Part.CONTROLNET: suggestions.CONTROLNET,
            Part.UPSCALER: suggestions.UPSCALER,
        }[wanted]
        raise ModelMismatchError(f"{path} was given as {wanted.value}, but it is {described.title}; get {right}")
    fault = fault_of(header)
    if fault:
        raise ModelMismatchError(f"{path} {fault}; get it in F16 or BF16")
    return described


def _check_family(path: Path, described: Described, files: ModelFiles, others: tuple[str, ...] = ()) -> None:
    """Refuses what was made for another family, unless that is one of ``others``."""
    assert described.kind is not None
    if described.kind.name in (files.family.name, *others):
        return
    noun = described.part.value
    message = (
        f"{path} is {described.title}, and the denoiser is {files.family.title}; get {noun} for {files.family.title}"
    )
    other = _denoiser_for(described)
    raise ModelMismatchError(f"{message}, or take the denoiser {other}" if other else message)


def _denoiser_for(described: Described) -> str:
    """The denoiser that an addition was made for, in words; "" where it was made for none that is supported here."""
    if described.kind is None or described.kind.family is None:
        return ""
    return described.kind.family.denoiser_file(described.hidden_size)
