"""Fetching files from the Hub, through huggingface_hub: its cache, its tokens, its settings."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sdcpp_py.errors import DownloadError
from sdcpp_py.models.hub.cache import (
    cache_folder,
    check_room,
    find_cached,
    flaw,
    mark_unchecked,
    remove,
    unmark,
    unwritable,
)
from sdcpp_py.models.hub.download_meter import DownloadMeter
from sdcpp_py.models.hub.errors import explained, hub_speaks_to_our_log, is_passing, not_on_disk, page_of
from sdcpp_py.progress import ProgressCallback
from sdcpp_py.system.paths import StrPath

_log = logging.getLogger("sdcpp_py")

_TRIES = 3
_PAUSE = 1.0  # seconds before the second try, twice as many before each further one
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Access:
    """How the Hub is reached.

    Attributes:
        token: an access token; None for the one that huggingface_hub finds (``HF_TOKEN``, ``hf auth login``), False for
            none.
        cache_dir: the folder that keeps the files; None for huggingface_hub's own.
        local_files_only: takes what is on disk and asks nobody, as ``HF_HUB_OFFLINE=1`` does.
        on_progress: is told how far downloads are, all files of one call together, in ``Phase.DOWNLOAD``; what it
            raises ends the download.
    """

    token: str | bool | None = field(default=None, repr=False)
    cache_dir: StrPath | None = None
    local_files_only: bool = False
    on_progress: ProgressCallback | None = None

    @property
    def offline(self) -> bool:
        """Whether nobody is to be asked."""
        from huggingface_hub import constants

        return self.local_files_only or bool(constants.HF_HUB_OFFLINE)


@dataclass(frozen=True)
class Wanted:
    """A file to be fetched.

    Attributes:
        repository, file: the Hub repository, and the file's path in there.
        revision: the branch, tag or commit; None for "main", or on disk also what came with an older one.
        sha256: the hash that it must have; "" where that is not known.
        bytes: the size that it should have; None where that is not known. Where the Hub says another one, that counts.
    """

    repository: str
    file: str
    revision: str | None = None
    sha256: str = ""
    bytes: int | None = None


@dataclass(frozen=True)
class Found:
    """A file that exists.

    Attributes:
        wanted: what was asked for.
        path: where it lies on disk; None where it must be downloaded.
        size: its bytes, as the Hub says; None where it does not say.
        hashes: the SHA-256 hashes that it must have: the Hub's and the catalogue's, where they are known.
        away: whether the Hub was asked and could not be reached.
    """

    wanted: Wanted
    path: Path | None = None
    size: int | None = None
    hashes: tuple[str, ...] = ()
    away: bool = False


def fetch_all(files: Iterable[Wanted], access: Access) -> list[Path]:
    """The files on disk, downloaded where they are not there yet.

    All are looked up before the first is downloaded, so that a missing file or a full disk shows in seconds.

    Raises:
        GatedModelError: a repository wants its terms accepted; the message names its page.
        DownloadError: anything else: no connection, no such file, no room, wrong bytes, a cache that cannot be written.
    """
    cache_folder(access.cache_dir)  # where there is none, nobody need be asked
    found: list[Found] = []
    for wanted in files:
        # A Hub that does not answer would be waited for again with each file.
        away = bool(found) and found[-1].away
        cached = find_cached(wanted.repository, wanted.file, wanted.revision, access.cache_dir) if away else None
        found.append(Found(wanted, cached, away=True) if cached else look_up(wanted, access))
    missing = {(file.wanted.repository, file.wanted.file): file.size or 0 for file in found if file.path is None}
    if missing:
        check_room(sum(missing.values()), access.cache_dir)
    # A sum that lacks a file would come to its end too early.
    meter = DownloadMeter(access.on_progress, sum(missing.values()) if all(missing.values()) else 0)
    return [file.path or download(file, access, meter) for file in found]


def fetch(repository: str, file: str, *, revision: str | None = None, sha256: str = "", **access: Any) -> Path:
    """One file on disk, downloaded where it is not there yet.

    Args:
        repository, file, revision, sha256: as ``Wanted`` has them.
        access: as ``Access`` has it.

    Raises as ``fetch_all`` does.
    """
    return fetch_all([Wanted(repository, file, revision, sha256)], Access(**access))[0]


def look_up(wanted: Wanted, access: Access) -> Found:
    """Where a file is, and what the Hub says of it. What is on disk will do where the Hub cannot be reached.

    Raises GatedModelError, DownloadError.
    """
    from huggingface_hub import constants, errors, get_hf_file_metadata, hf_hub_url

    cached = find_cached(wanted.repository, wanted.file, wanted.revision, access.cache_dir)
    if cached is not None and _is_known(cached, wanted):
        return Found(wanted, cached)
    if access.offline:
        if cached is None:
            raise DownloadError(not_on_disk(wanted.repository, wanted.file))
        return Found(wanted, cached)
    for attempt in range(1, _TRIES + 1):
        try:
            with hub_speaks_to_our_log():
                url = hf_hub_url(wanted.repository, wanted.file, revision=wanted.revision)
                metadata = get_hf_file_metadata(url, token=access.token, timeout=constants.HF_HUB_ETAG_TIMEOUT)
            break
        except Exception as error:
            gone = isinstance(error, (errors.RevisionNotFoundError, errors.RemoteEntryNotFoundError))
            if cached is not None and not gone:
                _log.info("%s cannot be asked (%s): taking what is on disk", page_of(wanted.repository), error)
                return Found(wanted, cached, away=True)
            if attempt == _TRIES or not is_passing(error):
                raise _explained(error, wanted, access) from error
            time.sleep(_PAUSE * 2 ** (attempt - 1))
    return _compared(wanted, metadata.size, metadata.etag or "", metadata.commit_hash, access)


def download(found: Found, access: Access, meter: DownloadMeter) -> Path:
    """Downloads a file and checks its bytes. A broken one is removed, and never counts as being there.

    A connection that is cut is taken up where it was cut, by huggingface_hub. What of it outlives the process depends
    on its version: since 2.0 a download that was given up begins anew the next time.

    Raises GatedModelError, DownloadError.
    """
    wanted = found.wanted
    try:
        mark_unchecked(wanted.repository, wanted.file, found.size, found.hashes, access.cache_dir)
    except OSError as error:
        raise unwritable(error, access.cache_dir) or _explained(error, wanted, access) from error
    path = _download(wanted, access, meter)
    try:
        problem = flaw(path, found.size, found.hashes)
    except OSError as error:  # another process has found it broken, and thrown it away
        problem = f"it cannot be read ({error.strerror or error})"
    if problem:
        remove(path)
    unmark(wanted.repository, wanted.file, access.cache_dir)
    if problem:
        raise DownloadError(
            f"{wanted.file} of {wanted.repository} arrived broken: {problem}; it was thrown away. Try again; where "
            "that does not help, something between here and the Hub changes what it sends"
        )
    meter.file_done(found.size or 0)
    return path


def _download(wanted: Wanted, access: Access, meter: DownloadMeter) -> Path:
    from huggingface_hub import constants, hf_hub_download

    for attempt in range(1, _TRIES + 1):
        try:
            with hub_speaks_to_our_log():
                path = hf_hub_download(
                    wanted.repository,
                    wanted.file,
                    revision=wanted.revision,
                    cache_dir=cache_folder(access.cache_dir),
                    token=access.token,
                    etag_timeout=constants.HF_HUB_ETAG_TIMEOUT,
                    tqdm_class=meter.bar(),
                )
            return Path(path)
        except Exception as error:
            if meter.raised is not None:  # by the user's callback, which is no fault of the Hub
                raise meter.raised  # noqa: B904
            if attempt == _TRIES or not is_passing(error):
                raise _explained(error, wanted, access) from error
            _log.info("%s of %s: %s; trying again", wanted.file, wanted.repository, error)
            time.sleep(_PAUSE * 2 ** (attempt - 1))
    raise AssertionError("unreachable")


def _is_known(path: Path, wanted: Wanted) -> bool:
    """Whether a file on disk is the one that is wanted for certain, so that nobody need be asked.

    huggingface_hub calls large files by their SHA-256, which was checked when they came.
    """
    return path.resolve().name == wanted.sha256 != "" and path.stat().st_size == wanted.bytes


def _compared(wanted: Wanted, size: int | None, etag: str, commit: str | None, access: Access) -> Found:
    """What the Hub says of a file, against what is known of it and what is on disk."""
    # Of a file in Git LFS, and all large ones are, the Hub's tag is its SHA-256.
    theirs = etag if _SHA256.fullmatch(etag) else ""
    if theirs and wanted.sha256 and theirs != wanted.sha256:
        raise DownloadError(
            f"{wanted.file} of {wanted.repository} is no longer the file that the catalogue knows: its sha256 is "
            f"{theirs}, not {wanted.sha256}. See whether a newer sdcpp_py knows it, or name the file itself: "
            f"{wanted.repository}/{wanted.file}"
        )
    hashes = tuple(sorted({theirs, wanted.sha256} - {""}))
    path = find_cached(wanted.repository, wanted.file, commit, access.cache_dir) if commit else None
    if path is not None and size and path.stat().st_size != size:
        _log.warning("%s has %d bytes, not %d: it is downloaded again", path, path.stat().st_size, size)
        try:
            remove(path)
        except OSError as error:
            raise _explained(error, wanted, access) from error
        path = None
    return Found(wanted, path, size, hashes)


def _explained(error: Exception, wanted: Wanted, access: Access) -> DownloadError:
    return explained(error, wanted.repository, wanted.file, wanted.revision or "main", access.cache_dir)
