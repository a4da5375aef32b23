"""Files that are there whole or not at all."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

PARTIAL = ".part"
"""How the name of a file ends that is being written, or was when its process ended, where it must have a name."""
_NO_NAME = getattr(os, "O_TMPFILE", 0)


def partial_name(file: Path) -> Path:
    """The name under which a file is written before it gets its own.

    In the same folder, because a rename across file systems is a copy; unique, because two processes may write; and
    short, because the file's own name may be as long as names can be.
    """
    return file.with_name(f".{os.urandom(8).hex()}{PARTIAL}")


@contextlib.contextmanager
def whole_or_absent(file: Path, *, overwrite: bool = True) -> Iterator[Path]:
    """A name to write to that becomes ``file`` when the block ends, and is removed when it raises.

    On Linux the name is that of a descriptor, and the file has no other until it is whole: a process that is killed in
    the block leaves nothing behind, where the file system can do that. Elsewhere it leaves a ``PARTIAL`` one.

    Not ``overwrite``: raises FileExistsError where ``file`` is there by then.
    """
    nameless = _nameless_in(file.parent)
    if nameless is None:
        with _named(file, overwrite) as partial:
            yield partial
        return
    try:
        yield _name_of(nameless)
        _place(nameless, file, overwrite)
    finally:
        os.close(nameless)


@contextlib.contextmanager
def _named(file: Path, overwrite: bool) -> Iterator[Path]:
    partial = partial_name(file)
    try:
        yield partial
        if overwrite:
            partial.replace(file)
        else:
            _place_new(partial, file)
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)


def _name_of(descriptor: int) -> Path:
    return Path(f"/proc/self/fd/{descriptor}")


def _nameless_in(folder: Path) -> int | None:
    """A file without a name that can get one in the folder; None where the system has none, or no names for it."""
    if not _NO_NAME:
        return None
    try:
        descriptor = os.open(folder, _NO_NAME | os.O_RDWR, 0o666)
    except OSError:  # of the file system; where the folder is to blame, the usual way says so
        return None
    if _name_of(descriptor).exists():
        return descriptor
    os.close(descriptor)  # /proc is not there, or shows the descriptors of others
    return None


def _place(descriptor: int, file: Path, overwrite: bool) -> None:
    """Gives a file without a name its own."""
    try:
        _link(descriptor, file)
    except FileExistsError:
        if not overwrite:
            raise
        # A link takes the place of no file, and a rename does.
        partial = partial_name(file)
        _link(descriptor, partial)
        try:
            partial.replace(file)
        except OSError:
            partial.unlink(missing_ok=True)
            raise
    except (OSError, AttributeError, NotImplementedError):  # links are not there, or forbidden
        with _named(file, overwrite) as partial:
            shutil.copyfile(_name_of(descriptor), partial)


def _link(descriptor: int, file: Path) -> None:
    # Only with a folder's descriptor, which an absolute path needs none of, does Python follow the link in /proc.
    os.link(_name_of(descriptor), file, src_dir_fd=descriptor, follow_symlinks=True)


def _place_new(partial: Path, file: Path) -> None:
    """Gives a file its name where no other has it: two processes that want the same one cannot both get it."""
    try:
        os.link(partial, file)
    except FileExistsError:
        raise
    except (OSError, AttributeError, NotImplementedError):  # of file systems without hard links, as on memory cards
        os.close(os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        partial.replace(file)
