"""``sdcpp-py models`` and ``sdcpp-py pull``."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sdcpp_py.cli.progress import watched
from sdcpp_py.cli.screen import Column, show_table, show_text
from sdcpp_py.cli.shared_options import add_downloads, add_old_cache_folder, add_places, add_quant
from sdcpp_py.errors import ModelNotFoundError, SettingsError
from sdcpp_py.memory.limits import Limits
from sdcpp_py.models.bundled import TINY
from sdcpp_py.models.catalogue import Catalogue, open_catalogue
from sdcpp_py.models.catalogue.entries import CatalogueFile
from sdcpp_py.models.downloads import Places, as_wanted
from sdcpp_py.models.hub import Access, fetch_all
from sdcpp_py.models.pretrained import parse_name, resolve
from sdcpp_py.system.byte_sizes import format_bytes

if TYPE_CHECKING:
    from sdcpp_py.preflight.listing import ListedModel

_GAP = "  "
_MODELS = (
    Column("model", style="cyan"),
    Column("licence", folds=True),
    Column("download", right=True),
    Column("memory", right=True),
    Column("at least", right=True),
    Column("weight types", folds=True),
)
_FILES = (Column("file", style="cyan"), *_MODELS[1:3], Column("what it is", folds=True))
_Commands = argparse._SubParsersAction  # argparse has no public name for it
_Find = Callable[[CatalogueFile], Path | None]


def add_to(commands: _Commands[argparse.ArgumentParser], common: argparse.ArgumentParser) -> None:
    """Adds the two commands."""
    command = commands.add_parser("models", parents=[common], help="list the models that have a name")
    command.set_defaults(run=run_models)
    command.add_argument("words", metavar="WORD", nargs="*", help="only models with this in their name or family")
    add_places(command)
    add_old_cache_folder(command)
    command.add_argument("--json", action="store_true", help="as JSON")
    command = commands.add_parser("pull", parents=[common], help="download a model, to generate with it later")
    command.set_defaults(run=run_pull)
    command.add_argument(
        "name", metavar="NAME[:QUANT]", help="a model or file of the catalogue, or owner/repository/file.gguf"
    )
    add_quant(command, "what suits --memory, or this machine's")
    command.add_argument("--memory", default="auto", metavar="SIZE", help="the --memory that it will be used with")
    command.add_argument(
        "--part", action="append", default=[], metavar="ROLE=FILE", help="another part, as in vae=flux2-small-decoder"
    )
    add_downloads(command)
    add_old_cache_folder(command)
    command.add_argument("--no-progress", action="store_true", help="show no progress bar")


def run_models(options: argparse.Namespace) -> None:
    """Prints the models, and what is on disk. Raises SdcppError."""
    # It makes plans, for which numpy and the whole pipeline are imported: nothing that a parser should wait for.
    from sdcpp_py.preflight.listing import models_listed

    catalogue = open_catalogue()
    places = Places.of(options.hub_cache, options.models_dir)
    listed = models_listed(options.words, places)
    find = places.find
    plain = [_plain(model, catalogue, find) for model in listed]
    files = [_plain_file(file, find) for file in catalogue.files.values()] if not options.words else []
    if options.json:
        print(json.dumps({"models": plain, "files": files}, indent=2))
        return
    show_table(_MODELS, [_model_row(entry) for entry in plain])
    show_text("\nweight types: + is on disk, in brackets is what suits this machine")
    aliases = [f"{alias} = {entry['name']}" for entry in plain for alias in entry["aliases"]]
    if aliases:
        show_text(f"other names: {', '.join(aliases)}")
    if files:
        print()
        show_table(_FILES, [_file_row(file) for file in files])


def run_pull(options: argparse.Namespace) -> None:
    """Fetches a model's files, or a single file, and prints where they are. Raises SdcppError."""
    catalogue = open_catalogue()
    with watched(options, pictures=0) as watch:
        access = Access(options.token, options.hub_cache, options.local_files_only, watch.listen)
        files = _fetched(options, catalogue, access)
    for role, path in files.items():
        print(_line(role, path))


