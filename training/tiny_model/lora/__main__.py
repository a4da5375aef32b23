"""``python -m tiny_model.lora WORD FILE``: trains a LoRA that teaches the package's tiny model a word."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from ..world.novelties import NOVELTIES
from .training import FULL, SMOKE, train_lora


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(prog="python -m tiny_model.lora", description=__doc__)
    parser.add_argument("word", choices=NOVELTIES, metavar="WORD", help=" or ".join(NOVELTIES))
    parser.add_argument("output", type=Path, metavar="FILE", help="the .safetensors that is written")
    parser.add_argument("--smoke", action="store_true", help="a few steps, in seconds")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    train_lora(options.word, SMOKE if options.smoke else FULL, options.output)


if __name__ == "__main__":
    main()
