"""Runs inside the Debian 13 root: draws the pictures of ``prompts.json`` on one device, with the model in the package.

draw.py DEVICE FOLDER
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

from sdcpp_py import Generator

PROMPTS = Path("/exchange/prompts.json")


def draw(device: str, folder: Path) -> None:
    """Draws prompt i with seed i into FOLDER/i.png."""
    folder.mkdir()
    with Generator.from_pretrained("tiny", device=device) as generator:
        if generator.device != device:
            sys.exit(f"drawn on {generator.device}, not on {device}")
        for number, prompt in enumerate(json.loads(PROMPTS.read_text(encoding="utf-8"))):
            picture = generator.generate(prompt, seed=number)
            if np.asarray(picture).std() < 5:
                sys.exit("the picture is flat")
            print(f"{picture.save(folder / f'{number}.png')}: {device}, {sum(picture.timings.values()):.1f} s")


if __name__ == "__main__":
    draw(sys.argv[1], Path(sys.argv[2]))
