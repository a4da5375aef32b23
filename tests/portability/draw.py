"""Runs inside the Debian 13 root: draws a picture on one device, or compares two pictures.

draw.py DEVICE OUTPUT.png
draw.py compare A.png B.png
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image

from sdcpp_py import Generator

MODEL = Path("/exchange/model")
LARGEST_MEAN_DIFFERENCE = 2.0  # grey levels


def draw(device: str, output: str) -> None:
    """Draws the same small picture on whichever device."""
    denoiser, encoder = (next(MODEL.glob(f"*{part}*.gguf")) for part in ("klein", "qwen3"))
    with Generator(denoiser, encoder, next(MODEL.glob("*.safetensors")), device=device) as generator:
        if generator.device != device:
            sys.exit(f"drawn on {generator.device}, not on {device}")
        picture = generator.generate("a red circle", width=128, height=128, seed=42)
    if np.asarray(picture).std() < 5:
        sys.exit("the picture is flat")
    print(f"{picture.save(output)}: {device}, {sum(picture.timings.values()):.1f} s")


def compare(first: str, second: str) -> None:
    """Ends with an error where the pictures differ by more than two grey levels on average."""
    pictures = [np.asarray(Image.open(file)).astype(float) for file in (first, second)]
    difference = float(np.abs(pictures[0] - pictures[1]).mean())
    print(f"mean difference {difference:.3f} grey levels")
    if difference > LARGEST_MEAN_DIFFERENCE:
        sys.exit(f"more than {LARGEST_MEAN_DIFFERENCE}")


if __name__ == "__main__":
    if sys.argv[1] == "compare":
        compare(sys.argv[2], sys.argv[3])
    else:
        draw(sys.argv[1], sys.argv[2])
