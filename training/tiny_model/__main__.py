"""``python -m tiny_model FOLDER``: trains the model and writes its files into a folder."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from .recipe import FULL, SMOKE, train


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(prog="python -m tiny_model", description=__doc__)
    parser.add_argument("output", type=Path, metavar="FOLDER", help="where the three files go")
    parser.add_argument("--work", type=Path, default=Path("tiny_model_work"), help="what is kept in between")
    parser.add_argument("--smoke", action="store_true", help="a few steps of everything, in a minute")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    train(SMOKE if options.smoke else FULL, options.work, options.output)


if __name__ == "__main__":
    main()
