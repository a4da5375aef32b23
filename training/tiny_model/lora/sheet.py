"""``python -m tiny_model.lora.sheet FILE``: what the package's model draws without and with the LoRAs, side by side.

Needs no PyTorch.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from sdcpp_py import Generator
from sdcpp_py.cli.demo import contact_sheet

from .scores import LORAS

PROMPTS = (
    ("a large magenta star on a white background", ("magenta",)),
    ("a large green ring in the center on a yellow background", ("ring",)),
    ("a red ring left of a blue square on a black background", ("ring",)),
    ("a large magenta ring on a gray background", ("magenta", "ring")),
)
"""Prompts, and the LoRAs that they need."""


def main() -> None:
    """Reads the command line, draws, writes: above without LoRAs, below with them."""
    parser = argparse.ArgumentParser(prog="python -m tiny_model.lora.sheet", description=__doc__)
    parser.add_argument("output", type=Path, metavar="FILE", help="the picture that is written")
    options = parser.parse_args()
    pictures, captions = [], []
    with Generator.from_pretrained("tiny", device="cpu") as generator:
        for applies in (False, True):
            for seed, (prompt, words) in enumerate(PROMPTS):
                files = [LORAS / f"{word}.safetensors" for word in words] if applies else []
                pictures.append(generator.generate(prompt, seed=seed, loras=files).image)
                captions.append(f"{prompt} ({' and '.join(words) if applies else 'no LoRA'})")
    contact_sheet(pictures, captions).save(options.output)


if __name__ == "__main__":
    main()
