"""What goes wrong between here and the Hub, in sentences."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Iterator

from sdcpp_py.errors import DownloadError, GatedModelError
from sdcpp_py.models.hub.cache import unwritable
from sdcpp_py.naming import named
from sdcpp_py.system.paths import StrPath

_log = logging.getLogger("sdcpp_py")


def explained(error: Exception, repository: str, file: str, revision: str, cache_dir: StrPath | None) -> DownloadError:
    """The error of ours for one of huggingface_hub's, of its HTTP client's, or of the disk's."""
    from huggingface_hub import errors

    if isinstance(error, DownloadError):
        return error
    what = f"{file} of {repository}"
    page = page_of(repository)
    # huggingface_hub wraps what happened on the way to the Hub into "not found on disk".
    cause = error.__cause__ if isinstance(error, errors.LocalEntryNotFoundError) else None
    if isinstance(cause, Exception) and not isinstance(cause, errors.OfflineModeIsEnabled):
        return explained(cause, repository, file, revision, cache_dir)
    if isinstance(error, errors.GatedRepoError):
        message = (
            f"{repository} is gated: visit {page}, log in and accept its terms there; then give an access token "
            f"({named('token')}, HF_TOKEN, or once and for all `hf auth login`)"
        )
        return GatedModelError(message, detail=str(error))
    if isinstance(error, errors.RepositoryNotFoundError):
        problem = (
            f"there is no repository {repository} on the Hub, or it is private; look at {page}, and give a token "
            f"({named('token')})"
        )
    elif isinstance(error, errors.RevisionNotFoundError):
        problem = f"{repository} has no revision {revision!r}; {page} shows its branches and tags"
    elif isinstance(error, errors.RemoteEntryNotFoundError):
        problem = f"{repository} has no file {file!r} in revision {revision!r}; {page}/tree/{revision} shows its files"
    elif isinstance(error, (errors.LocalEntryNotFoundError, errors.OfflineModeIsEnabled)):
        problem = not_on_disk(repository, file)
    elif status := _status(error):
        problem = _refusal(status, what, page)
    else:
        from_disk = unwritable(error, cache_dir) if isinstance(error, OSError) else None
        if from_disk is not None:
            return from_disk
        problem = _broken_off(error, what)
    return DownloadError(problem, detail=str(error))


def not_on_disk(repository: str, file: str) -> str:
    """What to say of a file that is wanted from the disk alone and is not there."""
    return (
        f"{file} of {repository} is not on disk, and downloads are switched off ({named('local_files_only')} or "
        "HF_HUB_OFFLINE); `sdcpp-py pull` fetches it while there is a connection"
    )


def page_of(repository: str) -> str:
    """The page of a repository on the Hub."""
    from huggingface_hub import constants

    return f"{constants.ENDPOINT}/{repository}"


def is_passing(error: Exception) -> bool:
    """Whether trying again may help at once: the connection was cut, or the Hub was busy.

    A stall is none: huggingface_hub has waited and tried again for a minute before it says so.
    """
    from huggingface_hub import errors

    status = _status(error)
    if status:
        return status in (408, 429, 500, 502, 503, 504)
    return isinstance(error, _http_error()) and not isinstance(error, errors.HfHubHTTPError) and not _is_stall(error)


@contextlib.contextmanager
def hub_speaks_to_our_log() -> Iterator[None]:
    """While it lasts, what huggingface_hub would print on standard error from this thread goes to our logger."""
    thread = threading.get_ident()

    class Redirect(logging.Filter):
        def filter(self, record: logging.LogRecord) -> bool:
            if record.thread != thread:
                return True
            _log.info("huggingface_hub: %s", record.getMessage())
            return False

    redirect = Redirect()
    handlers = list(logging.getLogger("huggingface_hub").handlers)
    for handler in handlers:
        handler.addFilter(redirect)
    try:
        yield
    finally:
        for handler in handlers:
            handler.removeFilter(redirect)


def _refusal(status: int, what: str, page: str) -> str:
    if status == 401:
        valid = f"give a valid one ({named('token')}), or none"
        return f"the Hub refuses the access token that was sent for {what} (401); {valid}"
    if status == 403:
        return f"the Hub refuses {what} to this token (403); visit {page} to see what it asks for"
    if status == 404:
        return f"there is no {what} on the Hub (404); look at {page}"
    if status == 429:
        return (
            f"the Hub has had too many requests from here and does not send {what} (429); wait some minutes, or log in"
        )
    if status >= 500:
        return f"the Hub fails at sending {what} ({status}); try again later"
    return f"the Hub does not send {what} ({status}); look at {page}"


def _broken_off(error: Exception, what: str) -> str:
    from huggingface_hub import constants

    if _is_stall(error):
        return f"{constants.ENDPOINT} did not answer in time while {what} was fetched; check the connection, try again"
    if isinstance(error, _http_error()):
        name = type(error).__name__
        return f"the connection to {constants.ENDPOINT} failed while {what} was fetched ({name}); check it, try again"
    return f"{what} cannot be downloaded: {' '.join(str(error).split()) or type(error).__name__}"


def _status(error: Exception) -> int:
    """The HTTP status that an error carries; 0 where it carries none."""
    return int(getattr(getattr(error, "response", None), "status_code", 0) or 0)


def _is_stall(error: Exception) -> bool:
    # Which HTTP client huggingface_hub is built on differs between its versions; all of them call these errors so.
    return isinstance(error, TimeoutError) or "Timeout" in type(error).__name__


def _http_error() -> type[Exception]:
    """The base of the errors of the HTTP client that huggingface_hub is built on."""
    from huggingface_hub import errors

    found: type[Exception] = getattr(errors, "HTTPError", ConnectionError)
    return found
