"""The tables of docs/files.md. `python -m tests.support.files_table` in the repository's root writes them anew."""

from __future__ import annotations

import tempfile
from pathlib import Path

from sdcpp_py import synth
from sdcpp_py.cli.inspect import table
from sdcpp_py.models.detect import kinds
from sdcpp_py.models.detect.described import Kind
from sdcpp_py.models.families import FAMILIES_BY_NAME
from sdcpp_py.models.inspection import inspect
from sdcpp_py.synth.formats import write_gguf, write_safetensors

from .file_forms import FORMS
from .made_pages import filled

PAGE = Path(__file__).parents[2] / "docs/files.md"
LEFT_OUT = ("klein-4b-short", "klein-9b-short", "z-image-turbo-short")  # no file that anybody has


def files(folder: Path) -> list[Path]:
    """A file of every family and part, with the header of its true size and no weights."""
    paths = []
    for name, model in synth.MODELS.items():
        if name.startswith("tiny-") or name in LEFT_OUT:
            continue
        path = folder / model.file_name("Q4_K")
        write = write_gguf if model.architecture else write_safetensors
        write(path, model, "Q4_K", None, lambda _: None)
        paths.append(path)
    return paths


def of_files() -> str:
    """What `sdcpp-py inspect` prints over those files."""
    with tempfile.TemporaryDirectory() as folder:
        printed = table([inspect(path) for path in files(Path(folder))])
    return f"```\n{printed}\n```"


def of_others() -> str:
    """The denoisers that are recognised and not supported."""
    found = [kind for kind in vars(kinds).values() if isinstance(kind, Kind) and kind.family is None]
    lines = ["| name | what it is | the engine's word | nearest |", "| --- | --- | --- | --- |"]
    lines += [
        f"| {kind.name} | {kind.title} | {kind.version or 'none'} | {FAMILIES_BY_NAME[kind.nearest].title} |"
        for kind in found
    ]
    return "\n".join(lines)


def of_forms() -> str:
    """The forms with each of which a test draws."""
    parts = {"diffusion_model": "denoiser", "text_encoder": "text encoder", "vae": "VAE"}
    lines = ["| part | form |", "| --- | --- |", *(f"| {parts[form.part]} | {form.title} |" for form in FORMS)]
    return "\n".join(lines)


def page(text: str) -> str:
    """The page with its tables made anew."""
    return filled(text, {"files": of_files(), "forms": of_forms(), "others": of_others()})


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
