"""Runs outside the Debian 13 root: says what is drawn there, and compares what came out on two devices.

meaning.py prompts FILE.json
meaning.py compare FOLDER_A FOLDER_B
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
from PIL import Image
from tiny_model.scores import held_out_prompts, share_right
from tiny_model.world.scoring import score

COUNT = 5
LARGEST_MEAN_DIFFERENCE = 0.2  # grey levels, over all pictures
WORST_SHARE = 0.9


def write_prompts(file: Path) -> None:
    """Writes the texts of some held-out prompts."""
    file.write_text(json.dumps([prompt.text for prompt in held_out_prompts(COUNT)]), encoding="utf-8")


def compare(first: Path, second: Path) -> None:
    """Ends with an error where two devices' pictures show different or wrong things, or differ in their pixels."""
    differences, scores = [], []
    for number, prompt in enumerate(held_out_prompts(COUNT)):
        pictures = [Image.open(folder / f"{number}.png") for folder in (first, second)]
        arrays = [np.asarray(picture, dtype=np.float64) for picture in pictures]
        differences.append(float(np.abs(arrays[0] - arrays[1]).mean()))
        scores.append([score(prompt.scene, picture) for picture in pictures])
        if scores[-1][0] != scores[-1][1]:
            sys.exit(f"{prompt.text!r}: {scores[-1][0]} on one device, {scores[-1][1]} on the other")
    right = share_right(one for pair in scores for one in pair)
    print(f"mean difference {np.mean(differences):.3f} grey levels; {100 * right:.0f}% right on both devices")
    if np.mean(differences) > LARGEST_MEAN_DIFFERENCE or right < WORST_SHARE:
        sys.exit(f"more than {LARGEST_MEAN_DIFFERENCE} grey levels, or less than {WORST_SHARE} right")


if __name__ == "__main__":
    if sys.argv[1] == "prompts":
        write_prompts(Path(sys.argv[2]))
    else:
        compare(Path(sys.argv[2]), Path(sys.argv[3]))
