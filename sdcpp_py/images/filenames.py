"""Names of picture files out of what is in them: ``{seed}-{prompt:.40}.png``.

What goes into a name is text of users, and of models' files. It must not lead into another folder, and the name must be
one on every system that the file may be copied to.
"""

from __future__ import annotations

import datetime
import re
import string
import unicodedata
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from sdcpp_py.errors import SettingsError
from sdcpp_py.settings import OPTIONS, GenerationSettings
from sdcpp_py.settings.metadata import PictureMetadata, model_name

MOST_BYTES = 255
"""What a file's name may have in UTF-8 on Linux; others count 255 of something larger."""
# Room for what makes a name another than one that is taken: "_10000" or "-1000000".
_ROOM = 9
_LONGEST_TEMPLATE = 1000
# What Windows has no names with, and control characters, among them those that turn the direction of writing.
_FORBIDDEN = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]')
# Windows' devices, whatever follows the first dot.
_RESERVED = re.compile(r"(?:con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³]) *(?:\.|$)", re.IGNORECASE)
_NO_NAME = "picture"

_Field = Callable[[PictureMetadata, int, datetime.datetime], Any]
_FIELDS: Mapping[str, _Field] = {
    "model": lambda metadata, *_: model_name(metadata.model) or metadata.model.get("family", ""),
    "index": lambda _, index, __: index,
    "number": lambda _, index, __: index + 1,
    "date": lambda _, __, now: _Spelt(now, "%Y-%m-%d"),
    "time": lambda _, __, now: _Spelt(now, "%H-%M-%S"),
}
FIELDS = (*OPTIONS, *_FIELDS)
"""What may stand in braces."""


class _Spelt:
    """A time that is written in a safe way unless another is asked for."""

    def __init__(self, value: datetime.datetime, usual: str) -> None:
        self._value, self._usual = value, usual

    def __format__(self, spec: str) -> str:
        return self._value.strftime(spec or self._usual)


class FileName:
    """A template of a file's name: fields in braces, as ``str.format`` has them, and ``{{`` for a brace.

    Args:
        template: the name without folders, with its suffix, which is no field.

    Raises:
        SettingsError: a field does not exist, is written wrongly, or there is too much of it.
    """

    def __init__(self, template: str) -> None:
        self.template = template
        try:
            self._parts = list(string.Formatter().parse(template))
        except ValueError as error:
            raise SettingsError(f"the file name {template!r} cannot be read: {error}; write {{{{ for a brace") from None
        if len(template) > _LONGEST_TEMPLATE:
            raise SettingsError(f"the file name has {len(template):,} characters; {_LONGEST_TEMPLATE:,} are the most")
        for _, field, spec, conversion in self._parts:
            if field is not None:
                self._check_field(field, spec or "", conversion)
        if self._parts and self._parts[-1][1] is not None and "." in self._parts[-1][0]:
            raise SettingsError(f"the file name {template!r} has a field in its suffix, which decides the format")
        self.name(PictureMetadata(GenerationSettings("a prompt")))

    @property
    def has_fields(self) -> bool:
        """Whether anything in it depends on the picture."""
        return any(field is not None for _, field, _, _ in self._parts)

    @property
    def literals(self) -> str:
        """What stands between the fields."""
        return "".join(text for text, *_ in self._parts)

    @property
    def is_numbered(self) -> bool:
        """Whether pictures of one call have different names by it."""
        return any(field in ("index", "number", "seed") for _, field, _, _ in self._parts)

    def name(
        self, metadata: PictureMetadata, index: int = 0, now: datetime.datetime | None = None, literal: Any = str
    ) -> str:
        """The name of a picture's file.

        Args:
            metadata: the picture's.
            index: of the picture among those of one call, from 0.
            now: the time that date and time are taken from; None for the present.
            literal: what is made of the text between the fields.
        """
        when = datetime.datetime.now() if now is None else now
        name = ""
        for text, field, spec, _ in self._parts:
            name += literal(text)
            if field is not None:
                value = self._value(field, metadata, index, when)
                name += self._spelt(value, field, spec or "")
        if not self.has_fields:
            return name
        text, field, *_ = self._parts[-1]
        suffix = Path(f"name{text}").suffix if field is None else ""
        dot = self.template.startswith(".")
        return safe_name(name.removesuffix(suffix), suffix, hidden=dot)

    def _check_field(self, field: str, spec: str, conversion: str | None) -> None:
        if field not in FIELDS:
            raise SettingsError(
                f"the file name {self.template!r} has the field '{{{field}}}', which does not exist; there are "
                f"{', '.join(FIELDS)}"
            )
        if conversion or "{" in spec or re.search(r"\d{4}", spec):
            raise SettingsError(f"the file name {self.template!r} spells '{{{field}}}' in a way that is not understood")

    def _value(self, field: str, metadata: PictureMetadata, index: int, now: datetime.datetime) -> Any:
        value = _FIELDS[field](metadata, index, now) if field in _FIELDS else getattr(metadata.settings, field)
        return _safe(value) if isinstance(value, str) else ("" if value is None else value)

    def _spelt(self, value: Any, field: str, spec: str) -> str:
        try:
            return _safe(format(value, spec or ("g" if isinstance(value, float) else "")))
        except (ValueError, TypeError) as error:
            raise SettingsError(
                f"the file name {self.template!r} spells '{{{field}}}' in a way that does not fit: {error}"
            ) from None


def safe_name(stem: str, suffix: str, *, hidden: bool = False) -> str:
    """A name that a file may have on every system: what none may have is replaced, and what is too long is cut.

    Args:
        stem: what is to be before the suffix.
        suffix: with its dot; kept as it is.
        hidden: it may begin with a dot.
    """
    stem = _safe(stem)
    # Shells take a leading hyphen for an option; Windows drops dots and spaces at the end.
    stem = stem.rstrip(". ") if hidden else stem.lstrip(".- ").rstrip(". ")
    stem = _cut(stem, MOST_BYTES - len(suffix.encode()) - _ROOM).rstrip(". ") or _NO_NAME
    return f"{'_' if _RESERVED.match(stem + suffix) else ''}{stem}{suffix}"


def numbered(path: Path, addition: str) -> Path:
    """A path with something before its suffix, cut where its name would be too long."""
    room = MOST_BYTES - len(f"{addition}{path.suffix}".encode(errors="replace"))
    return path.with_name(f"{_cut(path.stem, room)}{addition}{path.suffix}")


def _safe(text: str) -> str:
    return re.sub(r"\s+", " ", _FORBIDDEN.sub("_", re.sub(r"\s+", " ", unicodedata.normalize("NFC", text)))).strip()


def _cut(text: str, most: int) -> str:
    """The beginning of a text that has so many bytes in UTF-8, without half a character at its end."""
    data = text.encode("utf-8", "surrogateescape")
    if len(data) <= most:
        return text
    cut = data[:most].decode("utf-8", "ignore")
    # An accent or a joined sign without what follows would be another character.
    while cut and unicodedata.combining(text[len(cut)]):
        cut = cut[:-1]
    return cut
