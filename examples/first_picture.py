"""Draws a first picture without any download: a small model of random weights is written, loaded and drawn with.

    python examples/first_picture.py [FILE.png]

Random weights draw random colours; but everything between the prompt and the file is the real thing.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from sdcpp_py import Generator
from sdcpp_py.synth import write_set


def main(output: Path) -> None:
    """Writes the model to a temporary folder, draws with it, and saves the picture."""
    with tempfile.TemporaryDirectory() as folder:
        model = write_set("tiny-klein", folder, quant="Q8_0")
        with Generator(model.diffusion_model, model.text_encoder, model.vae, progress_bar=True) as generator:
            picture = generator.generate("a red circle on a white background", width=256, height=256, seed=42)
    print(f"{picture.save(output)}: drawn in {sum(picture.timings.values()):.1f} s with seed {picture.seed}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "first_picture.png"))
