"""Generates a first picture without any download, with the model that lies in the package.

python examples/first_picture.py [FILE.png]
"""

from __future__ import annotations

import sys

from sdcpp_py import Generator


def main(output: str) -> None:
    """Generates one picture and saves it."""
    with Generator.from_pretrained("tiny", progress_bar=True) as generator:
        picture = generator.generate("a red circle on a white background", seed=1)
    print(f"{picture.save(output)}: generated in {sum(picture.timings.values()):.1f} s with seed {picture.seed}")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "first_picture.png")