def _fetched(options: argparse.Namespace, catalogue: Catalogue, access: Access) -> Mapping[str, Path]:
    """The files by their roles, on disk. Raises SdcppError."""
    alone = _file_alone(options, catalogue)
    if alone is not None:
        [path] = fetch_all([as_wanted(alone, options.revision)], access)
        return {alone.role: path}
    found = resolve(
        options.name,
        quant=options.quant,
        parts=dict(_part(text) for text in options.part),
        revision=options.revision,
        token=access.token,
        cache_dir=access.cache_dir,
        local_files_only=access.local_files_only,
        on_progress=access.on_progress,
        catalogue=catalogue,
        models_dir=options.models_dir,
        limit=Limits.parse(options.memory, "cpu").exact.get("cpu"),
    )
    return found.files


def _file_alone(options: argparse.Namespace, catalogue: Catalogue) -> CatalogueFile | None:
    """The file of the catalogue that the name is; None where it is a model's, or a Hub file."""
    name = parse_name(options.name).name
    known = [*catalogue.models, *catalogue.aliases, TINY]
    if "/" in name or name.lower() in known:
        return None
    if name.lower() not in catalogue.files:
        hint = catalogue.hint(name, [*known, *catalogue.files])
        raise ModelNotFoundError(f"no model and no file is called {name!r}{hint}")
    if options.quant or options.part or ":" in options.name:
        raise SettingsError(f"{name} is a single file: leave out weight type and parts")
    return catalogue.file(name)


def _part(text: str) -> tuple[str, str]:
    role, equals, name = text.partition("=")
    if not equals or not role.strip() or not name.strip():
        raise SettingsError(f"--part is {text!r}; give role and file, as in vae=flux2-small-decoder")
    return role.strip(), name.strip()


def _line(role: str, path: Path) -> str:
    return f"{role:<16} {format_bytes(path.stat().st_size):>10}  {path}"


def _size(size: int | None) -> str:
    return "?" if size is None else format_bytes(size) if size else "-"


def _model_row(entry: dict[str, Any]) -> tuple[str, ...]:
    quants = _GAP.join(_quant(entry, quant) for quant in entry["quantizations"]) or "in the package"
    return entry["name"], entry["licence"], *map(_size, (entry["bytes"], *entry["memory"].values())), quants


def _file_row(file: dict[str, Any]) -> tuple[str, ...]:
    there = "on disk, " if file["on_disk"] else ""
    return file["name"], file["licence"], _size(file["bytes"]), there + file["role"]


def _quant(entry: dict[str, Any], quant: str) -> str:
    mark = "+" if entry["quantizations"][quant]["on_disk"] else ""
    return f"[{quant}]{mark}" if quant == entry["default_quant"] else f"{quant}{mark}"


def _plain(model: ListedModel, catalogue: Catalogue, find: _Find) -> dict[str, Any]:
    entry = catalogue.models.get(model.name)
    return {
        "name": model.name,
        "aliases": list(model.aliases),
        "title": model.title,
        "family": model.family,
        "licence": model.licence,
        "commercial": model.commercial,
        "page": entry.page if entry else "",
        "note": model.note,
        "default_quant": model.quant,
        "bytes": model.download,
        "complete": model.on_disk,
        "memory": {"resident": model.resident, "least": model.least},
        "defaults": vars(entry.defaults) if entry else {"width": model.width, "height": model.height},
        "quantizations": {
            name: _plain_file(file, find) for name, file in (entry.quantizations.items() if entry else ())
        },
        "parts": {role: file.name for role, file in (entry.parts.items() if entry else ())},
    }


def _plain_file(file: CatalogueFile, find: _Find) -> dict[str, Any]:
    path = find(file)
    return {
        "name": file.name,
        "role": file.role,
        "repository": file.repository,
        "file": file.file,
        "licence": file.licence,
        "bytes": path.stat().st_size if path else file.size,
        "exact": bool(path or file.bytes),
        "sha256": file.sha256,
        "gated": file.gated,
        "on_disk": str(path) if path else None,
    }
