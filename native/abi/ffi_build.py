"""Writes the C source of the extension module from `base/sdpy.h` and `sdpy_parts.h`, the one description of the ABI."""

from __future__ import annotations

import sys
from pathlib import Path

import cffi

BEGIN, END = "/* cffi:begin */", "/* cffi:end */"


def main(headers: list[Path], output: Path) -> None:
    """Reads the marked region of each header and writes cffi's C source to `output`."""
    builder = cffi.FFI()
    for header in headers:
        declarations = header.read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0]
        if not declarations:
            raise SystemExit(f"{header}: no region between '{BEGIN}' and '{END}'")
        builder.cdef(declarations)
    includes = "\n".join(f'#include "{header.parent.name}/{header.name}"' for header in headers)
    builder.set_source("sdcpp_py._native._sdcpp", includes, py_limited_api=True)
    builder.emit_c_code(str(output))


if __name__ == "__main__":
    *given, written = map(Path, sys.argv[1:])
    main(given, written)
