"""What ``sdcpp-py inspect`` prints of a folder: its files, what belongs together, and the commands for it."""

from __future__ import annotations

from sdcpp_py.cli.screen import Column, harmless, show_heading, show_table, show_text
from sdcpp_py.models.folders.groups import ModelGroup
from sdcpp_py.models.folders.inspecting import FolderInspection
from sdcpp_py.models.folders.scan import FolderFile
from sdcpp_py.system.byte_sizes import format_bytes

_SHOWN = 3
# The first one sets a folder's files off from what stands around them.
_COLUMNS = (Column(), Column(folds=True, style="cyan"), Column(right=True, least=10), Column(folds=True))


def show_folder(found: FolderInspection) -> None:
    """Prints all of it. Commands stay in one line each, to be copied."""
    show_heading(f"{found.path}: {found.layout.value}, {_counted(found)}")
    show_table(
        _COLUMNS, [("", file.name, format_bytes(file.size) if file.size else "", _what(file)) for file in found.files]
    )
    for group in found.groups:
        print("", *map(harmless, _group(group)), sep="\n")
    if not found.groups:
        print()
        show_text("No file in it can generate; `sdcpp-py models` lists models to get.")
    if found.notes:
        print()
    for note in found.notes:
        show_text(note)


def _counted(found: FolderInspection) -> str:
    complete = sum(group.complete for group in found.groups)
    others = f", {found.others:,} other files" if found.others else ""
    return f"{len(found.files):,} model files{others}; {complete} of {len(found.groups)} models are complete"


def _what(file: FolderFile) -> str:
    if file.copy_of:
        return f"a copy of {file.copy_of}"
    if file.inspection is None:
        return file.problem
    notes = "; ".join(note.removeprefix(f"{file.path} ") for note in file.inspection.notes)
    usable = file.inspection.drawable or file.given is not None
    return file.inspection.title if usable or not notes else f"{file.inspection.title}: {notes}"


def _group(group: ModelGroup) -> list[str]:
    known = f", {group.catalogue} of the catalogue" if group.catalogue else ""
    lines = [f"{group.denoiser.name} ({group.family.title}{known})"]
    for role, paths in group.others.items():
        named = ", ".join(path.name for path in paths[:_SHOWN])
        more = f" and {len(paths) - _SHOWN} more" if len(paths) > _SHOWN else ""
        chosen = group.files.get(role) or group.files["tae"]
        lines.append(f"  {chosen.name} is taken; these would do too: {named}{more}")
    for part in group.missing:
        if not part.optional:
            how = f": {part.pull}" if part.pull else ""
            lines.append(f"  is missing: {part.title}{how}")
    lines += [f"  {note}" for note in group.notes]
    return [*lines, f"  {group.command}", f"  {group.python}"] if group.complete else lines
