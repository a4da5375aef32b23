"""Reading the entries of a catalogue, and the check that they hold what they must."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import MISSING, fields
from types import MappingProxyType
from typing import Any

from sdcpp_py.errors import CatalogueError, SettingsError
from sdcpp_py.models.catalogue.entries import (
    CHECKPOINT,
    DEFAULT_REVISION,
    DENOISER,
    FAMILIES,
    ROLES,
    CatalogueDefaults,
    CatalogueFile,
    CatalogueModel,
)
from sdcpp_py.models.families import FAMILIES_BY_NAME
from sdcpp_py.settings import FAMILY_DEFAULTS, MAX_EDGE, MIN_EDGE, OPTIONS, check_edge
from sdcpp_py.settings.domains import Choice, Edge, Number, Whole

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")
_QUANT = re.compile(r"[A-Z0-9][A-Z0-9_]*")
_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)
_SHA256 = re.compile(r"[0-9a-f]{64}")


def is_repository(text: str) -> bool:
    """Whether a text has the form of a Hub repository's name, "owner/name"."""
    return _REPOSITORY.fullmatch(text) is not None and ".." not in text and "--" not in text


def is_file_path(text: str) -> bool:
    """Whether a text has the form of a file's path in a repository, which stays inside it."""
    parts = text.split("/")
    return "\\" not in text and all(part not in ("", ".", "..") and part.isprintable() for part in parts)


class Entry:
    """One table of a catalogue while it is read; every complaint names the file, the entry and the field."""

    def __init__(self, where: str, table: object) -> None:
        self.where = where
        if not isinstance(table, dict):
            raise CatalogueError(f"{where} must be a table, not {table!r}")
        self._table: dict[str, Any] = dict(table)

    def wrong(self, name: str, problem: str) -> CatalogueError:
        """The error that says what is wrong with a field."""
        return CatalogueError(f"{self.where}: {name} {problem}")

    def take(self, name: str, kind: type | tuple[type, ...], default: Any = ...) -> Any:
        """A field's value, which must be of that kind; the default where it is missing, if there is one."""
        value = self._table.pop(name, default)
        if value is ...:
            raise self.wrong(name, "is missing")
        if value is not default and (not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool)):
            kinds = kind if isinstance(kind, tuple) else (kind,)
            wanted = " or ".join(_WORDS.get(one, one.__name__) for one in kinds)
            raise self.wrong(name, f"must be {wanted}, not {value!r}")
        return value

    def text(self, name: str, default: Any = ...) -> str:
        """A text that is not empty and has no line breaks."""
        value = str(self.take(name, str, default))
        if value != default and (not value.strip() or not value.isprintable()):
            raise self.wrong(name, f"must be a line of text, not {value!r}")
        return value

    def one_of(self, name: str, values: tuple[str, ...], default: Any = ...) -> str:
        """A text that must be one of some."""
        value = self.text(name, default)
        if value not in values:
            raise self.wrong(name, f"is {value!r}; it must be one of: {', '.join(values)}")
        return value

    def number(self, name: str, low: float, high: float, default: Any = ...) -> Any:
        """A number from ``low`` to ``high``: a whole one where ``low`` is."""
        value = self.take(name, int if isinstance(low, int) else (int, float), default)
        if value is not default and not low <= value <= high:
            raise self.wrong(name, f"is {value!r}; it must be from {low} to {high}")
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        """A list of texts; empty where it is missing."""
        values = self.take(name, list, [])
        if not all(isinstance(value, str) for value in values):
            raise self.wrong(name, f"must be a list of texts, not {values!r}")
        return tuple(values)

    def table(self, name: str, default: Any = ...) -> dict[str, Any]:
        """A table."""
        return dict(self.take(name, dict, default))

    def finish(self) -> None:
        """Complains about fields that nobody asked for: a misspelt one must not be silently nothing."""
        if self._table:
            raise self.wrong(next(iter(self._table)), "is no field that an entry has; is it misspelt?")


_WORDS = {
    str: "a text",
    int: "a whole number",
    float: "a number",
    dict: "a table",
    list: "a list",
    bool: "true or false",
}


def check_name(where: str, name: str) -> None:
    """Raises CatalogueError where a name could not be typed as one, or would be taken for a repository."""
    if not _NAME.fullmatch(name):
        raise CatalogueError(f"{where}: the name must be of lower-case letters, digits, '.', '_' and '-', not {name!r}")


