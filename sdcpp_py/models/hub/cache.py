"""The cache of files from the Hub, which is huggingface_hub's own: what lies there, and whether it is whole."""

from __future__ import annotations

import errno
import hashlib
import shutil
from pathlib import Path

from sdcpp_py.errors import DownloadError
from sdcpp_py.naming import named
from sdcpp_py.system.byte_sizes import format_bytes
from sdcpp_py.system.paths import StrPath, absolute, home_folder

_UNWRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST, errno.EISDIR, errno.ELOOP)
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
_BLOCK = 2**20


def cache_folder(cache_dir: StrPath | None) -> Path:
    """The folder of the cache: that one, else huggingface_hub's (``HF_HUB_CACHE``, ``HF_HOME``).

    Raises DownloadError where it would be in a home folder that there is not.
    """
    from huggingface_hub import constants

    if cache_dir is not None:
        return absolute(cache_dir)
    if constants.HF_HUB_CACHE.startswith("~") and home_folder() is None:
        raise DownloadError(
            "this user has no home folder, in which downloads are usually kept; set HF_HOME to a folder for them, or "
            f"give one as {named('hub_cache')}"
        )
    return absolute(constants.HF_HUB_CACHE)


def find_cached(repository: str, file: str, revision: str | None, cache_dir: StrPath | None = None) -> Path | None:
    """Where a file lies on disk, whole as far as its size and mark tell; None where it does not.

    Where ``revision`` is None, a file that came with an older state of the repository counts too.
    """
    try:
        folder = _repository_folder(repository, cache_dir)
    except DownloadError:  # there is no cache
        return None
    states = folder / "snapshots"
    try:
        reference = (folder / "refs" / (revision or "main")).read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        reference = revision or ""
    names = [reference] if reference else []
    if revision is None and states.is_dir():
        names += sorted((state.name for state in states.iterdir()), key=lambda name: -_changed(states / name))
    for name in names:
        path = states / name / file
        if path.is_file() and not _check_marked(folder, file, path):
            return path
    return None


def check_room(missing: int, cache_dir: StrPath | None) -> None:
    """Raises DownloadError where the disk of the cache has less room than that many bytes."""
    folder = cache_folder(cache_dir)
    for place in (folder, *folder.parents):
        try:
            free = shutil.disk_usage(place).free
        except OSError:  # it does not exist yet: ask for the folder that it will be made in
            continue
        if free < missing:
            raise DownloadError(
                f"{format_bytes(missing, enough=True)} are to be downloaded and {folder} has room for "
                f"{format_bytes(free)}; free some, or choose another folder with {named('hub_cache')} or HF_HUB_CACHE"
            )
        return


def unwritable(error: OSError, cache_dir: StrPath | None) -> DownloadError | None:
    """What to say of an error that comes from the disk of the cache; None where it comes from elsewhere."""
    folder = cache_folder(cache_dir)
    other = f"choose another folder with {named('hub_cache')} or HF_HUB_CACHE"
    if error.errno in _UNWRITABLE:
        return DownloadError(f"the cache folder {folder} cannot be written ({error.strerror}); {other}")
    if error.errno in _NO_ROOM:
        return DownloadError(f"the disk of the cache folder {folder} is full; free some room, or {other}")
    return None


def mark_unchecked(
    repository: str, file: str, size: int | None, hashes: tuple[str, ...], cache_dir: StrPath | None
) -> None:
    """Notes that a file is about to come, so that it does not count until it was checked.

    Where the process dies between the two, ``find_cached`` does the check. Raises OSError.
    """
    mark = _mark(_repository_folder(repository, cache_dir), file)
    mark.parent.mkdir(parents=True, exist_ok=True)
    mark.write_text(f"{size or 0} {' '.join(hashes)}".strip(), encoding="ascii")


def unmark(repository: str, file: str, cache_dir: StrPath | None) -> None:
    """Notes that a file was checked, or is not there."""
    mark = _mark(_repository_folder(repository, cache_dir), file)
    try:
        mark.unlink(missing_ok=True)
        mark.parent.rmdir()
    except OSError:  # other files are being checked; or the cache is for reading only, and had no mark
        pass


def flaw(path: Path, size: int | None, hashes: tuple[str, ...]) -> str:
    """What is wrong with a file that should have that size and those SHA-256 hashes; "" where nothing is."""
    there = path.stat().st_size
    if size and there != size:
        return f"it has {there} bytes, not {size}"
    if hashes:
        digest = _sha256(path)
        for wanted in hashes:
            if digest != wanted:
                return f"its sha256 is {digest}, not {wanted}"
    return ""


def remove(path: Path) -> None:
    """Removes a file from the cache: the name it goes by there, and the bytes that this leads to."""
    while True:
        target = path.parent / path.readlink() if path.is_symlink() else None
        path.unlink(missing_ok=True)
        if target is None:
            return
        path = target


def _repository_folder(repository: str, cache_dir: StrPath | None) -> Path:
    return cache_folder(cache_dir) / f"models--{repository.replace('/', '--')}"


def _mark(folder: Path, file: str) -> Path:
    return folder / ".sdcpp_py" / f"{file.replace('/', '--')}.unchecked"


def _check_marked(folder: Path, file: str, path: Path) -> bool:
    """Whether a file that was never checked turns out to be broken; it is removed then."""
    mark = _mark(folder, file)
    try:
        size, *hashes = mark.read_text(encoding="ascii").split()
        broken = flaw(path, int(size), tuple(hashes))
    except FileNotFoundError:
        return False
    except (OSError, ValueError):
        broken = "its mark cannot be read"
    try:
        if broken:
            remove(path)
        mark.unlink(missing_ok=True)
    except OSError:  # the cache is for reading only: the file stays marked
        pass
    return bool(broken)


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()
