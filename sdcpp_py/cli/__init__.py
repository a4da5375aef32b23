"""The command line, ``sdcpp-py``: the only part of the library that prints."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Sequence

from sdcpp_py.cli.output import ReaderGone, checked_output, complain
from sdcpp_py.cli.parser import parse
from sdcpp_py.cli.sd_cli.arguments import check_refused, notes
from sdcpp_py.errors import SdcppError
from sdcpp_py.naming import naming

INTERRUPTED = 130
READER_GONE = 141
"""What a shell says of a program that SIGPIPE ended."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command.

    Returns:
        0 when it worked, 1 for an error of ours (one line on standard error), 130 for Ctrl-C, 141 where nobody reads
        standard output any more. Wrong usage ends the process with 2, as argparse does.
    """
    verbose = False
    try:
        with checked_output():
            options = parse(arguments)
            verbose = options.verbose
            with naming(options.option_names), _log_shown() if verbose else _warnings_shown():
                check_refused(options)
                for note in notes(options):
                    complain(f"sdcpp-py: {note}")
                options.run(options)
    except (ReaderGone, BrokenPipeError):  # the second: of standard error, which may go into the same pipe
        return READER_GONE
    except SdcppError as error:
        # The prompt may hold bytes that the terminal cannot show; an error about them must still come out.
        line = f"sdcpp-py: error: {' '.join(str(error).split())}"
        complain(line.encode("utf-8", "backslashreplace").decode("utf-8"))
        if verbose and error.detail:
            complain(error.detail)
        return 1
    except KeyboardInterrupt:
        complain("sdcpp-py: interrupted")
        return INTERRUPTED
    return 0


class _Warnings(logging.Handler):
    """Shows each warning of the library as one line; those of the engine are in the log (``--verbose``)."""

    def filter(self, record: logging.LogRecord) -> bool:
        return record.name == "sdcpp_py"

    def emit(self, record: logging.LogRecord) -> None:
        line = f"sdcpp-py: warning: {' '.join(record.getMessage().split())}"
        complain(line.encode("utf-8", "backslashreplace").decode("utf-8"))


class _Log(logging.Handler):
    """Shows the log as it is, above a progress bar where one is drawn."""

    def emit(self, record: logging.LogRecord) -> None:
        complain(self.format(record))


@contextlib.contextmanager
def _warnings_shown() -> Iterator[None]:
    with _heard_by(_Warnings(logging.WARNING)):
        yield


@contextlib.contextmanager
def _log_shown() -> Iterator[None]:
    logger = logging.getLogger("sdcpp_py")
    level = logger.level
    logger.setLevel(logging.DEBUG)
    try:
        with _heard_by(_Log()):
            yield
    finally:
        logger.setLevel(level)


@contextlib.contextmanager
def _heard_by(handler: logging.Handler) -> Iterator[None]:
    logger = logging.getLogger("sdcpp_py")
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
