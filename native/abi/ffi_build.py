"""Writes the C source of the extension module from `base/sdpy.h`, the one description of the ABI."""

from __future__ import annotations

import sys
from pathlib import Path

import cffi

BEGIN, END = "/* cffi:begin */", "/* cffi:end */"


def main(header: Path, output: Path) -> None:
    """Reads the marked region of `header` and writes cffi's C source to `output`."""
    declarations = header.read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0]
    if not declarations:
        raise SystemExit(f"{header}: no region between '{BEGIN}' and '{END}'")
    builder = cffi.FFI()
    builder.cdef(declarations)
    builder.set_source("sdcpp_py._native._sdcpp", '#include "base/sdpy.h"', py_limited_api=True)
    builder.emit_c_code(str(output))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
