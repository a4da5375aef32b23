"""Where the pictures of a command go: files by a name or a template, or standard output."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from sdcpp_py.cli.output import write_binary
from sdcpp_py.errors import SettingsError
from sdcpp_py.images.filenames import FIELDS, FileName, numbered
from sdcpp_py.images.result import GeneratedImage
from sdcpp_py.images.writing import check_name, check_output, format_named
from sdcpp_py.settings import GenerationSettings
from sdcpp_py.settings.metadata import PictureMetadata

STANDARD_OUTPUT = "-"
_NUMBER = re.compile(r"%%|%\d{0,3}d")
_FIELD = re.compile(rf"\{{(?:{'|'.join(FIELDS)})[}}:!]")


class Outputs:
    """The places of so many pictures, as ``--output`` gives them.

    Args:
        output: a file's name, in which ``%d`` and fields may stand, or ``-``.
        count: of pictures.
        kind: the name of their format; None for what the suffix names, and PNG on standard output.
        overwrite: files that are there are replaced.

    Raises:
        SettingsError: a field does not exist, or stands in a folder's name; a terminal or several pictures for ``-``.
        OutputError: nothing can be written there.
    """

    def __init__(self, output: str, count: int, kind: str | None = None, *, overwrite: bool = False) -> None:
        self.to_standard_output = output == STANDARD_OUTPUT
        self._output, self._count, self._format, self._overwrite = output, count, kind, overwrite
        if self.to_standard_output:
            format_named(kind or "PNG")
            self._check_standard_output()
            return
        self._template = FileName(Path(output).name)
        folder = Path(output).parent
        if _FIELD.search(str(folder)) and not folder.is_dir():
            raise SettingsError(f"--output is {output!r}; fields name files, and not folders")
        # Everything that can be known to be wrong is, before gigabytes are read.
        example = PictureMetadata(GenerationSettings("a prompt"))
        self._names = [] if self._template.has_fields else output_names(output, count)
        for name in self._names:
            check_name(name, kind)
        check_output(self.path(example, 0), kind)

    def path(self, metadata: PictureMetadata, index: int) -> Path:
        """The file of a picture, ``index`` from 0 among those of the command."""
        template = self._template
        if not template.has_fields:
            return self._names[index]
        name = template.name(metadata, index, literal=lambda text: _filled(text, index))
        path = Path(self._output).with_name(name)
        apart = template.is_numbered or _is_numbered(template.literals)
        return path if index == 0 or apart else numbered(path, f"_{index + 1}")

    def write(self, picture: GeneratedImage, index: int) -> str:
        """Writes a picture. Returns what to call the place, as its name was given. Raises OutputError."""
        if self.to_standard_output:
            write_binary(picture.to_bytes(self._format or "PNG"))
            return "standard output"
        path = self.path(picture.metadata, index)
        written = picture.save(path, self._format, overwrite=self._overwrite)
        return str(path.with_name(written.name))

    def _check_standard_output(self) -> None:
        if self._count > 1:
            raise SettingsError("--output - is for one picture, and --count asks for several; give a file's name")
        if sys.stdout is None:
            raise SettingsError("--output is -, and there is no standard output")
        if sys.stdout.isatty():
            raise SettingsError("--output is -, and standard output is a terminal; add `> FILE` or `| PROGRAM`")


def output_names(output: str, count: int) -> list[Path]:
    """The files of so many pictures, where the name has no fields.

    Each %d in the file's name becomes the picture's number from 0, %03d with three digits, and %% a percent sign, as
    with sd-cli. Without one, the second picture is ``name_2.png``.

    Raises SettingsError where %d is in the name of a folder.
    """
    path = Path(output)
    if not path.name:  # of no file; what checks it says so
        return [path]
    path = path.with_name(FileName(path.name).literals)
    if _is_numbered(path.name):
        return [path.with_name(_filled(path.name, number)) for number in range(count)]
    if _is_numbered(output):
        raise SettingsError(f"--output is {output!r}; %d numbers files, and not folders: put it into the file's name")
    return [path] + [path.with_name(f"{path.stem}_{number}{path.suffix}") for number in range(2, count + 1)]


def _is_numbered(name: str) -> bool:
    return any(found != "%%" for found in _NUMBER.findall(name))


def _filled(name: str, number: int) -> str:
    return _NUMBER.sub(lambda found: "%" if found[0] == "%%" else found[0] % number, name)
