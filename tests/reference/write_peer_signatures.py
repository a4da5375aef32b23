"""Writes tests/data/peer_signatures.json: the arguments and methods of the programs that people come from.

`python tests/reference/write_peer_signatures.py FOLDER`, where FOLDER holds the unpacked sources of each:
``diffusers``, ``llama_cpp``, ``faster_whisper``, ``stable_diffusion_cpp``, and ``modules`` of A1111. They are read, not
imported. Names alone are taken, which are facts; ``VERSIONS`` says of which version.
"""

from __future__ import annotations

import ast
import json
import sys
from collections.abc import Iterator
from pathlib import Path

TARGET = Path(__file__).parents[1] / "data/peer_signatures.json"
VERSIONS = {
    "diffusers": "0.42.1",
    "llama-cpp-python": "0.3.36",
    "faster-whisper": "1.2.1",
    "stable-diffusion-cpp-python": "0.4.7",
    "A1111": "of 2024",
}
_PIPELINES = "diffusers/pipelines"
# The pipelines of the families that are drawn with here, text to image and from pictures.
CALLS = {
    "diffusers": [
        f"{_PIPELINES}/{path}.__call__"
        for path in (
            "stable_diffusion/pipeline_stable_diffusion.py:StableDiffusionPipeline",
            "stable_diffusion/pipeline_stable_diffusion_img2img.py:StableDiffusionImg2ImgPipeline",
            "stable_diffusion/pipeline_stable_diffusion_inpaint.py:StableDiffusionInpaintPipeline",
            "stable_diffusion_xl/pipeline_stable_diffusion_xl.py:StableDiffusionXLPipeline",
            "stable_diffusion_xl/pipeline_stable_diffusion_xl_img2img.py:StableDiffusionXLImg2ImgPipeline",
            "stable_diffusion_xl/pipeline_stable_diffusion_xl_inpaint.py:StableDiffusionXLInpaintPipeline",
            "stable_diffusion_3/pipeline_stable_diffusion_3.py:StableDiffusion3Pipeline",
            "flux/pipeline_flux.py:FluxPipeline",
            "flux/pipeline_flux_img2img.py:FluxImg2ImgPipeline",
            "flux/pipeline_flux_fill.py:FluxFillPipeline",
            "flux/pipeline_flux_kontext.py:FluxKontextPipeline",
            "flux2/pipeline_flux2_klein.py:Flux2KleinPipeline",
            "chroma/pipeline_chroma.py:ChromaPipeline",
            "qwenimage/pipeline_qwenimage.py:QwenImagePipeline",
            "qwenimage/pipeline_qwenimage_edit.py:QwenImageEditPipeline",
            "z_image/pipeline_z_image.py:ZImagePipeline",
        )
    ]
    + [
        f"{_PIPELINES}/pipeline_utils.py:DiffusionPipeline.from_pretrained",
        "diffusers/loaders/single_file.py:FromSingleFileMixin.from_single_file",
    ],
    "llama-cpp-python": ["llama_cpp/llama.py:Llama.__init__", "llama_cpp/llama.py:Llama.from_pretrained"],
    "faster-whisper": ["faster_whisper/transcribe.py:WhisperModel.__init__"],
    "stable-diffusion-cpp-python": [
        "stable_diffusion_cpp/stable_diffusion.py:StableDiffusion.__init__",
        "stable_diffusion_cpp/stable_diffusion.py:StableDiffusion.generate_image",
        "stable_diffusion_cpp/stable_diffusion.py:StableDiffusion.upscale",
    ],
    # Their arguments are the fields of dataclasses, which the HTTP interface takes by the same names.
    "A1111": [
        "modules/processing.py:StableDiffusionProcessing",
        "modules/processing.py:StableDiffusionProcessingTxt2Img",
        "modules/processing.py:StableDiffusionProcessingImg2Img",
    ],
}
MEMBERS = {
    "diffusers": [
        f"{_PIPELINES}/pipeline_utils.py:DiffusionPipeline",
        f"{_PIPELINES}/pipeline_utils.py:StableDiffusionMixin",
        "diffusers/loaders/lora_base.py:LoraBaseMixin",
        "diffusers/loaders/lora_pipeline.py:StableDiffusionLoraLoaderMixin",
        "diffusers/loaders/textual_inversion.py:TextualInversionLoaderMixin",
        "diffusers/loaders/ip_adapter.py:IPAdapterMixin",
        "diffusers/loaders/single_file.py:FromSingleFileMixin",
        f"{_PIPELINES}/stable_diffusion/pipeline_stable_diffusion.py:StableDiffusionPipeline",
    ],
    "stable-diffusion-cpp-python": ["stable_diffusion_cpp/stable_diffusion.py:StableDiffusion"],
}


def body_of(folder: Path, place: str) -> tuple[ast.ClassDef, str]:
    """The class of a place "file:Class.method", and the method's name."""
    file, _, dotted = place.partition(":")
    owner, _, method = dotted.partition(".")
    for node in ast.parse((folder / file).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef) and node.name == owner:
            return node, method
    raise LookupError(place)


def arguments(owner: ast.ClassDef, method: str) -> Iterator[str]:
    """The names of a function's arguments, those taken out of ``**kwargs`` too; of a dataclass, its public fields."""
    if not method:
        for node in owner.body:
            if (
                isinstance(node, ast.AnnAssign)
                and isinstance(node.target, ast.Name)
                and "init=False" not in ast.unparse(node)
            ):
                yield node.target.id
        return
    function = next(node for node in owner.body if isinstance(node, ast.FunctionDef) and node.name == method)
    yield from (one.arg for one in (*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs))
    for node in ast.walk(function):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("kwargs.pop", "kwargs.get"):
            first = node.args[0]
            if isinstance(first, ast.Constant):
                yield str(first.value)


def members(owner: ast.ClassDef) -> Iterator[str]:
    """The public methods of a class."""
    yield from (node.name for node in owner.body if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"))


def main(folder: Path) -> None:
    """Writes the file."""
    found = {}
    for peer, version in VERSIONS.items():
        taken = {}
        for place in CALLS[peer]:
            names = dict.fromkeys(arguments(*body_of(folder, place)))
            taken[place.partition(":")[2]] = [name for name in names if name not in ("self", "cls") and name[0] != "_"]
        methods = dict.fromkeys(name for place in MEMBERS.get(peer, ()) for name in members(body_of(folder, place)[0]))
        found[peer] = {"version": version, "arguments": taken, "members": sorted(methods)}
    TARGET.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
