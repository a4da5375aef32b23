"""``sdcpp-py inspect``."""

from __future__ import annotations

import argparse
import json
import re
import sys

from sdcpp_py.cli.folders import show_folder
from sdcpp_py.cli.screen import Column, plain_table, show_table, show_text
from sdcpp_py.errors import ModelError
from sdcpp_py.models.detect.described import Part
from sdcpp_py.models.folders.inspecting import FolderInspection, inspect_folder, is_one_model
from sdcpp_py.models.inspection import Inspection, inspect
from sdcpp_py.models.local_paths import is_folder
from sdcpp_py.system.byte_sizes import format_bytes
from sdcpp_py.system.paths import absolute

_REPOSITORY = re.compile(r" \([^()]*/[^()]*\)|CLIP-[LG]: |T5-XXL: ")
_COLUMNS = (
    Column("file", folds=True, style="cyan"),
    Column("what it is", folds=True),
    Column("parameters"),
    Column("weights", folds=True),
    Column("size"),
    Column("distilled"),
    Column("needs, or goes with", folds=True),
)


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser], common: argparse.ArgumentParser) -> None:
    """Adds the command to the command line."""
    command = commands.add_parser("inspect", parents=[common], help="say what model files are, from their headers")
    command.set_defaults(run=run)
    command.add_argument(
        "files",
        nargs="+",
        metavar="FILE",
        help="GGUF, safetensors, an index of a model in several files; or a folder: what in it belongs together",
    )
    command.add_argument("--json", action="store_true", help="as JSON")


def run(options: argparse.Namespace) -> None:
    """Prints what model files are. Raises ModelError where one of them cannot be read, after the others are printed."""
    found: list[Inspection | FolderInspection] = []
    refused: list[ModelError] = []
    for file in options.files:
        path = absolute(file)
        try:
            found.append(inspect_folder(path) if is_folder(path) and not is_one_model(path) else inspect(path))
        except ModelError as error:
            refused.append(error)
    inspections = [one for one in found if isinstance(one, Inspection)]
    if options.json:
        print(json.dumps([one.as_dict() for one in found], indent=2, ensure_ascii=False))
    else:
        if inspections:
            _show(inspections)
        for number, one in enumerate([one for one in found if isinstance(one, FolderInspection)]):
            if number or inspections:
                print()
            show_folder(one)
    for refusal in refused[:-1]:
        print(f"sdcpp-py: error: {refusal}", file=sys.stderr)
    if refused:
        raise refused[-1]


def table(inspections: list[Inspection]) -> str:
    """A line for each file, and what else there is to know about each below."""
    text = plain_table(_COLUMNS, map(_row, inspections))
    return "\n".join([text, "", *_notes(inspections)] if _notes(inspections) else [text])


def _show(inspections: list[Inspection]) -> None:
    show_table(_COLUMNS, map(_row, inspections))
    for note in ["", *_notes(inspections)] if _notes(inspections) else []:
        show_text(note)


def _notes(inspections: list[Inspection]) -> list[str]:
    return [f"{inspection.path.name}: {note}" for inspection in inspections for note in inspection.notes]


def _row(inspection: Inspection) -> tuple[str, ...]:
    # Without the repositories, which would make the line too long; --json has them.
    needs = [_REPOSITORY.sub("", text) for text in (inspection.encoder, inspection.vae) if text]
    distilled = {True: "yes", False: "no", None: "?"}[inspection.distilled]
    return (
        inspection.path.name,
        inspection.title,
        _count(inspection.parameters),
        _weights(inspection),
        format_bytes(inspection.nbytes),
        distilled if inspection.part in (Part.DENOISER, Part.CHECKPOINT) else "",
        ", ".join(needs or inspection.goes_with) or ("nothing" if inspection.drawable else ""),
    )


def _count(parameters: int) -> str:
    for unit, size in (("B", 10**9), ("M", 10**6)):
        if parameters >= size:
            return f"{parameters / size:.3g}{unit}"
    return str(parameters)


def _weights(inspection: Inspection) -> str:
    """The types of weights that take most of a file, with their shares."""
    total = inspection.nbytes or 1
    shares = [(name, 100 * size / total) for name, size in inspection.types.items()]
    large = [f"{name} {share:.0f}%" for name, share in shares if share >= 1]
    return large[0].split()[0] if len(large) == 1 else " ".join(large)
