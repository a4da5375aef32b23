"""``sdcpp-py models`` and ``sdcpp-py pull``."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from sdcpp_py.errors import ModelNotFoundError, SettingsError
from sdcpp_py.models.catalogue import Catalogue, open_catalogue
from sdcpp_py.models.catalogue.entries import CatalogueFile, CatalogueModel
from sdcpp_py.models.hub import Access, fetch_all
from sdcpp_py.models.pretrained import as_wanted, choose_quant, machine_memory, on_disk, parse_name, resolve
from sdcpp_py.system.byte_sizes import format_bytes

_Commands = argparse._SubParsersAction  # argparse has no public name for it


def add_to(commands: _Commands[argparse.ArgumentParser], common: argparse.ArgumentParser) -> None:
    """Adds the two commands."""
    command = commands.add_parser("models", parents=[common], help="list the models that have a name")
    command.set_defaults(run=run_models)
    command.add_argument("--cache-dir", metavar="DIR", help="where downloads are kept (default: the Hub's own cache)")
    command.add_argument("--json", action="store_true", help="as JSON")
    command = commands.add_parser("pull", parents=[common], help="download a model, to draw with it later")
    command.set_defaults(run=run_pull)
    command.add_argument(
        "name", metavar="NAME[:QUANT]", help="a model or file of the catalogue, or owner/repository/file.gguf"
    )
    command.add_argument("--quant", metavar="TYPE", help="weight type (default: what suits this machine's memory)")
    command.add_argument(
        "--part", action="append", default=[], metavar="ROLE=FILE", help="another part, as in vae=flux2-small-decoder"
    )
    command.add_argument("--revision", metavar="NAME", help="branch, tag or commit of the denoiser's repository")
    command.add_argument("--token", help="access token of the Hub (default: HF_TOKEN, or that of `hf auth login`)")
    command.add_argument("--cache-dir", metavar="DIR", help="where to (default: the Hub's own cache)")
    command.add_argument("--local-files-only", action="store_true", help="download nothing: say what is on disk")
    command.add_argument("--no-progress", action="store_true", help="show no progress bar")


def run_models(options: argparse.Namespace) -> None:
    """Prints the models, and what is on disk. Raises SdcppError."""
    catalogue = open_catalogue()
    room = machine_memory()
    plain = [_plain(model, room, options.cache_dir) for model in catalogue.models.values()]
    files = [_plain_file(file, options.cache_dir) for file in catalogue.files.values()]
    if options.json:
        print(json.dumps({"models": plain, "files": files}, indent=2))
        return
    print(f"{'model':<24}{'licence':<28}{'download':>10}  weight types (+: on disk; in brackets: for this machine)")
    for entry in plain:
        quants = "  ".join(_quant(entry, quant) for quant in entry["quantizations"])
        print(f"{entry['name']:<24}{entry['licence']:<28}{_size(entry['bytes']):>10}  {quants}")
    print(f"\n{'file':<24}{'licence':<28}{'download':>10}  what it is")
    for file in files:
        there = "on disk, " if file["on_disk"] else ""
        print(f"{file['name']:<24}{file['licence']:<28}{_size(file['bytes']):>10}  {there}{file['role']}")


def run_pull(options: argparse.Namespace) -> None:
    """Fetches a model's files, or a single file, and prints where they are. Raises SdcppError."""
    access = Access(options.token, options.cache_dir, options.local_files_only, progress=_shows_progress(options))
    catalogue = open_catalogue()
    alone = _file_alone(options, catalogue)
    if alone is not None:
        [path] = fetch_all([as_wanted(alone, options.revision)], access)
        print(_line(alone.role, path))
        return
    found = resolve(
        options.name,
        quant=options.quant,
        parts=dict(_part(text) for text in options.part),
        revision=options.revision,
        token=access.token,
        cache_dir=access.cache_dir,
        local_files_only=access.local_files_only,
        progress=access.progress,
        catalogue=catalogue,
    )
    for role, path in found.files.items():
        print(_line(role, path))


def _file_alone(options: argparse.Namespace, catalogue: Catalogue) -> CatalogueFile | None:
    """The file of the catalogue that the name is; None where it is a model's, or a Hub file."""
    name = parse_name(options.name).name
    known = [*catalogue.models, *catalogue.aliases]
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


def _shows_progress(options: argparse.Namespace) -> bool:
    return not options.no_progress and sys.stderr.isatty()


def _line(role: str, path: Path) -> str:
    return f"{role:<16} {format_bytes(path.stat().st_size):>10}  {path}"


def _size(size: int) -> str:
    return format_bytes(size) if size else "?"


def _quant(entry: dict[str, Any], quant: str) -> str:
    mark = "+" if entry["quantizations"][quant]["on_disk"] else ""
    return f"[{quant}]{mark}" if quant == entry["default_quant"] else f"{quant}{mark}"


def _plain(model: CatalogueModel, room: int, cache_dir: str | None) -> dict[str, Any]:
    quant = choose_quant(model, room)
    files = model.files(quant)
    return {
        "name": model.name,
        "aliases": list(model.aliases),
        "title": model.title,
        "family": model.family,
        "licence": model.licence,
        "page": model.page,
        "note": model.note,
        "default_quant": quant,
        "bytes": sum(file.size for file in files.values()),
        "complete": all(on_disk(file, cache_dir) for file in files.values()),
        "defaults": vars(model.defaults),
        "quantizations": {name: _plain_file(file, cache_dir) for name, file in model.quantizations.items()},
        "parts": {role: file.name for role, file in model.parts.items()},
    }


def _plain_file(file: CatalogueFile, cache_dir: str | None) -> dict[str, Any]:
    path = on_disk(file, cache_dir)
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
