"""What a table of embeddings in eight bits changes, against the float32 table that the engine would make of it.

    python benchmarks/eight_bit_table.py FOLDER [--quant Q4_K] [--size 256] [--steps 2]

FOLDER keeps the files of FLUX.2 Klein 4B with random weights. Our kernels are switched off while the first generator is
opened and on again when it draws: both draw with the same kernels.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from full_size import PROMPT, SEED, written

from sdcpp_py import Generator
from sdcpp_py._native.library import choose_kernels


def main() -> None:
    """Draws with each table and prints what they differ by."""
    parser = argparse.ArgumentParser(description="Compares a table in eight bits with one in float32.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--quant", default="Q4_K")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--steps", type=int, default=2)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    files = written("klein-4b", options.folder, options.quant)
    states, pictures, weights = [], [], []
    for switch in ("off", ""):
        choose_kernels(switch)
        with Generator(files.diffusion_model, files.text_encoder, files.vae, device="cpu") as generator:
            choose_kernels("")
            states.append(generator.encode(PROMPT).arrays["crossattn"])
            picture = generator.generate(
                PROMPT, width=options.size, height=options.size, steps=options.steps, seed=SEED
            )
            pictures.append(np.asarray(picture.image, float))
            weights.append(generator.weight_bytes["text_encoder"])
    change = np.linalg.norm(states[1] - states[0]) / np.linalg.norm(states[0])
    error = np.mean((pictures[1] - pictures[0]) ** 2)
    print(f"text encoder: {weights[0] / 1e9:.2f} GB with float32, {weights[1] / 1e9:.2f} GB with eight bits")
    print(f"its states differ by {100 * change:.2f}%, pictures agree to {10 * np.log10(255**2 / error):.1f} dB")


if __name__ == "__main__":
    main()
