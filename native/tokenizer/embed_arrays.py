"""Turns the arrays of bytes in C headers into files that the assembler embeds as they are.

The engine carries its tokenizers' vocabularies as 130 MB of hexadecimal numbers, which take a compiler minutes and
gigabytes. For every header beside the source file that includes them, this writes

- `NAME.bin`, the bytes of the array `NAME`,
- a header of the same file name that only declares the array, with its size, so that `sizeof` still serves,

and, for all of them, `arrays.S`, which embeds the files, and a copy of the source file, which then finds those headers
instead of the engine's. The engine's own files stay as they are.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ARRAY = re.compile(
    rb"(?:static|const|constexpr|inline|unsigned|char|uint8_t|\s)+\b(\w+)\s*\[\s*\]\s*=\s*\{([^{}]*)\}\s*;"
)
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*"([^"]+)"', re.MULTILINE)

EMBEDDED = """\
    .global {name}
    .hidden {name}
    .type {name}, %object
    .size {name}, {size}
    .balign 16
{name}:
    .incbin "{file}"
    .if . - {name} - {size}
    .error "{name} has not the {size} bytes that were written"
    .endif
"""


def bytes_of(elements: bytes) -> bytes:
    """The bytes that an initializer list says, such as `0x23, 0x76, 10,`. Raises ValueError where they are no bytes."""
    count = elements.count(b",") + (not elements.rstrip().endswith(b","))
    try:  # two digits each, as generators write them: a hundred times as fast as number by number
        if elements.count(b"0x") != count:
            raise ValueError("not all of them are hexadecimal")
        data = bytes.fromhex(elements.replace(b"0x", b"").replace(b",", b" ").decode("ascii"))
    except ValueError:
        data = bytes(int(element, 0) for element in elements.decode("ascii").split(",") if element.strip())
    if len(data) != count:
        raise ValueError(f"{count} elements became {len(data)} bytes")
    return data


def arrays_of(header: bytes) -> dict[str, bytes]:
    """The arrays that a header defines, by name. Raises ValueError where it holds anything but arrays of bytes."""
    arrays = {}
    end = 0
    for found in ARRAY.finditer(header):
        if header[end : found.start()].strip():
            break
        name = found[1].decode("ascii")
        try:
            arrays[name] = bytes_of(found[2])
        except ValueError as error:
            raise ValueError(f"the array {name} cannot be read: {error}") from None
        # All of them are merges or JSON: bytes that went astray would hardly be UTF-8 still.
        arrays[name].decode("utf-8")
        end = found.end()
    rest = header[end:].strip()
    if rest:
        raise ValueError(f"something else than an array of bytes begins with {rest[:60]!r}")
    return arrays


def quoted(path: Path) -> str:
    """The path as it stands between an assembler's quotes."""
    return str(path.absolute()).replace("\\", "\\\\").replace('"', '\\"')


def embed(source: Path, folder: Path) -> None:
    """Writes into `folder` what takes the place of `source` and of the headers beside it that define arrays."""
    text = source.read_text(encoding="utf-8")
    assembly = [".section .rodata\n"]
    for include in INCLUDE.findall(text):
        header = (source.parent / include).read_bytes()
        if b"[" not in header:  # declares functions
            (folder / include).write_bytes(header)
            continue
        declarations = ""
        for name, data in arrays_of(header).items():
            if f"sizeof({name})" not in text:
                raise ValueError(f"{source.name} does not use {name} of {include}")
            file = folder / f"{name}.bin"
            file.write_bytes(data)
            declarations += f'extern "C" const unsigned char {name}[{len(data)}];\n'
            assembly.append(EMBEDDED.format(name=name, size=len(data), file=quoted(file)))
        (folder / include).write_text(declarations, encoding="utf-8")
    assembly.append('.section .note.GNU-stack, "", %progbits\n')
    (folder / "arrays.S").write_text("".join(assembly), encoding="utf-8")
    (folder / source.name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    try:
        embed(Path(sys.argv[1]), Path(sys.argv[2]))
    except ValueError as error:
        raise SystemExit(f"{sys.argv[1]}: its arrays cannot be embedded: {error}") from None
