"""The models that have a name: those that come with the package, and those that users add."""

from __future__ import annotations

import difflib
import functools
import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from sdcpp_py.errors import CatalogueError, ModelNotFoundError
from sdcpp_py.models.bundled import TINY, bundled_files
from sdcpp_py.models.catalogue.entries import CatalogueFile, CatalogueModel
from sdcpp_py.models.catalogue.schema import Entry, check_name, read_file, read_model
from sdcpp_py.system.paths import absolute, config_folder

SCHEMA = 1
BUILT_IN = Path(__file__).with_name("catalogue.toml")
VARIABLE = "SDCPP_PY_CATALOGUE"
"""The environment variable that names further catalogues, separated as paths are in ``PATH``."""


@dataclass(frozen=True)
class Catalogue:
    """Models and files by name.

    Attributes:
        models: the models, in the order in which the catalogues have them.
        files: the files that models share, and those that stand alone (an upscaler).
        aliases: other names of models.
    """

    models: Mapping[str, CatalogueModel]
    files: Mapping[str, CatalogueFile]
    aliases: Mapping[str, str]

    def model(self, name: str) -> CatalogueModel:
        """The model of that name or alias; capital letters do not count.

        Raises:
            ModelNotFoundError: there is none; the message names what is spelt like it, and how to list them all.
        """
        wanted = name.lower()
        wanted = self.aliases.get(wanted, wanted)
        if wanted not in self.models:
            raise ModelNotFoundError(
                f"no model is called {name!r}{self.hint(name, [*self.models, *self.aliases, TINY])}"
            )
        return self.models[wanted]

    def file(self, name: str) -> CatalogueFile:
        """The file of that name. Raises ModelNotFoundError as ``model`` does."""
        if name.lower() not in self.files:
            raise ModelNotFoundError(f"no file is called {name!r}{self.hint(name, self.files)}")
        return self.files[name.lower()]

    def hint(self, name: str, names: Iterable[str]) -> str:
        """The end of a sentence that says that there is no such name."""
        close = difflib.get_close_matches(name.lower(), list(names), n=3, cutoff=0.5)
        maybe = f" (did you mean {' or '.join(close)}?)" if close else ""
        return (
            f"{maybe}; `sdcpp-py models` lists those there are, and 'owner/repository/file.gguf' is a file on the Hub"
        )


def catalogue_files(environment: Mapping[str, str] = os.environ) -> list[Path]:
    """The catalogues that count: the package's own, the user's where there is one, those that SDCPP_PY_CATALOGUE names.

    Raises:
        CatalogueError: the variable names a file that does not exist.
    """
    files = [BUILT_IN]
    folder = config_folder(environment)
    if folder is not None and (folder / "catalogue.toml").is_file():
        files.append(folder / "catalogue.toml")
    for name in environment.get(VARIABLE, "").split(os.pathsep):
        if name:
            path = absolute(name)
            if not path.is_file():
                raise CatalogueError(f"{VARIABLE} names {name}, and there is no such file")
            files.append(path)
    return files


def open_catalogue(environment: Mapping[str, str] = os.environ) -> Catalogue:
    """The catalogue, the user's own entries included.

    Raises:
        CatalogueError: a catalogue cannot be read, an entry lacks a field or has a wrong one, or two have one name.
    """
    # Reading 20 KB of TOML takes some 20 ms: files that stay as they are need be read only once.
    stamps = []
    for path in catalogue_files(environment):
        try:
            status = path.stat()
        except OSError as error:
            raise _unreadable(path, error) from error
        stamps.append((path, status.st_mtime_ns, status.st_size))
    return _read_stamped(tuple(stamps))


@functools.lru_cache(maxsize=4)
def _read_stamped(stamps: tuple[tuple[Path, int, int], ...]) -> Catalogue:
    return read_catalogues([path for path, _, _ in stamps])


def read_catalogues(paths: Iterable[Path]) -> Catalogue:
    """One catalogue of several files; a model may be made of files that an earlier or later one names.

    Raises:
        CatalogueError: as ``open_catalogue`` does.
    """
    tables = [(path, _read_toml(path)) for path in paths]
    files: dict[str, CatalogueFile] = {}
    homes: dict[tuple[str, str], Path] = {("model", TINY): bundled_files(TINY).diffusion_model.parent}
    for path, top in tables:
        for name, table in top.table("files", {}).items():
            where = f"{path}: files.{name}"
            check_name(where, name)
            _claim(homes, "file", name, path)
            files[name] = read_file(Entry(where, table), name, None)
    models: dict[str, CatalogueModel] = {}
    aliases: dict[str, str] = {}
    for path, top in tables:
        for name, table in top.table("models", {}).items():
            where = f"{path}: models.{name}"
            check_name(where, name)
            _claim(homes, "model", name, path)
            models[name] = read_model(Entry(where, table), name, files)
            for alias in models[name].aliases:
                _claim(homes, "model", alias, path)
                aliases[alias] = name
        top.finish()
    return Catalogue(MappingProxyType(models), MappingProxyType(files), MappingProxyType(aliases))


def _claim(homes: dict[tuple[str, str], Path], kind: str, name: str, path: Path) -> None:
    """Raises CatalogueError where another entry has the name: which of the two is meant could not be told."""
    other = homes.get((kind, name))
    if other is not None:
        raise CatalogueError(
            f"{path}: there is a {kind} called {name!r} in {other} already; give this one another name"
        )
    homes[kind, name] = path


def _read_toml(path: Path) -> Entry:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib  # type: ignore[import-not-found,unused-ignore]
    try:
        top = Entry(str(path), tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise _unreadable(path, error) from error
    except (ValueError, RecursionError) as error:  # of the encoding, or of TOML, whose lists may lie in lists
        raise CatalogueError(f"{path} is no TOML: {error}") from error
    schema = top.take("schema", int)
    if schema != SCHEMA:
        raise top.wrong("schema", f"is {schema}; this version of sdcpp_py reads {SCHEMA}")
    return top


def _unreadable(path: Path, error: OSError) -> CatalogueError:
    return CatalogueError(f"{path} cannot be read: {error.strerror or error}")
