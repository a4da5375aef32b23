"""The command line, ``sdcpp-py``: the only part of the library that prints."""

from __future__ import annotations

import io
import logging
import sys
from collections.abc import Sequence

from sdcpp_py.cli.parser import parse
from sdcpp_py.errors import SdcppError

INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command.

    Returns:
        0 when it worked, 1 for an error of ours (one line on standard error), 130 for Ctrl-C. Wrong usage ends the
        process with 2, as argparse does.
    """
    options = parse(arguments)
    if options.verbose:
        _show_log()
    if isinstance(sys.stdout, io.TextIOWrapper):  # a prompt may hold characters that the terminal's encoding lacks
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        options.run(options)
    except SdcppError as error:
        # The prompt may hold bytes that the terminal cannot show; an error about them must still come out.
        line = f"sdcpp-py: error: {' '.join(str(error).split())}"
        print(line.encode("utf-8", "backslashreplace").decode("utf-8"), file=sys.stderr)
        if options.verbose and error.detail:
            print(error.detail, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("sdcpp-py: interrupted", file=sys.stderr)
        return INTERRUPTED
    return 0


def _show_log() -> None:
    logger = logging.getLogger("sdcpp_py")
    logger.setLevel(logging.DEBUG)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s"))
    logger.addHandler(handler)