def read_file(entry: Entry, name: str, role: str | None, licence: str = "") -> CatalogueFile:
    """A file of a catalogue. Raises CatalogueError."""
    made = CatalogueFile(
        name=name,
        role=role or entry.one_of("role", ROLES),
        repository=entry.text("repository"),
        file=entry.text("file"),
        licence=entry.text("licence") if role is None else entry.text("licence", licence),
        bytes=entry.number("bytes", 1, 2**50, None),
        about=entry.number("about", 1, 2**50, None),
        sha256=entry.text("sha256", ""),
        revision=entry.text("revision", DEFAULT_REVISION),
        gated=entry.take("gated", bool, False),
        families=entry.texts("families"),
    )
    entry.finish()
    if not is_repository(made.repository):
        raise entry.wrong("repository", f"must be a Hub repository such as 'owner/name', not {made.repository!r}")
    if not is_file_path(made.file):
        raise entry.wrong("file", f"must be the path of a file in the repository, not {made.file!r}")
    if made.bytes and made.about:
        raise entry.wrong("about", "must be left out where the exact bytes are known")
    if made.sha256 and not _SHA256.fullmatch(made.sha256):
        raise entry.wrong("sha256", f"must be 64 lower-case hexadecimal digits, not {made.sha256!r}")
    for family in made.families:
        if family not in FAMILIES:
            raise entry.wrong("families", f"has {family!r}; it must be one of: {', '.join(FAMILIES)}")
    return made


def read_model(entry: Entry, name: str, files: Mapping[str, CatalogueFile]) -> CatalogueModel:
    """A model of a catalogue, whose parts are among ``files``. Raises CatalogueError."""
    family = entry.one_of("family", FAMILIES)
    licence = entry.text("licence")
    role = entry.one_of("main", (DENOISER, CHECKPOINT), DENOISER)
    made = CatalogueModel(
        name=name,
        title=entry.text("title"),
        family=family,
        licence=licence,
        aliases=entry.texts("aliases"),
        page=entry.text("page", ""),
        note=entry.text("note", ""),
        shape=entry.text("shape", ""),
        defaults=_read_defaults(Entry(f"{entry.where}.defaults", entry.table("defaults")), family),
        quantizations=_read_quantizations(entry, name, role, licence),
        parts=_read_parts(entry, family, files),
    )
    entry.finish()
    for alias in made.aliases:
        check_name(entry.where, alias)
    if made.page and not is_repository(made.page):
        raise entry.wrong("page", f"must be a Hub repository such as 'owner/name', not {made.page!r}")
    return made


def _read_quantizations(entry: Entry, name: str, role: str, licence: str) -> Mapping[str, CatalogueFile]:
    found = {}
    for quant, table in entry.table("quantizations").items():
        inner = Entry(f"{entry.where}.quantizations.{quant}", table)
        if not _QUANT.fullmatch(quant):
            raise inner.wrong("the name", f"must be of capital letters, digits and '_', not {quant!r}")
        found[quant] = read_file(inner, f"{name}:{quant}", role, licence)
    if not found:
        raise entry.wrong("quantizations", "is empty; a model needs one at least")
    return MappingProxyType(found)


def _read_parts(entry: Entry, family: str, files: Mapping[str, CatalogueFile]) -> Mapping[str, CatalogueFile]:
    parts: dict[str, CatalogueFile] = {}
    for part in entry.texts("parts"):
        if part not in files:
            raise entry.wrong("parts", f"names {part!r}, which is no file of any catalogue")
        file = files[part]
        if file.role in parts:
            raise entry.wrong("parts", f"names two files that are its {file.role}: {parts[file.role].name}, {part}")
        if file.families and family not in file.families:
            raise entry.wrong("parts", f"names {part!r}, which is not for {family} but {', '.join(file.families)}")
        parts[file.role] = file
    return MappingProxyType(parts)


def _read_defaults(entry: Entry, family: str) -> CatalogueDefaults:
    """The defaults of a model of a family: within the limits of settings, or no picture could be generated."""
    optional = {field.name: field.default for field in fields(CatalogueDefaults) if field.default is not MISSING}
    options = {name: _read_option(entry, name, family, optional.get(name, ...)) for name in FAMILY_DEFAULTS}
    made = CatalogueDefaults(
        **options,
        flow_shift=entry.number("flow_shift", 0.0, 100.0, None),
        native=entry.number("native", MIN_EDGE, MAX_EDGE, 0),
        edges=_edges(entry),
    )
    entry.finish()
    return made


def _read_option(entry: Entry, name: str, family: str, default: Any) -> Any:
    """A model's default of an option, one that its domain has."""
    domain = OPTIONS[name].domain
    if isinstance(domain, Choice):
        return entry.one_of(name, domain.names, default)
    if isinstance(domain, Edge):
        try:
            return check_edge(name, entry.take(name, int), FAMILIES_BY_NAME[family].size_multiple)
        except SettingsError as error:
            raise entry.wrong(name, str(error).removeprefix(f"{name} ")) from error
    assert isinstance(domain, Whole | Number)
    value = entry.number(name, domain.low, domain.high, default)
    return value if value is default else domain.kind(value)


def _edges(entry: Entry) -> tuple[int, int]:
    edges = entry.take("edges", list, [0, 0])
    if len(edges) != 2 or not all(type(edge) is int for edge in edges) or not 0 <= edges[0] <= edges[1] <= MAX_EDGE:
        raise entry.wrong("edges", f"must be the shortest and longest edge in pixels, not {edges!r}")
    return edges[0], edges[1]
