"""Fuzzes what reads files in Python: ``python -m tests.fuzz.python_readers READER [OPTION ...] [FOLDER ...]``.

Options are libFuzzer's. Needs atheris. Readers are those of ``READERS``, which may raise errors of this library alone.
"""

from __future__ import annotations

import io
import sys
import tempfile
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["sdcpp_py", "tomllib", "zipfile"]):
    from sdcpp_py import EncodedPrompt, MetadataWarning, SdcppError, read_metadata
    from sdcpp_py.image_files.png_chunks import Texts
    from sdcpp_py.models.arrangement import read_arranged
    from sdcpp_py.models.catalogue import read_catalogues
    from sdcpp_py.models.detect import describe
    from sdcpp_py.models.inspection import inspection_of
    from sdcpp_py.settings.png_text import record_of

_FOLDER = Path(tempfile.mkdtemp(prefix="fuzz-"))


def _written(data: bytes) -> Path:
    path = _FOLDER / "file"
    path.write_bytes(data)
    return path


def _model(data: bytes) -> None:
    model = read_arranged(_written(data))
    inspection_of(model, describe(model.header))


def _picture(data: bytes) -> None:
    read_metadata(io.BytesIO(data))


def _text(data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    for name in ("sdcpp_py", "parameters", "prompt", "Comment", "invokeai_metadata"):
        try:
            record_of(Texts({name: text}), "the picture")
        except SdcppError:
            pass


READERS: Mapping[str, Callable[[bytes], object]] = {
    "models": _model,
    "prompts": lambda data: EncodedPrompt.load(_written(data)),
    "catalogues": lambda data: read_catalogues([_written(data)]),
    "pictures": _picture,
    "texts": _text,
}


def main() -> None:
    """Fuzzes the reader that is named first."""
    reader = READERS[sys.argv.pop(1)]
    warnings.simplefilter("error")
    warnings.simplefilter("ignore", MetadataWarning)

    def read(data: bytes) -> None:
        try:
            reader(data)
        except SdcppError:
            pass

    atheris.Setup(sys.argv, read)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
